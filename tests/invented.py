"""Invented words in invented sentences, and the recipe of a study on them that takes seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path

_RECIPE = """
name = "{name}"

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
max_seq_length = 32
global_batch_size = 4
eval_sequences = 8
threads = 1
dtype = "float32"
{training}
[[grid]]
languages = ["invented"]
seeds = [0, 1]
shapes = ["8/8/16/1/1", "8/16/32/2/1"]

[analysis]
resamples = 20
"""


def write_texts(path: Path, documents: int = 150) -> None:
    """Write documents of 50 to 89 invented words as JSON Lines."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 6))) for _ in range(150)]
    paragraphs = (
        " ".join(rng.choices(words, weights=range(1, 151), k=rng.randint(50, 90))) + "."
        for _ in range(documents)
    )
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in paragraphs))


def write_recipe(folder: Path, name: str, training: str) -> Path:
    """Write the texts and the recipe of a study of four runs into `folder`, and return the recipe.

    Args:
        folder: Where both go.
        name: The name of the study.
        training: More lines of the table `training`, and whole tables after it.
    """
    write_texts(folder / "text.jsonl")
    path = folder / f"{name}.toml"
    path.write_text(_RECIPE.format(name=name, folder=folder, training=training))
    return path
