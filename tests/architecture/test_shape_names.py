"""Sizes from the name of a shape, and back."""

from __future__ import annotations

import pytest

from lilliput.architecture import format_shape, sizes_of_shape
from lilliput.core.errors import InputError


def test_sizes_of_a_shape_are_those_it_was_named_by():
    sizes = sizes_of_shape("32/64/128/2/3")
    assert sizes["hidden_size"] == 64
    assert sizes["num_hidden_layers"] == 3
    assert format_shape(sizes) == "32/64/128/2/3"


@pytest.mark.parametrize("name", ["", "64", "32/64/128/2", "32/x/128/2/3", "32/64/128/2/3/4"])
def test_other_names_are_refused_with_the_name(name):
    with pytest.raises(InputError, match=r"E/H/I/A/L") as caught:
        sizes_of_shape(name)
    assert caught.value.got in (name, repr(name))
