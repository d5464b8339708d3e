"""The smallest rung of every shipped recipe trains for two steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lilliput.architecture import count_parameters
from lilliput.core.artefacts import building
from lilliput.recipes import shipped_recipes
from lilliput.study import load_recipe
from lilliput.study.recipe.expansion import expand_recipe
from lilliput.training import train

VOCAB_SIZE = 300


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token store of random words, of the layout that `tokenizer encode` writes."""
    folder = tmp_path_factory.mktemp("tokens") / "store"
    rng = np.random.default_rng(0)
    facts: dict[str, dict[str, int]] = {"tokens": {}, "documents": {}}
    with building(folder, "tokens", 1, {}) as build:
        for split, documents in (("train", 80), ("validation", 20), ("test", 20)):
            lengths = rng.integers(20, 120, documents)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            ids = rng.integers(5, VOCAB_SIZE, offsets[-1]).astype(np.uint16)
            np.save(build.path(f"{split}.tokens.npy"), ids)
            np.save(build.path(f"{split}.offsets.npy"), offsets)
            facts["tokens"][split], facts["documents"][split] = int(offsets[-1]), documents
        np.save(build.path("token_bytes.npy"), np.full(VOCAB_SIZE, 3, np.int32))
        np.save(build.path("word_start.npy"), np.ones(VOCAB_SIZE, bool))
        build.facts |= {"vocab_size": VOCAB_SIZE, **facts}
    return folder


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_smallest_rung_trains(name: str, tokens: Path, tmp_path: Path) -> None:
    runs = expand_recipe(load_recipe(name)).runs
    smallest = min(runs, key=lambda run: count_parameters(run.config(VOCAB_SIZE).model).total)
    config = smallest.config(VOCAB_SIZE)
    budget = {"max_tokens": None, "num_train_epochs": None, "max_steps": 2, "threads": 1}
    training = config.training.model_copy(update=budget)
    result = train(config.model_copy(update={"training": training}), tokens, tmp_path / "run")
    assert result.steps == 2 + training.begins_with_a_part
    assert result.num_parameters == count_parameters(config.model).total
    assert abs(result.loss - np.log(VOCAB_SIZE)) < 1.0  # Two warm-up steps leave it near uniform.
