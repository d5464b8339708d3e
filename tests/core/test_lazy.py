"""Names of a package that are imported on first use."""

from __future__ import annotations

import sys

import pytest

from lilliput.core.errors import MissingExtraError
from lilliput.core.lazy import lazy_attributes


def test_a_name_is_imported_from_its_home_when_it_is_asked_for():
    load = lazy_attributes("lilliput.core", {"plural": "wording"})
    from lilliput.core.wording import plural

    assert load("plural") is plural


def test_an_unknown_name_is_an_attribute_error_that_names_package_and_name():
    load = lazy_attributes("lilliput.core", {})
    with pytest.raises(AttributeError, match=r"'lilliput.core' has no attribute 'nothing'"):
        load("nothing")


def test_a_name_that_needs_torch_says_what_to_install_without_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    load = lazy_attributes("lilliput.core", {}, with_torch={"plural": "wording"})
    with pytest.raises(MissingExtraError, match="torch"):
        load("plural")
