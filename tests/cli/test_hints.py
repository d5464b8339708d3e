"""Every line "Next: …" that a verb prints works when it is pasted, in a folder with a space and a quote."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.cli._hints import command_line, shortened, unless
from lilliput.language.reading.packages import package_documents

# A study that takes seconds; `study plan` carries these settings to the run it suggests.
SMALL = [
    "scale=tiny",
    'grid=[{languages=["constrained"], shapes=["16/16/32/2/1", "16/16/64/2/1"]}]',
    "tokenizers.vocab_sizes=[600]",
    "training.max_tokens=2000",
    "training.threads=1",
    "probes.max_train_examples=32",
    "probes.max_dev_examples=32",
]
QUICK = [f"--set={setting}" for setting in SMALL]
RUN = """
tokens = "{tokens}"
out = "a run of mine"
seed = 3

[model]
layout = "roberta"
embedding_size = 16
hidden_size = 16
intermediate_size = 32
num_attention_heads = 2
num_hidden_layers = 1

[training]
max_seq_length = 32
global_batch_size = 16
max_steps = 5
threads = 1
device = "cpu"
dtype = "float32"
eval_sequences = 20
"""


def run(words: list[str]) -> str:
    """Run one command in this process and return what it prints."""
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, f"{shlex.join(words)}\n{done.output}\n{done.exception!r}"
    return done.stdout


def suggested(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("Next: ")]


def follow(words: list[str]) -> list[str]:
    """Run a command and every command that its output suggests in turn, and return those lines."""
    followed: list[str] = []
    while True:
        found = suggested(run(words))
        if not found or found[0] in followed:
            return followed
        followed += found
        words = shlex.split(found[0].removeprefix("Next: "))
        assert words.pop(0) == "lilliput"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name needs quoting, with texts and two tables in it."""
    folder = tmp_path_factory.mktemp("hints") / "it's a place"
    (folder / "my texts").mkdir(parents=True)
    for number, document in zip(range(60), package_documents("pythonbible_bwe"), strict=False):
        name = f"part #{number}.txt"
        (folder / "my texts" / name).write_text(document.text, encoding="utf-8")
    write(folder / "my runs.csv", ["run", "C", "val loss"], _rows(12))
    write(folder / "few runs.csv", ["run", "C", "val loss"], _rows(1))
    write(folder / "no costs.csv", ["run", "loss"], [["a", 3.0], ["b", 2.5]])
    return folder


def _rows(count: int) -> list[list[object]]:
    return [[f"run {n}", 1e14 * 2**n, 50 * (1e14 * 2**n) ** -0.1] for n in range(count)]


