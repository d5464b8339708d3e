"""A small language with a Zipf-like vocabulary, and corpora made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lilliput.core.artefacts import building
from lilliput.tokenization import KINDS, train_tokenizers

_STEMS = [
    "cook",
    "danger",
    "text",
    "fit",
    "social",
    "walk",
    "talk",
    "play",
    "happy",
    "sing",
    "dream",
    "paint",
    "help",
    "count",
    "form",
]
_SUFFIXES = ["", "ing", "ed", "er", "ers", "s", "ful", "less", "ness"]
_SMALL = [
    "the",
    "a",
    "of",
    "to",
    "and",
    "in",
    "it",
    "was",
    "he",
    "she",
    "that",
    "you",
    "dog",
    "cat",
    "house",
    "don't",
    "mother's,",
    "end.",
    "café",
]


def sentences(count: int, seed: int = 0) -> list[str]:
    """Sentences over about 150 words, frequent ones first; the last words are rare."""
    rng = np.random.default_rng(seed)
    words = _SMALL + [stem + suffix for suffix in _SUFFIXES for stem in _STEMS]
    weights = 1 / np.arange(1, len(words) + 1)
    drawn = rng.choice(len(words), size=(count, 12), p=weights / weights.sum())
    return [" ".join(words[i] for i in row) for row in drawn]


def write_corpus(folder: Path, train: Sequence[str], held_out: Sequence[str]) -> Path:
    """A corpus of two shards, each with a part of every split."""
    rows = [(text, "train") for text in train] + [(text, "validation") for text in held_out]
    with building(folder, "corpus", 1, {"rows": len(rows), "first": rows[0][0]}) as build:
        for shard in range(2):
            mine = rows[shard::2]
            table = pa.table(
                {
                    "text": [text for text, _ in mine],
                    "doc_id": [f"{shard}-{i}" for i in range(len(mine))],
                    "source": ["made"] * len(mine),
                    "split": [split for _, split in mine],
                    "position": pa.array([0] * len(mine), pa.int64()),
                }
            )
            pq.write_table(table, build.path(f"shards/{shard:05d}.parquet"))
    return folder


@pytest.fixture(scope="session")
def make_corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def make(train: Sequence[str], held_out: Sequence[str] = ("a cat",)) -> Path:
        return write_corpus(tmp_path_factory.mktemp("corpus") / "corpus", train, held_out)

    return make


@pytest.fixture(scope="session")
def corpus(make_corpus: Callable[..., Path]) -> Path:
    return make_corpus(sentences(600), sentences(80, seed=1))


@pytest.fixture(scope="session")
def tokenizers_folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind at 330 ids, and byte-level BPE at 290 too."""
    out = tmp_path_factory.mktemp("tokenizers")
    train_tokenizers(corpus, out, KINDS, [330])
    train_tokenizers(corpus, out, ["byte-bpe"], [290])
    return out
