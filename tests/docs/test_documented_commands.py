"""What the documentation shows runs: every command of a page in its order, every option anywhere."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from tests.faults.damage import call

from lilliput.cli._frame import build_app
from lilliput.language.reading.packages import package_documents
from lilliput.study import init_recipe, load_recipe, read_runs, run_study

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
HOWTOS = sorted(DOCS.glob("howto/*.md"))
TINY = (
    "scale=tiny",
    'grid=[{languages=["constrained"], shapes=["16/16/32/2/1", "16/16/64/2/1"]}]',
    "tokenizers.vocab_sizes=[600]",
    "training.max_tokens=2000",
    "training.threads=1",
    "probes.max_train_examples=32",
    "probes.max_dev_examples=32",
)


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M)
    return [body for name, body in fenced if name == language]


def commands(page: Path, language: str = "") -> list[str]:
    lines = [line.split(" #")[0].strip() for b in blocks(page, language) for line in b.splitlines()]
    return [line for line in lines if line.startswith("lilliput ")]


ALL = [
    pytest.param(line, id=f"{page.stem}: {line[:70]}")
    for page in PAGES
    for language in ("", "text")
    for line in commands(page, language)
]


@pytest.mark.parametrize("line", ALL)
def test_a_shown_command_has_only_known_verbs_and_options(line: str) -> None:
    command: Any = typer.main.get_command(build_app())
    words = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        if words[0].startswith("-"):
            return
        command = command.commands[words.pop(0)]
    known = {name for option in command.params for name in option.opts + option.secondary_opts}
    known |= {"--help", "-h"}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, f"{word} in: {line}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the how-tos assume it: texts, two finished studies, a table of runs, a task, prompts."""
    folder = tmp_path_factory.mktemp("howto")
    (folder / "texts").mkdir()
    chapters = [document.text for document in package_documents("pythonbible_bwe")]
    for number in range(3):
        part = "\n".join(chapters[number * 40 :][:40])
        (folder / "texts" / f"part-{number}.txt").write_text(part, encoding="utf-8")
    recipe = load_recipe("domain", [f"paths.data={folder / 'texts'}", *TINY])
    run_study(recipe, folder / "my-study", executor="inline")
    init_recipe("causal", "domain", folder, is_causal=True)
    recipe = load_recipe(str(folder / "causal.toml"), [f"paths.data={folder / 'texts'}", *TINY])
    run_study(recipe, folder / "my-causal-study", executor="inline")
    (folder / "prompts.txt").write_text("in the beginning\nthe king\n", encoding="utf-8")
    write_table(folder / "runs.csv")
    write_task(folder / "tasks" / "polite")
    return folder


def write_table(path: Path) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["run", "family", "loss", "flops_reference", "num_parameters"])
        for run in range(12):
            size = 1e5 * 1.6**run
            for step in range(1, 5):
                cost = size * step * 1e8
                rows.writerow([f"r{run}", "mine", 60 * cost**-0.1 + 1e-3 * run, cost, int(size)])


def write_task(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "task.toml").write_text(blocks(DOCS / "howto" / "add-a-task.md", "toml")[0])
    for split, count in (("train", 32), ("validation", 16)):
        texts = ["please go to the house" if i % 2 else "go to the house" for i in range(count)]
        table = pa.table({"sentence": texts, "label": [i % 2 for i in range(count)]})
        pq.write_table(table, folder / f"{split}.parquet")


def with_runs(text: str, folder: Path) -> str:
    """Return `text` with the id of a run for RUN in every STUDY/runs/RUN."""

    def named(found: re.Match[str]) -> str:
        return f"{found[1]}/runs/{read_runs(folder / found[1])[0].folder.name}"

    return re.sub(r"([\w-]+)/runs/RUN\b", named, text)


def run(line: str, folder: Path) -> None:
    """Run a shown command in this process; a study at its smallest."""
    arguments = shlex.split(line)[1:]
    if arguments[:2] == ["study", "run"]:
        arguments += [word for assignment in TINY for word in ("--set", assignment)]
    arguments = [with_runs(word, folder) for word in arguments]
    with contextlib.chdir(folder):
        done = call(*arguments)
    assert done.code == 0, f"{line}\n{done.stderr[-1500:]}{done.trace}"


@pytest.mark.parametrize("page", HOWTOS, ids=lambda path: path.stem)
def test_the_commands_of_a_how_to_run_in_their_order(page: Path, place: Path) -> None:
    lines = commands(page)
    assert lines
    for line in lines:
        run(line, place)


@pytest.mark.parametrize(
    "page", [p for p in HOWTOS if blocks(p, "python")], ids=lambda path: path.stem
)
def test_the_python_of_a_how_to_runs(
    page: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for block in blocks(page, "python"):
        exec(compile(with_runs(block, place), str(page), "exec"), {})


def test_the_task_of_the_page_is_scored(place: Path) -> None:
    run_folder = read_runs(place / "my-study")[0].folder
    scores = list((place / "my-study" / "evaluations" / run_folder.name).rglob("scores.json"))
    tasks = {s["task"] for path in scores for s in json.loads(path.read_text(encoding="utf-8"))}
    if not any("polite" in task for task in tasks):
        run(commands(DOCS / "howto" / "add-a-task.md")[-1], place)
        scores = list((place / "my-study" / "evaluations" / run_folder.name).rglob("scores.json"))
        tasks = {s["task"] for p in scores for s in json.loads(p.read_text(encoding="utf-8"))}
    assert any("polite" in task for task in tasks)
