"""A whole study on invented text that takes seconds: for faults, executors and the run store."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DEADLINE_S = 300
RECIPE = """
name = "small"

[vocabulary]
sources = ["{folder}/text.jsonl"]
coverage = 1.0

[languages.invented]
sources = ["{folder}/text.jsonl"]

[languages.invented.corpus]
validation_share = 0.1
test_share = 0.1

[tokenizers]
vocab_sizes = [300]
train_with = "byte-bpe-300"

[model]
layout = "mini-bert"

[training]
max_steps = 40
max_seq_length = 32
global_batch_size = 4
eval_sequences = 8
eval_points_per_decade = 2
save_interval_s = 0.2
threads = 1
dtype = "float32"

[[grid]]
languages = ["invented"]
seeds = [0, 1]
shapes = ["8/8/16/1/1", "8/16/32/2/1"]

[analysis]
resamples = 20
"""


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe with four runs, beside the text it names."""
    folder = tmp_path_factory.mktemp("recipe")
    rng = random.Random(0)
    letters = "etaoinshrdlu"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 6))) for _ in range(150)]
    paragraphs = (
        " ".join(rng.choices(words, weights=range(1, 151), k=rng.randint(50, 90)))
        for _ in range(150)
    )
    lines = (json.dumps({"text": f"{paragraph}."}) + "\n" for paragraph in paragraphs)
    (folder / "text.jsonl").write_text("".join(lines))
    path = folder / "small.toml"
    path.write_text(RECIPE.replace("{folder}", str(folder)))
    return path


def study_command(recipe: Path, out: Path, *more: str, verb: str = "run") -> list[str]:
    """The command line of a study."""
    return [
        sys.executable, "-m", "lilliput", "study", verb, str(recipe), "--out", str(out), "--json", *more,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def run_study_command() -> Callable[..., tuple[int, dict[str, object]]]:
    """Runs a verb of `lilliput study` in its own process: exit code and JSON."""

    def call(
        recipe: Path, out: Path, *more: str, verb: str = "run"
    ) -> tuple[int, dict[str, object]]:
        done = subprocess.run(
            study_command(recipe, out, *more, verb=verb),
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr[-2000:]
        return done.returncode, json.loads(done.stdout)

    return call


@pytest.fixture(scope="session")
def finished_study(
    recipe_file: Path,
    run_study_command: Callable[..., tuple[int, dict[str, object]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The study, undisturbed; tests that change it copy it first."""
    out = tmp_path_factory.mktemp("finished") / "study"
    code, record = run_study_command(recipe_file, out, "--executor", "inline")
    assert (code, record["runs"], record["done"]) == (0, 4, 4)
    return out
