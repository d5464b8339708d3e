"""The commands that the README and the tutorial show are the ones that run."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.faults.damage import call

ROOT = Path(__file__).parents[2]
TINY = (
    "scale=tiny",
    'tokenizers.kinds=["byte-bpe"]',
    'grid=[{languages=["constrained", "unconstrained"], shapes=["16/16/32/2/1", "16/16/64/2/1"]}]',
    "training.max_tokens=2000",
    "training.threads=1",
    "probes.max_train_examples=32",
    "probes.max_dev_examples=32",
    "analysis.resamples=20",
)


def commands(page: str) -> list[str]:
    """Lines of code blocks that call `lilliput`, without their comments."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.S | re.M)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("lilliput ")]


def run(line: str, folder: Path) -> None:
    """Run a shown command in this process, a study at less than its smallest scale."""
    arguments = shlex.split(line)[1:]
    if arguments[:1] == ["study"]:
        arguments += [word for assignment in TINY for word in ("--set", assignment)]
    expanded = [
        str(p.relative_to(folder)) for a in arguments for p in sorted(folder.glob(a)) if "*" in a
    ]
    arguments = [a for a in arguments if "*" not in a]
    arguments[2:2] = expanded
    with contextlib.chdir(folder):
        done = call(*arguments)
    assert done.code == 0, f"{line}\n{done.stderr[-1500:]}{done.trace}"


def write_texts(folder: Path) -> None:
    """120 chapters, a file each."""
    from lilliput.language.reading.packages import package_documents

    folder.mkdir()
    for number, document in zip(range(120), package_documents("pythonbible_bwe"), strict=False):
        (folder / f"{number:03d}.txt").write_text(document.text, encoding="utf-8")


def write_table(path: Path) -> None:
    """Twelve runs with a power law between cost and loss, four points each."""
    sizes = [1e5 * 1.6**run for run in range(12)]
    rows = [
        f"r{run},mine,{60 * (size * step * 1e8) ** -0.1 + 1e-3 * run},{size * step * 1e8},{int(size)}"
        for run, size in enumerate(sizes)
        for step in range(1, 5)
    ]
    path.write_text("\n".join(["run,family,loss,flops_reference,num_parameters", *rows, ""]))


def test_the_commands_of_the_readme_run_in_their_order(tmp_path: Path) -> None:
    write_texts(tmp_path / "FOLDER")
    write_table(tmp_path / "runs.csv")
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
