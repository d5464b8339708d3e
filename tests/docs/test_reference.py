"""The reference is made from the code and leaves nothing out."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import typer

from lilliput.cli._frame import build_app
from lilliput.report.glossary import GLOSSARY
from lilliput.study import Recipe
from lilliput.training import TrainingConfig, switch_table

DOCS = Path(__file__).parents[2] / "docs"
ROOMS = (
    "language",
    "tokenization",
    "architecture",
    "models",
    "training",
    "evaluation",
    "analysis",
    "report",
    "study",
)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_text", DOCS / "reference_text.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_verb_and_option_is_in_the_reference(reference: ModuleType) -> None:
    text = reference.cli_reference()
    found = dict(reference.verbs(typer.main.get_command(build_app())))
    assert {"quickstart", "study run", "analyse fit", "push"} <= set(found)
    for name, command in found.items():
        section = text.split(f"## `lilliput {name}`\n")[1].split("\n## ")[0]
        for option in command.params:
            if option.param_type_name == "option":
                assert all(word in section for word in option.opts), (name, option.opts)
        assert "```text" in section, f"{name} shows no example"


def test_every_key_of_a_recipe_is_in_the_reference(reference: ModuleType) -> None:
    text = reference.recipe_reference()
    keys = set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    assert set(Recipe.model_fields) | set(TrainingConfig.model_fields) <= keys
    assert {row.name for row in switch_table()} <= keys
    assert "## `[languages.NAME.corpus]`" in text


def test_defaults_in_the_reference_are_the_codes(reference: ModuleType) -> None:
    text = reference.recipe_reference()
    section = text.split("## `[training]`\n")[1].split("\n## ")[0]
    default = TrainingConfig.model_fields["mlm_probability"].default
    assert f"| `mlm_probability` | float | `{default}` |" in section


def test_every_room_is_in_the_reference_of_the_api_and_keeps_its_promises() -> None:
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    for room in ROOMS:
        assert f".. automodule:: lilliput.{room}\n" in page
        module = importlib.import_module(f"lilliput.{room}")
        assert all(hasattr(module, name) for name in module.__all__)


def test_functions_that_the_page_names_exist() -> None:
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    table = [line for line in page.split("```{eval-rst}")[0].splitlines() if "| `lilliput." in line]
    assert len(table) >= 12
    for row in table:
        module = ""
        for path in re.findall(r"`([\w.]+)`", row.split("|")[2]):
            before, _, name = path.rpartition(".")
            module = before or module  # What follows a full name is of the same room.
            assert hasattr(importlib.import_module(module), name), (module, name)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda path: path.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+\.md)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).is_file(), target


def test_every_defect_of_the_reference_code_has_its_row() -> None:
    page = (DOCS / "explanations" / "reference-defects.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| B(\d+)", page, re.M)
    assert rows == [str(number) for number in range(1, 36)]
    for row in switch_table():
        assert row.name in page or row.room == "evaluation", row.name


def test_every_word_of_the_report_is_in_the_glossary(reference: ModuleType) -> None:
    text = reference.glossary_reference()
    assert len(GLOSSARY) >= 40
    assert len({term.id for term in GLOSSARY}) == len(GLOSSARY)
    for term in GLOSSARY:
        assert f"{term.name}\n: {term.meaning}\n" in text
