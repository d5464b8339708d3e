"""A study of as many runs and updates as a benchmark asks for, on invented text or on a real corpus."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

_RECIPE = """name = "bench"

[vocabulary]
VOCABULARY

[languages.reduced]
sources = SOURCES

[languages.reduced.corpus]
validation_share = 0.05
test_share = 0.05

[tokenizers]
vocab_sizes = [VOCAB_SIZE]
train_with = "byte-bpe-VOCAB_SIZE"

[model]
layout = "mini-bert"

[training]
max_steps = STEPS
max_seq_length = 64
global_batch_size = 8
eval_sequences = 32
eval_points_per_decade = 4
save_interval_s = 5.0
fleet_size = FLEET
threads = THREADS
dtype = "float32"

[[grid]]
languages = ["reduced"]
seeds = SEEDS
shapes = ["16/16/64/2/1", "16/32/64/2/1", "32/32/128/2/2", "32/64/128/4/2"]

[analysis]
resamples = 20
"""
SHAPES = 4


def write_recipe(
    folder: Path,
    *,
    runs: int,
    steps: int,
    documents: int = 1500,
    texts: Sequence[Path] = (),
    vocabulary: Path | None = None,
    fleet_size: int = 1,
    threads: int = 1,
) -> Path:
    """A recipe of about `runs` runs of `steps` updates.

    Args:
        folder: Where it is written, with invented text beside it where no `texts` are given.
        runs: A multiple of four; seeds times four shapes.
        steps: Updates a run.
        documents: Of the invented text.
        texts: Tables with a real corpus, filtered by `vocabulary`.
        vocabulary: A word list; every word of the invented text when None.
        fleet_size: Runs in one stack. Fixed, since trials of two studies could tell different sizes.
        threads: Of each run; more than one make replicas.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = [str(path) for path in texts] or [str(_invent(folder / "text.jsonl", documents))]
    words = f"sources = {json.dumps(sources)}\ncoverage = 1.0"
    filled = {
        "VOCABULARY": words if vocabulary is None else f"file = {json.dumps(str(vocabulary))}",
        "SOURCES": json.dumps(sources),
        "VOCAB_SIZE": "8000" if texts else "1000",
        "STEPS": str(steps),
        "FLEET": str(fleet_size),
        "THREADS": str(threads),
        "SEEDS": str(list(range(max(1, runs // SHAPES)))),
    }
    text = _RECIPE
    for name, value in filled.items():
        text = text.replace(name, value)
    path = folder / "bench.toml"
    path.write_text(text)
    return path


def _invent(path: Path, documents: int) -> Path:
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 7))) for _ in range(800)]

    def document() -> str:
        length = rng.randint(50, 110)
        return " ".join(rng.choices(words, weights=range(1, 801), k=length)) + "."

    lines = (json.dumps({"text": document()}) for _ in range(documents))
    path.write_text("".join(f"{line}\n" for line in lines))
    return path
