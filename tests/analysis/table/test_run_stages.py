"""The warm-up is left out by the columns that mark it; where it stays, a warning says so."""

from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.test_verbs import run_json

from lilliput.analysis import (
    FitOptions,
    analyse_fit,
    frontier,
    measurements_of,
    read_table,
)
from lilliput.core.errors import InputError

WARM_UP, LAST = 60, 1000
STEPS = np.unique(np.geomspace(1, LAST, 16).round())


def curves(csv_file, **more):
    """Twelve sizes whose loss falls steeply during the warm-up and by a power law after it.

    The law past the warm-up is 6 C^-0.05 exactly, whatever the size; the learning rate falls again
    after the warm-up, as in most schedules.
    """
    rows = {"run": [], "step": [], "flops_x": [], "loss": [], "learning_rate": []}
    for index, cost in enumerate(np.geomspace(1e7, 1e10, 12)):
        for step in STEPS.tolist():
            flops = cost * step
            slow = 4 * max(0.0, 1 - step / WARM_UP)
            rows["run"].append(f"run{index}")
            rows["step"].append(int(step))
            rows["flops_x"].append(flops)
            rows["loss"].append(6 * (flops / 1e9) ** -0.05 + slow)
            rate = step / WARM_UP if step <= WARM_UP else (LAST - step) / (LAST - WARM_UP) + 0.01
            rows["learning_rate"].append(rate)
    columns = {name: values for name, values in (rows | more).items() if values is not None}
    return read_table(csv_file(columns))


def test_points_before_the_highest_learning_rate_are_left_out(csv_file):
    data = measurements_of(curves(csv_file))
    # The highest recorded rate is that of the first update past the warm-up or the last within it.
    assert data.step.min() == STEPS[STEPS < WARM_UP].max() or data.step.min() > WARM_UP
    dropped = 12 * int((data.step.min() > STEPS).sum())
    assert data.refused == {"in the warm-up": dropped}
    assert any(f"left out: {dropped} in the warm-up" in w for w in data.warnings)
    assert not data.is_early.any()


def test_the_stated_length_of_the_warm_up_is_exact(csv_file):
    count = 12 * STEPS.size
    table = curves(csv_file, learning_rate=None, warmup_steps=[WARM_UP] * count)
    assert measurements_of(table).step.min() == STEPS[STEPS > WARM_UP].min()


def test_the_law_past_the_warm_up_is_the_true_one(csv_file):
    table = curves(csv_file)
    options = FitOptions(points="all", resamples=0)
    clean = analyse_fit(table, options=options)
    assert clean.breaks == ()
    assert clean.parameters["exponent"].value == pytest.approx(0.05, abs=1e-6)
    kept = analyse_fit(
        table, options=FitOptions(law="power", points="all", after_step=0, resamples=0)
    )
    assert abs(kept.parameters["exponent"].value - 0.05) > 0.01
    assert (clean.facts["after_step"], kept.facts["after_step"]) == (None, 0)


def test_a_break_among_early_points_is_called_start_up(csv_file):
    table = curves(csv_file)
    options = FitOptions(law="segmented", breaks=1, after_step=0, resamples=0)
    assert any(
        "the warm-up and not scale" in w for w in analyse_fit(table, options=options).warnings
    )


def test_constant_rates_and_single_points_tell_of_no_warm_up(csv_file):
    constant = curves(csv_file, learning_rate=[1e-3] * (12 * STEPS.size))
    assert len(measurements_of(constant)) == len(constant)
    finals = csv_file(
        {"run": "abc", "flops_x": [1e9, 2e9, 4e9], "loss": [4, 3, 2], "learning_rate": [1, 2, 3]}
    )
    assert len(measurements_of(read_table(finals))) == 3


def test_a_finished_run_stays_whatever_its_learning_rate(csv_file):
    """Runs of several budgets under one name, each with a learning rate of its own."""
    rows = {"run": "aab", "flops_x": [1e9, 2e9, 4e9], "loss": [4, 3, 2]}
    path = csv_file(rows | {"learning_rate": [1, 2, 3], "is_final": ["true"] * 3})
    assert len(measurements_of(read_table(path))) == 3


def test_updates_are_left_out_by_number(paper):
    data = measurements_of(paper, after_step=1773)
    assert data.refused == {"up to step 1773": 42}
    assert len(data) == 1512 - 42
    assert frontier(paper, after_step=1773).n_measurements == len(data)
    assert len(measurements_of(paper, after_step=0)) == 1512
    with pytest.raises(InputError, match="-1"):
        measurements_of(paper, after_step=-1)
    with pytest.raises(InputError, match="1512"):
        measurements_of(paper, after_step=10**6)


def test_a_table_without_updates_cannot_leave_them_out(csv_file):
    path = csv_file({"flops_x": [1e9, 2e9, 4e9], "loss": [4, 3, 2]})
    with pytest.raises(InputError, match="step"):
        measurements_of(read_table(path), after_step=5)


def test_the_published_first_break_is_called_start_up(paper):
    """Its two points below are the first evaluations of their runs, in the warm-up of 1,773 updates."""
    options = FitOptions(law="segmented", breaks=3, resamples=0)
    said = [
        w for w in analyse_fit(paper, options=options).warnings if "the warm-up and not scale" in w
    ]
    assert len(said) == 1
    assert "2 of the 2 points just below" in said[0]
    without = analyse_fit(
        paper, options=FitOptions(law="segmented", breaks=2, after_step=1773, resamples=0)
    )
    assert not any("the warm-up and not scale" in w for w in without.warnings)


def test_the_command_line_leaves_updates_out():
    assert len(run_json("frontier", "paper")["points"]) == 34
    points = run_json("frontier", "paper", "--after-step", "1773")["points"]
    assert min(point["step"] for point in points) == 2000
    record = run_json("fit", "paper", "--law", "power", "--resamples", "5", "--after-step", "1773")
    assert record["after_step"] == 1773
    assert record["refused"] == {"up to step 1773": 42}
