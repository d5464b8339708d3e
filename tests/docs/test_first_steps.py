"""What a reader who knows nothing finds with --help alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lilliput.architecture import FLOPS_CONVENTIONS
from lilliput.cli._frame import build_app
from lilliput.core.errors import ConfigurationError
from lilliput.recipes import recipe_text, shipped_recipes
from lilliput.study import init_recipe, load_recipe


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
    assert "lilliput study plan mine.toml" in done.stdout
    # What follows "Next:" works as it stands.
    assert ("Next: lilliput study plan mine.toml\n" in done.stdout) != needs_folder
    header = (tmp_path / "mine.toml").read_text(encoding="utf-8").split("\n\n", maxsplit=1)[0]
    assert "lilliput study run mine.toml" in header
    assert (
        f"`lilliput init mine --recipe {recipe}`: edit it" in header
        or "lilliput init" not in header
    )
    for stale in (f"run {recipe} ", f"plan {recipe} ", f"--out {recipe}", f"lilliput-{recipe}/"):
        assert stale not in header


def test_the_name_of_a_recipe_of_yours_leads_to_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    init_recipe("mine", "domain", tmp_path)
    with pytest.raises(ConfigurationError, match=r"There is a file mine\.toml: give its name"):
        load_recipe("mine")
    init_recipe("paper", "domain", tmp_path)
    assert "corpora" in load_recipe("paper").paths  # The shipped one.


def test_plan_says_what_each_flops_convention_counts(tmp_path: Path) -> None:
    out = str(tmp_path / "study")
    done = CliRunner().invoke(build_app(), ["study", "plan", "quickstart", "--out", out])
    assert done.exit_code == 0, done.output
    assert "docs/flops.md" in done.stdout
    for name in FLOPS_CONVENTIONS:
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"{name} ")]
        assert len(line.split()) > 3
