from __future__ import annotations

import pytest
from pydantic import Field

from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import (
    FolderName,
    Seed,
    Settings,
    check_folder_name,
    parse_settings,
    require_distinct_folders,
)


class Inner(Settings):
    learning_rate: float = Field(1e-3, gt=0)


class Outer(Settings):
    training: Inner = Inner()
    seeds: tuple[int, ...] = (0,)


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(Outer, {"training": {"learning_rat": 1.0}}, "r.toml")
    assert str(caught.value) == (
        "keys must be known in r.toml: got 'training.learning_rat'. Did you mean 'learning_rate'?"
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


@pytest.mark.parametrize(
    "name",
    [
        "/somewhere/else", "..", "../up", "a/b", "a\\b", "C:", "a\0b", "tab\there", "", " ", " a", "a ",
        ".hidden", "a.", "CON", "nul", "com1", "LPT9.txt", "a" * 101, "é" * 51, "\ud800", "a\u202eb", 'a"b', "a?",
    ],
)  # fmt: skip
def test_names_that_are_no_folder_on_some_platform_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name that becomes a folder must"):
        check_folder_name(name)


@pytest.mark.parametrize(
    "name",
    ["constrained", "Basic English", "français", "zh-Hant", "a" * 100, "console", "v1.2", "語"],
)
def test_ordinary_names_become_folders(name: str) -> None:
    assert check_folder_name(name) == name


class Named(Settings):
    languages: dict[FolderName, Inner] = Field(default_factory=dict)
    seed: Seed = 0


def test_a_wrong_name_is_shown_with_the_table_that_it_stands_in() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(Named, {"languages": {"../up": {}}}, "r.toml")
    assert str(caught.value) == (
        "languages in r.toml: a name that becomes a folder must not hold /: got '../up'."
    )


@pytest.mark.parametrize("seed", [-1, 2**63, 10**3000])
def test_seeds_have_63_bits(seed: int) -> None:
    with pytest.raises(ConfigurationError, match="^seed: input should be") as caught:
        parse_settings(Named, {"seed": seed})
    assert len(str(caught.value)) < 200


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(Named, {"seed": "9" * 10_000})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("names", [("English", "english"), ("caf\u00e9", "cafe\u0301")])
def test_names_that_some_file_systems_take_for_one_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="must differ in more than case"):
        require_distinct_folders(names)
    require_distinct_folders(("english", "german"))
