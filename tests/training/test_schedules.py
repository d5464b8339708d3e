"""Learning rates and budgets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.training import TrainingConfig
from lilliput.training.budget import evaluation_steps, plan_schedule, plan_stream
from lilliput.training.schedule import Schedule, warmup_length


def test_inverse_square_root_has_the_published_values():
    """S:A5: peak 5e-4, warm-up 1,773 of 35,475 updates."""
    schedule = plan_schedule(TrainingConfig(), 35_475)
    assert schedule.warmup_steps == 1_773
    published = {1000: 2.820e-4, 1773: 5.000e-4, 10_000: 2.105e-4, 35_475: 1.1178e-4}
    for step, rate in published.items():
        assert schedule.learning_rate(step) == pytest.approx(rate, rel=2e-4)


def test_the_warm_up_is_bounded_as_published():
    assert warmup_length(35_475, 0.05, None) == 1_773
    assert warmup_length(1_000_000, 0.05, None) == 4_000
    assert warmup_length(10, 0.05, None) == 1
    assert warmup_length(10, 0.05, 7) == 7


kinds = st.sampled_from(["inverse_sqrt", "cosine", "linear", "constant", "warmup_stable_decay"])


@given(kinds, st.integers(1, 400), st.integers(0, 400), st.integers(0, 400))
def test_rates_rise_to_the_peak_and_never_exceed_it(kind, steps, warmup, decay):
    warmup = min(warmup, steps)
    decay = min(decay, steps - warmup)
    schedule = Schedule(kind, 2.0, steps, warmup, decay)
    rates = [schedule.learning_rate(step) for step in range(1, steps + 1)]
    assert all(0.0 <= rate <= 2.0 for rate in rates)
    assert all(a <= b for a, b in pairwise(rates[:warmup]))
    after = rates[max(warmup, 1) - 1 :]
    assert all(a >= b for a, b in pairwise(after))


@pytest.mark.parametrize("kind", ["cosine", "linear", "warmup_stable_decay"])
def test_decaying_schedules_end_at_their_floor(kind):
    assert Schedule(kind, 1.0, 100, 10, 20).learning_rate(100) == pytest.approx(0.0)
    assert Schedule(kind, 1.0, 100, 10, 20, 0.1).learning_rate(100) == pytest.approx(0.1)


def test_half_way_values():
    assert Schedule("cosine", 1.0, 110, 10).learning_rate(60) == pytest.approx(0.5)
    assert Schedule("linear", 1.0, 110, 10).learning_rate(60) == pytest.approx(0.5)
    assert Schedule("warmup_stable_decay", 1.0, 100, 10, 20).learning_rate(90) == pytest.approx(0.5)


def test_short_and_long_stable_runs_are_one_run_until_the_decay_begins():
    short = Schedule("warmup_stable_decay", 1.0, 100, 10, 20)
    long = Schedule("warmup_stable_decay", 1.0, 1000, 10, 200)
    assert short.decay_start == 80
    same = [short.learning_rate(s) == long.learning_rate(s) for s in range(1, 81)]
    assert all(same)
    assert short.learning_rate(81) < long.learning_rate(81)


def paper_budget(**switches):
    """S:A2 and A5: 9,081,490 sequences, 256 an update as 2 x 128."""
    training = TrainingConfig(
        global_batch_size=256,
        per_device_train_batch_size=128,
        num_train_epochs=1,
        switches=switches,
    )
    return plan_stream(training, 9_081_490, 9_081_490 * 120)


def test_accumulation_off_by_one_adds_an_update():
    """S:B5: 35,476 updates instead of 35,475, the first with one micro-batch."""
    right, wrong = paper_budget(), paper_budget(accumulation_off_by_one=True)
    assert (right.max_steps, wrong.max_steps) == (35_475, 35_476)
    assert (right.places(1), wrong.places(1)) == ((0, 256), (0, 128))
    assert wrong.places(2) == (128, 256)
    for stream in (right, wrong):
        start, count = stream.places(stream.max_steps)
        assert start + count == 9_081_490
        assert count > 0


@given(st.integers(1, 3000), st.integers(1, 300), st.integers(1, 4), st.booleans())
def test_one_epoch_reads_every_sequence_once(sequences, micro, parts, off_by_one):
    training = TrainingConfig(
        global_batch_size=micro * parts,
        per_device_train_batch_size=micro,
        num_train_epochs=1,
        switches={"accumulation_off_by_one": off_by_one},
    )
    stream = plan_stream(training, sequences, 10 * sequences)
    at = 0
    for step in range(1, stream.max_steps + 1):
        start, count = stream.places(step)
        assert (start, count > 0) == (at, True)
        at += count
    assert at == sequences


def test_a_token_budget_is_met_to_within_half_an_update():
    training = TrainingConfig(global_batch_size=100, max_tokens=1_000_000)
    stream = plan_stream(training, sequences=5_000, input_tokens=5_000 * 64)
    assert abs(stream.max_steps * 6_400 - 1_000_000) <= 3_200


def test_evaluation_points_are_log_spaced_from_the_start_and_shared_by_lengths():
    training = TrainingConfig(eval_points_per_decade=4, eval_steps=(7, 5000))
    points = evaluation_steps(training, 1000)
    assert {0, 1, 2, 3, 6, 7, 10, 18, 32, 56, 100, 1000} <= points
    assert max(points) == 1000
    assert points <= evaluation_steps(training, 20_000)
