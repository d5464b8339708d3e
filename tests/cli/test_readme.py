"""The commands that the README and the tutorial show are the ones that run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def commands(page: str) -> list[str]:
    """Lines of code blocks that call `lilliput`, without their comments."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.S | re.M)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("lilliput ")]


def run(line: str, folder: Path) -> None:
    """Run a shown command, a study at its smallest scale."""
    arguments = shlex.split(line)[1:]
    if arguments[:1] == ["study"]:
        arguments += ["--set", "scale=tiny", "--set", 'tokenizers.kinds=["byte-bpe"]']
    expanded = [
        str(p.relative_to(folder)) for a in arguments for p in sorted(folder.glob(a)) if "*" in a
    ]
    arguments = [a for a in arguments if "*" not in a]
    arguments[2:2] = expanded
    done = subprocess.run(
        [sys.executable, "-m", "lilliput", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stderr[-1500:]}"


def write_texts(folder: Path) -> None:
    """120 chapters, a file each."""
    from lilliput.language.reading.packages import package_documents

    folder.mkdir()
    for number, document in zip(range(120), package_documents("pythonbible_bwe"), strict=False):
        (folder / f"{number:03d}.txt").write_text(document.text, encoding="utf-8")


def test_the_commands_of_the_readme_run_in_their_order(tmp_path: Path) -> None:
    write_texts(tmp_path / "FOLDER")
    lines = commands("README.md")
    assert len(lines) >= 8
    for line in lines:
        run(line, tmp_path)
    for study in ("lilliput-mystudy", "lilliput-mytexts"):
        assert (tmp_path / study / "report.html").exists()


def test_the_readme_says_where_its_commands_are_found_and_pins_the_tried_torch() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "source .venv/bin/activate" in page
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for version in re.findall(r"torch==[\d.]*\d", page):
        assert version in constraints


def test_the_tutorial_builds_a_corpus_from_plain_text(tmp_path: Path) -> None:
    write_texts(tmp_path / "texts")
    lines = [
        line
        for line in commands("docs/tutorial.md")
        if line.split()[1] in ("vocabulary", "corpus", "tokenizer")
    ]
    assert len(lines) == 5
    for line in lines:
        run(line, tmp_path)
    assert (tmp_path / "tokens" / "train.tokens.npy").exists()


@pytest.mark.parametrize("target", ["quickstart", "test"])
def test_make_knows_the_two_commands(target: str) -> None:
    done = subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "constraints.txt" in done.stdout or "lilliput" in done.stdout or "pytest" in done.stdout


def test_the_readme_names_the_status_of_every_text() -> None:
    from lilliput.language.reading.packages import EDITIONS

    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(name.replace("_", "-") in page for name in EDITIONS)
