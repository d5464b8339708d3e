"""What a reader who knows nothing finds with --help alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.recipes import recipe_text, shipped_recipes


def test_the_help_of_init_names_every_recipe() -> None:
    done = CliRunner().invoke(build_app(), ["init", "--help"], env={"COLUMNS": "200"})
    said = "".join(done.stdout.replace("│", "").split())  # Names may be broken over lines.
    assert all(name in said for name in shipped_recipes())


@pytest.mark.parametrize("recipe", shipped_recipes())
def test_init_says_when_a_folder_must_be_given(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(build_app(), ["init", "mine", "--recipe", recipe])
    assert done.exit_code == 0, done.output
    needs_folder = "{data}" in recipe_text(recipe)
    assert ("--set paths.data=FOLDER" in done.stdout) == needs_folder
    assert "Next: lilliput study plan mine.toml" in done.stdout