def write(path: Path, head: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


@pytest.fixture(autouse=True)
def _here(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(scratch)


@pytest.fixture(scope="module")
def study(scratch: Path) -> Path:
    """A study that was planned and run by the commands alone; returns its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(scratch)
        assert "lilliput study plan mine.toml" in run(["init", "mine", "--recipe", "domain"])
        settings = [f"--set=paths.data={scratch / 'my texts'}", *QUICK]
        where = ["--out", "my study", "--executor", "inline"]
        lines = follow(["study", "plan", "mine.toml", *settings, *where])
    assert [" ".join(line.split()[1:4]) for line in lines] == [
        "lilliput study run", "lilliput runs ls", "lilliput runs show",
    ]  # fmt: skip
    return scratch / "my study"


def test_from_texts_to_a_token_store() -> None:
    lines = follow(
        ["vocabulary", "build", "my texts", "--out", "v #1.csv", "--word-profile", "cpp"]
    )
    verbs = [line.split()[2:4] for line in lines]
    assert verbs == [
        ["corpus", "estimate"], ["corpus", "build"], ["tokenizer", "train"], ["tokenizer", "encode"],
    ]  # fmt: skip
    assert all("--vocabulary 'v #1.csv' " in f"{line} " for line in lines[:2])
    assert all("--word-profile cpp" in line for line in lines[:2])


def test_files_that_a_shell_listed_and_a_comparison_of_tokenizers() -> None:
    files = [f"my texts/part #{n}.txt" for n in range(60)]
    (line,) = suggested(run(["vocabulary", "build", *files, "--out", "a list"]))
    assert line == "Next: lilliput corpus estimate 'my texts/*.txt' --vocabulary 'a list'"
    corpora = ["--vocabulary", "a list", "--out", "other corpora", "--no-unconstrained"]
    follow(["corpus", "build", *files, *corpora])
    compared = ["tokenizer", "compare", "other corpora/constrained", "--out", "my tokenizers"]
    lines = follow([*compared, "--kind", "byte-bpe", "--vocab-size", "600"])
    assert shlex.split(lines[0])[2:5] == ["tokenizer", "encode", "other corpora/constrained"]


def test_a_word_list_alone_suggests_nothing_that_needs_texts() -> None:
    write(Path("words of mine.csv"), ["word", "frequency"], [["the", 9], ["dog", 2]])
    said = run(["vocabulary", "build", "words of mine.csv", "--out", "list.csv"])
    assert "Next:" not in said
    assert "fill in the words in capitals: lilliput corpus estimate TEXTS" in said


@pytest.mark.parametrize(
    ("words", "first", "kept"),
    [
        (
            ["fit", "my runs.csv", "--column=flops=C", "--column=loss=val loss", "--law=power"],
            "plan",
            ["--law power", "--column 'loss=val loss'"],
        ),
        (
            ["fit", "paper", "--points=final", "--resamples=20", "--seed=3", "--law=power"],
            "plan",
            ["--points final", "--resamples 20", "--seed 3"],
        ),
        (
            ["frontier", "my runs.csv", "--column=flops=C", "--column=loss=val loss", "--method=envelope"],
            "fit",
            ["--method envelope"],
        ),
        (
            ["predict", "my runs.csv", "--at=flops=1e19", "--points=final", "--resamples=20", "--law=power"],
            "extrapolate",
            ["--points final", "--resamples 20"],
        ),
    ],
    ids=["columns and law", "points and draws", "frontier", "prediction"],
)  # fmt: skip
def test_an_analysis_keeps_its_options(words: list[str], first: str, kept: list[str]) -> None:
    lines = follow(["analyse", *words])
    assert lines[0].startswith(f"Next: lilliput analyse {first} ")
    assert all(option in lines[0] for option in kept)


@pytest.mark.parametrize(
    ("table", "columns", "next_verb"),
    [
        ("my runs.csv", ["--column=flops=C", "--column=loss=val loss"], "analyse fit"),
        ("few runs.csv", ["--column=flops=C", "--column=loss=val loss"], "report"),
        ("no costs.csv", [], "report"),
        ("my runs.csv", ["--column=flops=C"], "analyse fit"),
    ],
)
def test_convert_suggests_what_the_table_can_carry(
    table: str, columns: list[str], next_verb: str
) -> None:
    lines = follow(["analyse", "convert", table, *columns, "--out", "the tidy one.csv"])
    assert lines[0].startswith(f"Next: lilliput {next_verb} 'the tidy one.csv'")


def test_a_study_leads_to_its_runs_and_they_to_their_scores(study: Path, scratch: Path) -> None:
    name = next((study / "runs").glob("*/run.json")).parent.name
    data = ["--data", str(study / "probes" / "constrained")]
    short = study.relative_to(scratch) / "runs" / name[:6]
    quick = ["--tasks", "word_order", "--set", "num_train_epochs=[1]"]
    inside = ["--out", f"my study/evaluations/{name}/mine"]
    lines = follow(["evaluate", "probes", str(short), *data, *quick, *inside])
    assert lines == ["Next: lilliput report 'my study' --out report.html"]
    lines = follow(["evaluate", "probes", str(short), *data, *quick, "--out", "my scores"])
    assert lines == [f"Next: lilliput runs show 'my study/runs/{name}'"]
    said = run(["export", str(short), "--to", "a model's folder"])
    assert "Next:" not in said
    assert "lilliput push" in said
    assert (scratch / "a model's folder" / "README.md").exists()


def test_a_filled_gap_leads_to_the_run(study: Path, scratch: Path) -> None:
    name = next((study / "runs").glob("*/run.json")).parent.name
    short = study.relative_to(scratch) / "runs" / name[:6]
    lines = follow(["fill", str(short), "in the <mask> of"])
    assert lines == [f"Next: lilliput runs show 'my study/runs/{name}'"]


def test_status_suggests_the_run_with_its_options(scratch: Path) -> None:
    words = ["study", "status", "quickstart", "--out", "not yet", "--set", "scale=tiny"]
    (line,) = suggested(run(words))
    assert line == "Next: lilliput study run quickstart --out 'not yet' --set scale=tiny"


def test_one_run_leads_to_itself(study: Path) -> None:
    recipe = Path("one run.toml")
    recipe.write_text(RUN.format(tokens=study / "tokens" / "constrained"), encoding="utf-8")
    (line,) = follow(["train", str(recipe)])
    assert shlex.split(line)[-1] == "a run of mine"


def test_the_machine_leads_to_the_quickstart(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = suggested(run(["doctor"]))
    assert line == "Next: lilliput quickstart"
    said = run(["quickstart", *QUICK, "--executor", "inline"])
    assert said.splitlines()[0].startswith("Report: ")
    again = run(["quickstart", *QUICK, "--executor", "inline"])
    assert again.splitlines()[0] == said.splitlines()[0]
    assert follow(["runs", "ls", "lilliput-quickstart"])


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: command_line("runs", "ls", Path("a b")), "lilliput runs ls 'a b'"),
        (lambda: command_line("verify", Path("-x")), "lilliput verify ./-x"),
        (
            lambda: command_line("train", "r", set=["a=1", "b='c'"], from_=None),
            """lilliput train r --set a=1 --set 'b='"'"'c'"'"''""",
        ),
        (
            lambda: command_line("x", hub=True, json=False, word_profile="", seed=0),
            "lilliput x --hub --seed 0",
        ),
        (lambda: command_line("x", points=unless("final", "final"), law=unless("a", "b")), "lilliput x --law b"),
    ],
    ids=["space", "hyphen", "repeated", "flags", "defaults"],
)  # fmt: skip
def test_a_command_is_quoted_for_the_shell(make: Callable[[], str], line: str) -> None:
    assert make() == line


def test_many_files_become_the_pattern_that_matches_them(tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.txt" for n in range(9)]
    for file in files:
        file.write_text("a")
    assert shortened([str(file) for file in files]) == [str(tmp_path / "*.txt")]
    assert len(shortened([str(file) for file in files[:8]])) == 8
    assert shortened([str(file) for file in files[:2]]) == [str(file) for file in files[:2]]
