"""A study on invented text, of as many runs and updates as a benchmark asks for."""

from __future__ import annotations

import json
import random
from pathlib import Path

_RECIPE = """name = "bench"

[vocabulary]
sources = ["TEXT"]
coverage = 1.0

[languages.invented]
sources = ["TEXT"]

[languages.invented.corpus]
validation_share = 0.05
test_share = 0.05

[tokenizers]
vocab_sizes = [1000]
train_with = "byte-bpe-1000"

[model]
layout = "mini-bert"

[training]
max_steps = STEPS
max_seq_length = 64
global_batch_size = 8
eval_sequences = 32
eval_points_per_decade = 4
save_interval_s = 5.0
threads = 1
dtype = "float32"

[[grid]]
languages = ["invented"]
seeds = SEEDS
shapes = ["16/16/64/2/1", "16/32/64/2/1", "32/32/128/2/2", "32/64/128/4/2"]

[analysis]
resamples = 20
"""
SHAPES = 4


def write_recipe(folder: Path, *, runs: int, steps: int, documents: int = 1500) -> Path:
    """A recipe of about `runs` runs of `steps` updates, with its text beside it."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 7))) for _ in range(800)]
    lines = (
        json.dumps(
            {
                "text": " ".join(rng.choices(words, weights=range(1, 801), k=rng.randint(50, 110)))
                + "."
            }
        )
        for _ in range(documents)
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.jsonl").write_text("".join(f"{line}\n" for line in lines))
    seeds = list(range(max(1, runs // SHAPES)))
    text = _RECIPE.replace("TEXT", str(folder / "text.jsonl"))
    path = folder / "bench.toml"
    path.write_text(text.replace("STEPS", str(steps)).replace("SEEDS", str(seeds)))
    return path
