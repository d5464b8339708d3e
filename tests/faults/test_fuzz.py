"""Damaged studies, odd recipes and odd command lines: a sentence and an exit code, never a traceback.

The examples are the same each time. With `--slow` there are about twenty times as many.
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.faults.conftest import Tiny, verbs
from tests.faults.damage import ALLOWED, KINDS, Outcome, call, spoil

_QUICK, _LONG = {"studies": 60, "recipes": 60, "lines": 60}, 20
_FEW_S = (
    25.0  # Of wall time for each of the three, whatever the machine: then the rest is left out.
)

# Fits take seconds each and read one table, which `report` and `frontier` read too.
COMMANDS = ("verify", "study status", "study plan", "study run", "report", "runs ls", "runs show",
          "runs diff", "runs sql", "runs prune", "export run", "export corpus", "evaluate pairs",
          "evaluate probes", "tokenizer encode", "train", "corpus filter", "analyse frontier")  # fmt: skip


def amounts(name: str) -> list[Any]:
    few = _QUICK[name]
    return [
        pytest.param(few, _FEW_S, id="quick"),
        pytest.param(few * _LONG, 1200.0, id="long", marks=pytest.mark.slow),
    ]


def options(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def assert_answered(found: Outcome, what: str) -> None:
    assert not found.is_traceback, f"{what}\n{found.trace}\n{found.stderr[-2000:]}"
    assert found.code in ALLOWED, f"{what}: exit {found.code}\n{found.stderr[-2000:]}"


@pytest.mark.parametrize(("examples", "seconds"), amounts("studies"))
def test_a_damaged_study_is_refused_in_words_or_does_not_matter(
    examples: int, seconds: float, tiny: Tiny
) -> None:
    files = sorted(
        path.relative_to(tiny.folder)
        for path in tiny.folder.rglob("*")
        if path.is_file() and path.name != ".driver"
    )
    until = time.monotonic() + seconds

    @options(examples)
    @given(
        st.sampled_from(files),
        st.sampled_from(sorted(KINDS)),
        st.sampled_from(COMMANDS),
        st.integers(0, 2**32),
    )
    def try_one(file: Path, kind: str, verb: str, seed: int) -> None:
        if time.monotonic() > until:
            return
        whole = (tiny.folder / file).read_bytes()
        damaged = KINDS[kind](whole, random.Random(seed))
        if damaged == whole:
            return
        with tempfile.TemporaryDirectory() as place:
            study = tiny.copy(Path(place) / "study")
            spoil(study / file, damaged)
            found = call(*verbs(tiny, study, Path(place) / "out")[verb])
            assert_answered(found, f"{verb} on {file}, {kind}, seed {seed}")
            # The listing is made again where it is damaged, and the last command line is only a help;
            # everything else is an artefact's.
            if verb == "verify" and file.name not in (".index.parquet", ".command"):
                assert found.code == 2, f"{file}, {kind}, seed {seed} verifies"

    try_one()


_KEYS = ("name", "seed", "vocabulary", "vocabulary.coverage", "languages", "languages.invented.sources",
         "tokenizers.vocab_sizes", "tokenizers.train_with", "model.layout", "model.hidden_size",
         "model.vocab_size", "training.max_steps", "training.switches", "training.learning_rate",
         "training.max_seq_length", "training.threads", "grid", "scales", "scale", "paths.x", "search",
         "probes.seeds", "glue", "pairs", "analysis.resamples", "analysis.flops", "analysis.probe", "training.max_tokens", "training.num_train_epochs",
         "training.global_batch_size", "training.eval_sequences", "search.max_steps", "nonsense.x")  # fmt: skip
_VALUES = st.one_of(
    st.sampled_from(
        ['""', "[]", "{}", "true", "-1", "0", "1e308", "nan", "inf", "1979-05-27", '"../x"', '"/"',
         "[[[]]]", "[" * 3000, "9" * 5000, "9" * 400, "9" * 20, '"\\u0000"', '{a={b={c=1}}}', "[1, 'a', {}]", '"' + "a" * 9000 + '"']
    ),
    st.integers().map(str),
    st.text(max_size=12),
)  # fmt: skip


@pytest.mark.parametrize(("examples", "seconds"), amounts("recipes"))
def test_odd_recipes_are_refused_or_planned(examples: int, seconds: float, tiny: Tiny) -> None:
    until = time.monotonic() + seconds

    @options(examples)
    @given(st.lists(st.tuples(st.sampled_from(_KEYS), _VALUES), min_size=1, max_size=3))
    def try_one(changes: list[tuple[str, str]]) -> None:
        if time.monotonic() > until:
            return
        with tempfile.TemporaryDirectory() as place:
            words = [w for key, value in changes for w in ("--set", f"{key}={value}")]
            out = str(Path(place) / "study")
            found = call("study", "plan", str(tiny.recipe), "--out", out, *words)
            assert_answered(found, f"study plan {words}")

    try_one()


_WORDS = st.one_of(
    st.sampled_from(
        ["study", "plan", "run", "status", "runs", "ls", "show", "diff", "verify", "report", "export",
         "analyse", "fit", "frontier", "corpus", "build", "filter", "tokenizer", "train", "vocabulary",
         "evaluate", "pairs", "probes", "init", "--json", "--out", "--set", "--to", "--help", "-h", "--",
         "a=b", "/dev/null", ".", "..", "/nowhere/x", "paper", "tiny", "", " ", "-1", "nan"]
    ),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8),
)  # fmt: skip


@pytest.mark.parametrize(("examples", "seconds"), amounts("lines"))
def test_odd_command_lines_are_refused_in_words(
    examples: int, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    until = time.monotonic() + seconds

    @options(examples)
    @given(st.lists(_WORDS, max_size=6))
    def try_one(words: list[str]) -> None:
        # What needs minutes or a whole study is no fault: fits of the built-in table, the quickstart.
        if time.monotonic() > until or "quickstart" in words or "paper" in words:
            return
        assert_answered(call(*words), f"lilliput {words}")

    try_one()
