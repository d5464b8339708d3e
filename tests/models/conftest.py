"""Small configurations and batches for the tests of models."""

from __future__ import annotations

import pytest
import torch

from lilliput.architecture import ModelConfig

VOCABULARY = 97


def small_config(layout: str, **fields: object) -> ModelConfig:
    factorised = layout in {"mini-bert", "electra"}
    sizes = {
        "vocab_size": VOCABULARY,
        "embedding_size": 12 if factorised else 24,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_attention_heads": 3,
        "num_hidden_layers": 3,
        "max_seq_length": 32,
    }
    return ModelConfig.for_layout(layout, **(sizes | fields))


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of four texts of different lengths, padded on the right with id 1."""
    lengths = torch.tensor([16, 9, 13, 2])
    numbers = torch.Generator().manual_seed(3)
    ids = torch.randint(5, VOCABULARY, (4, 16), generator=numbers)
    mask = torch.arange(16)[None] < lengths[:, None]
    return ids.masked_fill(~mask, 1), mask
