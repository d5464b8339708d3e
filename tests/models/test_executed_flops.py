"""The executed conventions against the operations that torch counts while it executes them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from lilliput.architecture import (
    LAYOUTS,
    ModelConfig,
    Workload,
    fine_tuning_flops,
    training_flops,
)
from lilliput.architecture.flops import softmax_forward
from lilliput.models import build_model

BATCH, LENGTH = 4, 32


def shape_of(layout: str) -> ModelConfig:
    factorised = layout in {"mini-bert", "electra"}
    return ModelConfig.for_layout(
        layout,
        vocab_size=700,
        embedding_size=32 if factorised else 64,
        hidden_size=64,
        intermediate_size=160,
        num_attention_heads=4,
        num_hidden_layers=3,
        max_seq_length=LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def counted(config: ModelConfig, predicted: int) -> float:
    """FLOPs of one step with the head at `predicted` of the tokens, as torch counts products."""
    model = build_model(config, seed=0)
    ids = torch.randint(5, 700, (BATCH, LENGTH), generator=torch.Generator().manual_seed(0))
    # Plain attention: torch counts the fused kernel as nothing on the CPU.
    with FlopCounterMode(display=False) as counter:
        hidden = model.encode(ids).flatten(0, 1)[:predicted]
        functional.cross_entropy(model.logits(hidden), ids.flatten()[:predicted]).backward()
    return float(counter.get_total_flops())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [1.0, 0.25])
def test_executed_flops_are_those_torch_executes(layout: str, share: float):
    config = shape_of(layout)
    predicted = int(BATCH * LENGTH * share)
    flops = training_flops(config, sequences=BATCH, seq_length=LENGTH, predicted_tokens=predicted)
    work = Workload.of(seq_length=LENGTH, sequences=BATCH, predicted_share=share)
    softmax = 3 * softmax_forward(config, work)  # exponentials are not products: torch skips them
    assert counted(config, predicted) == pytest.approx(
        flops["flops_executed_masked"] - softmax, rel=0.01
    )


def test_the_one_hot_embedding_of_the_reference_formula_is_never_executed():
    config = shape_of("mini-bert")
    flops = training_flops(config, sequences=BATCH, seq_length=LENGTH)
    one_hot = 3 * 2 * BATCH * LENGTH * 700 * 32
    executed = counted(config, BATCH * LENGTH)
    assert flops["flops_hoffmann"] - one_hot < executed < flops["flops_hoffmann"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fine_tuning_flops_are_those_torch_executes(layout: str):
    """The trunk forwards and backwards; a classifier's head on one position is next to nothing."""
    config = shape_of(layout)
    tokens, squares = BATCH * LENGTH, BATCH * LENGTH**2
    model = build_model(config, seed=0)
    ids = torch.randint(5, 700, (BATCH, LENGTH), generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter:
        model.encode(ids)[:, 0].sum().backward()
    work = Workload.of(seq_length=LENGTH, sequences=BATCH, predicted_share=0.0)
    softmax = 3 * softmax_forward(config, work)
    expected = fine_tuning_flops(config, tokens=tokens, squared_lengths=squares) - softmax
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.01)
