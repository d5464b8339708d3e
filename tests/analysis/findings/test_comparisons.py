"""Means of shapes, and ladders of shapes that differ in one thing."""

from __future__ import annotations

import pytest

from lilliput.analysis.findings.comparisons import depth_ladders, means_by_shape, width_ladders
from lilliput.analysis.findings.runs import Run


def run(name: str, width: int, layers: int, loss: float) -> Run:
    sizes = {
        "embedding_size": width,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": 2,
        "num_hidden_layers": layers,
    }
    shape = "/".join(str(size) for size in sizes.values())
    return Run(
        name, {"shape": shape}, sizes, {"loss": loss, "num_parameters": width * layers}, True
    )


RUNS = (
    run("a0", 16, 1, 5.0),
    run("a1", 16, 1, 5.2),
    run("b0", 16, 2, 4.8),
    run("c0", 32, 2, 4.5),
)


def test_seeds_of_a_shape_become_one_mean_with_an_interval():
    first, second, _ = means_by_shape(RUNS)
    assert first.loss.value == pytest.approx(5.1)
    assert first.loss.n == 2
    assert first.loss.low is not None
    assert first.loss.low < 5.1
    assert (second.loss.value, second.loss.low) == (4.8, None)


def test_a_ladder_of_depth_holds_every_width():
    (ladder,) = depth_ladders(means_by_shape(RUNS))
    assert ladder.held == "width 16"
    assert [step.sizes["num_hidden_layers"] for step in ladder.steps] == [1, 2]


def test_a_ladder_of_width_holds_the_depth():
    (ladder,) = width_ladders(means_by_shape(RUNS))
    assert ladder.held == "2 layers"
    assert [step.sizes["hidden_size"] for step in ladder.steps] == [16, 32]
