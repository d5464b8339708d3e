"""Recipes and overrides."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.core.errors import ConfigurationError, InputError
from lilliput.core.toml import parse_assignment, read_toml, with_overrides


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("training.learning_rate=1e-3", ("training", "learning_rate"), 1e-3),
        ("training.max_steps=1_000", ("training", "max_steps"), 1000),
        ("training.profile=reference", ("training", "profile"), "reference"),
        ("training.switches.shuffle=false", ("training", "switches", "shuffle"), False),
        ("seeds=[0, 1]", ("seeds",), [0, 1]),
        ('name="a=b"', ("name",), "a=b"),
        ("out=runs/a b", ("out",), "runs/a b"),
    ],
)
def test_values_are_read_as_toml_and_else_as_strings(text, path, value):
    assert parse_assignment(text) == (path, value)


@pytest.mark.parametrize("text", ["learning_rate", "=1", "a..b=1"])
def test_a_malformed_override_is_named(text):
    with pytest.raises(ConfigurationError, match="KEY=VALUE") as caught:
        parse_assignment(text)
    assert repr(text) in str(caught.value)


def test_overrides_make_tables_and_leave_the_recipe_alone():
    recipe = {"training": {"learning_rate": 1.0, "profile": "corrected"}}
    changed = with_overrides(recipe, ["training.learning_rate=2.0", "model.hidden_size=64"])
    assert changed == {
        "training": {"learning_rate": 2.0, "profile": "corrected"},
        "model": {"hidden_size": 64},
    }
    assert recipe["training"]["learning_rate"] == 1.0


def test_an_override_through_a_value_is_refused():
    with pytest.raises(ConfigurationError, match=r"'seed' must be a table.*seed\.x=1"):
        with_overrides({"seed": 1}, ["seed.x=1"])


def test_a_value_cannot_smuggle_in_a_second_key():
    assert parse_assignment("a=1\nb=2") == (("a",), "1\nb=2")


@given(st.dictionaries(st.sampled_from("abc"), st.integers(), min_size=1))
def test_overriding_each_key_with_itself_changes_nothing(table):
    assert with_overrides(table, [f"{k}={v}" for k, v in table.items()]) == table


def test_broken_toml_names_file_and_line(tmp_path: Path):
    path = tmp_path / "recipe.toml"
    path.write_text("seed = 1\nmodel = nothing\nout = 1", encoding="utf-8")
    with pytest.raises(InputError, match=r"recipe\.toml must be TOML.*line 2"):
        read_toml(path)
    with pytest.raises(InputError, match="the recipe must exist"):
        read_toml(tmp_path / "absent.toml")


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(b"\xef\xbb\xbfseed = 3\n")
    assert read_toml(path) == {"seed": 3}


@pytest.mark.parametrize("text", ["x = " + "[" * 20_000, "x = " + "9" * 10_000])
def test_toml_that_cannot_be_read_is_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(InputError, match="must be TOML"):
        read_toml(path)


@pytest.mark.parametrize("value", ["[" * 20_000, "9" * 10_000])
def test_an_override_that_is_no_toml_is_text(value: str) -> None:
    assert parse_assignment(f"x={value}") == (("x",), value)


def test_a_recipe_in_another_encoding_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes("name = 'small'\n".encode("utf-16"))
    with pytest.raises(InputError, match="Save it as UTF-8"):
        read_toml(path)
