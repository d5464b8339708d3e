"""A small corpus, and everything that a trained run needs, made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lilliput.architecture import ModelConfig
from lilliput.core.artefacts import building
from lilliput.tokenization import TokenizerSettings, encode_corpus, train_tokenizer
from lilliput.training import RunConfig, TrainingConfig, train


@dataclass(frozen=True)
class Line:
    """Everything an evaluation reads."""

    corpus: Path
    tokenizer: Path
    tokens: Path
    run: Path


MakeCorpus = Callable[..., Path]
_WORDS = [
    "cat",
    "dog",
    "sun",
    "old",
    "red",
    "big",
    "sees",
    "likes",
    "finds",
    "takes",
    "the",
    "a",
    "we",
    "you",
    "and",
    "but",
    "now",
    "then",
]


def write_corpus(
    folder: Path,
    *,
    sources: int = 3,
    documents: int = 30,
    held_out: int = 24,
    space: str = " ",
    seed: int = 0,
) -> Path:
    """A corpus artefact of random sentences, every source with some words of its own."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for number in range(documents):
        source = f"book{number % sources}"
        own = [f"{word}{number % sources}" for word in ("king", "ship", "tree")]
        split = "train" if number >= held_out else ("validation", "test")[number % 2]
        for position in range(3):
            sentences = [
                space.join(rng.choice(_WORDS + own, rng.integers(6, 12))) + "." for _ in range(8)
            ]
            text = (" " if space else "").join(sentences)
            rows.append((text, f"{source}/{number}", source, split, position))
    names = ("text", "doc_id", "source", "split", "position")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    settings = {"sources": sources, "held_out": held_out, "space": space, "seed": seed}
    with building(folder, "corpus", 1, settings) as build:
        pq.write_table(pa.table(columns), build.path("shards/00000.parquet"))
    return folder


@pytest.fixture
def make_corpus(tmp_path: Path) -> MakeCorpus:
    """Make a corpus with settings of one's own."""

    def make(**settings: object) -> Path:
        return write_corpus(tmp_path / "corpus", **settings)  # pyright: ignore[reportArgumentType]

    return make


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty documents of three sources, twenty-four of them held out."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def line(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A tokenizer, and a run of three updates of a tiny model with its checkpoints."""
    root = tmp_path_factory.mktemp("line")
    tokenizer = train_tokenizer(
        corpus, root / "tokenizer", TokenizerSettings(kind="byte-bpe", vocab_size=300)
    )
    encode_corpus(corpus, tokenizer, root / "tokens")
    run = train_run(root / "run", root / "tokens")
    return Line(corpus, tokenizer, root / "tokens", run)


def train_run(
    out: Path, tokens: Path, *, layout: str = "mini-bert", seed: int = 0, **recipe: object
) -> Path:
    """A run of three updates; `recipe` is added to its training: a profile, switches."""
    model = ModelConfig.for_layout(
        layout,
        vocab_size=300,
        embedding_size=16,
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_seq_length=64,
    )
    values: dict[str, object] = {
        "max_seq_length": 64,
        "max_steps": 3,
        "global_batch_size": 8,
        "learning_rate": 1e-2,
        "eval_sequences": 8,
        "save_steps": (1,),
        "threads": 1,
        "dtype": "float32",
        "device": "cpu",
    }
    training = TrainingConfig.model_validate(values | recipe)
    train(RunConfig(model=model, training=training, seed=seed), tokens, out)
    return out
