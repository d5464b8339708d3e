from __future__ import annotations

import pytest
from pydantic import Field

from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Settings, parse_settings


class Inner(Settings):
    learning_rate: float = Field(1e-3, gt=0)


class Outer(Settings):
    training: Inner = Inner()
    seeds: tuple[int, ...] = (0,)


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(Outer, {"training": {"learning_rat": 1.0}}, "r.toml")
    assert str(caught.value) == (
        "recipe keys must be known in r.toml: got 'training.learning_rat'. Did you mean 'learning_rate'?"
    )


class Needing(Settings):
    training: Inner


def test_a_misspelt_key_is_named_before_the_one_that_it_leaves_missing() -> None:
    with pytest.raises(ConfigurationError, match="got 'traning'. Did you mean 'training'"):
        parse_settings(Needing, {"traning": {}}, "r.toml")


def test_a_key_like_nothing_known_lists_what_is() -> None:
    with pytest.raises(ConfigurationError, match="Known keys: seeds, training"):
        parse_settings(Outer, {"zzz": 1})


def test_a_broken_rule_names_key_and_value() -> None:
    with pytest.raises(ConfigurationError, match=r"training.learning_rate.*got -1"):
        parse_settings(Outer, {"training": {"learning_rate": -1}})


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner().learning_rate = 2.0  # pyright: ignore[reportAttributeAccessIssue]
