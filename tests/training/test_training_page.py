"""The page says what the code does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from lilliput.core.settings import parse_settings
from lilliput.training import ObjectiveSettings, OrderSettings, TrainingConfig, switch_table

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def rows_after(heading: str) -> list[list[str]]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def shown(value: object) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    if isinstance(value, ObjectiveSettings | OrderSettings):
        plain = value.name
    return "`—`" if plain is None else f"`{json.dumps(plain)}`"


def test_the_table_of_switches_is_the_codes():
    expected = [
        [f"`{r.name}`", r.room, shown(r.reference), shown(r.corrected), r.row, r.effect]
        for r in switch_table()
    ]
    assert rows_after("Switches and profiles") == expected


def test_the_table_of_keys_is_the_codes():
    expected = [
        [f"`{name}`", shown(field.get_default(call_default_factory=True)), field.description]
        for name, field in TrainingConfig.model_fields.items()
        if name != "switches"
    ]
    assert rows_after("Keys of the recipe") == expected


def test_every_recipe_on_the_page_is_valid():
    recipes = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(recipes) == 2
    for text in recipes:
        parse_settings(TrainingConfig, tomllib.loads(text)["training"])
