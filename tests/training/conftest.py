"""A tiny token store and tiny models, made in a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lilliput.architecture import ModelConfig
from lilliput.core.artefacts import building
from lilliput.training import RunConfig, TrainingConfig

VOCAB_SIZE = 60


def write_store(
    folder: Path,
    *,
    vocab_size: int = VOCAB_SIZE,
    documents: int = 400,
    seed: int = 0,
    arrays: dict[str, Any] | None = None,
) -> Path:
    """A token store whose tokens follow a noisy cycle, so that context helps to predict them.

    `arrays` replaces what it says of the ids: `token_bytes`, `word_start`.
    """
    rng = np.random.default_rng(seed)
    settings = {"seed": seed, "vocab_size": vocab_size}
    with building(folder, "tokens", 1, settings, {"tokenizer": "0123456789abcdef"}) as build:
        counts: dict[str, Any] = {"tokens": {}, "documents": {}}
        for split, size in (("train", documents), ("validation", documents // 5)):
            lengths = rng.integers(3, 45, size)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            steps = rng.choice([1, 2], p=[0.9, 0.1], size=offsets[-1])
            tokens = 5 + (np.cumsum(steps) % (vocab_size - 5))
            np.save(build.path(f"{split}.tokens.npy"), tokens.astype(np.uint16))
            np.save(build.path(f"{split}.offsets.npy"), offsets)
            counts["tokens"][split] = int(offsets[-1])
            counts["documents"][split] = size
        ids = np.arange(vocab_size)
        said = {
            "token_bytes": np.where(ids < 5, 0, 1 + ids % 4).astype(np.int32),
            "word_start": (ids >= 5) & (ids % 3 != 0),
        }
        for name, values in (said | (arrays or {})).items():
            np.save(build.path(f"{name}.npy"), values)
        build.facts.update(counts, vocab_size=vocab_size)
    return folder


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token store of 400 documents over 60 ids."""
    return write_store(tmp_path_factory.mktemp("store") / "tokens")


def tiny_model(layout: str = "mini-bert", **fields: Any) -> ModelConfig:
    """A two-layer model of width 16."""
    sizes: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "embedding_size": 16,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "max_seq_length": 32,
    }
    return ModelConfig.for_layout(layout, **(sizes | fields))


@pytest.fixture
def make_config() -> Callable[..., RunConfig]:
    """A short run: keyword arguments are keys of the recipe; `model`, `seed` are the rest."""

    def make(model: ModelConfig | None = None, seed: int = 0, **training: Any) -> RunConfig:
        recipe: dict[str, Any] = {
            "max_seq_length": 32,
            "global_batch_size": 16,
            "per_device_train_batch_size": 16,
            "learning_rate": 3e-3,
            "eval_sequences": 64,
            "eval_points_per_decade": 2,
            "threads": 1,
            "dtype": "float32",
            "device": "cpu",
        }
        if not training.keys() & {"max_steps", "max_tokens", "num_train_epochs"}:
            recipe["max_steps"] = 12
        return RunConfig(
            model=model or tiny_model(), training=TrainingConfig(**(recipe | training)), seed=seed
        )

    return make
