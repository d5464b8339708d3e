"""Learning rates and budgets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.architecture import ModelConfig
from lilliput.core.files import read_json_lines
from lilliput.core.hashing import content_id
from lilliput.study import load_recipe
from lilliput.training import (
    RUN_SCHEMA,
    RunConfig,
    TrainingConfig,
    branch_configs,
    train,
    train_branches,
)
from lilliput.training.budget import evaluation_steps, plan_schedule, plan_stream
from lilliput.training.learning_rate import LearningRateSchedule, warmup_length
from lilliput.training.trunks import branch_start


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
    schedule = LearningRateSchedule(kind, 2.0, steps, warmup, decay)
    rates = [schedule.learning_rate(step) for step in range(1, steps + 1)]
    assert all(0.0 <= rate <= 2.0 for rate in rates)
    assert all(a <= b for a, b in pairwise(rates[:warmup]))
    after = rates[max(warmup, 1) - 1 :]
    assert all(a >= b for a, b in pairwise(after))


@pytest.mark.parametrize("kind", ["cosine", "linear", "warmup_stable_decay"])
def test_decaying_schedules_end_at_their_floor(kind):
    assert LearningRateSchedule(kind, 1.0, 100, 10, 20).learning_rate(100) == pytest.approx(0.0)
    assert LearningRateSchedule(kind, 1.0, 100, 10, 20, 0.1).learning_rate(100) == pytest.approx(
        0.1
    )


def test_half_way_values():
    assert LearningRateSchedule("cosine", 1.0, 110, 10).learning_rate(60) == pytest.approx(0.5)
    assert LearningRateSchedule("linear", 1.0, 110, 10).learning_rate(60) == pytest.approx(0.5)
    assert LearningRateSchedule("warmup_stable_decay", 1.0, 100, 10, 20).learning_rate(
        90
    ) == pytest.approx(0.5)


@pytest.mark.parametrize("cycles", [0.25, 0.5, 1.0, 1.7])
def test_the_cosine_is_that_of_transformers(cycles):
    import torch

    optimization = pytest.importorskip("transformers.optimization")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = optimization.get_cosine_schedule_with_warmup(optimizer, 10, 110, cycles).lr_lambdas[0]
    training = TrainingConfig(
        lr_scheduler_type="cosine", learning_rate=3e-3, warmup_steps=10, num_cycles=cycles
    )
    schedule = plan_schedule(training, 110)
    for step in range(1, 111):
        expected = 3e-3 * theirs(step)
        assert schedule.learning_rate(step) == pytest.approx(expected, rel=1e-12, abs=1e-18)


def test_the_follow_up_ends_at_half_its_peak():
    """S:E6: a cosine of 0.25 cycles after 1,000 updates of warm-up."""
    training = load_recipe("mini-gpt").training
    schedule = plan_schedule(training, training.max_steps)
    assert schedule.learning_rate(1_000) == training.learning_rate == 2.8e-3
    assert schedule.learning_rate(training.max_steps) == pytest.approx(1.4e-3)


def test_a_wave_that_does_not_fall_to_the_end_keeps_above_its_floor():
    assert LearningRateSchedule("cosine", 1.0, 110, 10, 0, 0.2, 0.25).learning_rate(
        110
    ) == pytest.approx(0.6)


def settings(**training):
    model = ModelConfig.for_layout(
        "mini-bert",
        max_seq_length=128,
        vocab_size=1000,
        embedding_size=16,
        hidden_size=32,
        intermediate_size=64,
        num_attention_heads=2,
        num_hidden_layers=2,
    )
    return RunConfig(model=model, training=training).identity_settings()


def test_ids_change_only_with_the_schema():
    """A change here makes finished runs strangers: raise RUN_SCHEMA with it."""
    assert RUN_SCHEMA == 2
    assert content_id(settings()) == "e65ac8f8b6619672"
    cosine = {"lr_scheduler_type": "cosine", "max_steps": 100}
    assert content_id(settings(**cosine)) == "d70ef7c5ce6d825a"


def test_short_and_long_stable_runs_are_one_run_until_the_decay_begins():
    short = LearningRateSchedule("warmup_stable_decay", 1.0, 100, 10, 20)
    long = LearningRateSchedule("warmup_stable_decay", 1.0, 1000, 10, 200)
    assert short.decay_start == 80
    same = [short.learning_rate(s) == long.learning_rate(s) for s in range(1, 81)]
    assert all(same)
    assert short.learning_rate(81) < long.learning_rate(81)


SEQUENCES = 9_081_490


def paper_budget(micro=128, budget=None, **switches):
    """S:A2 and A5: 9,081,490 sequences, 256 an update as 2 x 128."""
    training = TrainingConfig(
        global_batch_size=256,
        per_device_train_batch_size=micro,
        switches=switches,
        **(budget or {"num_train_epochs": 1}),
    )
    return plan_stream(training, SEQUENCES, SEQUENCES * 120)


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


@pytest.mark.parametrize("budget", [{"max_steps": 35_475}, {"max_tokens": 35_475 * 256 * 120}])
def test_accumulation_off_by_one_adds_an_update_to_every_budget(budget):
    """The sequences are those of the budget; the last update reads what the first one left."""
    right = paper_budget(budget=budget)
    wrong = paper_budget(budget=budget, accumulation_off_by_one=True)
    assert (right.max_steps, wrong.max_steps) == (35_475, 35_476)
    assert (right.places(1), wrong.places(1)) == ((0, 256), (0, 128))
    assert [wrong.places(2), wrong.places(35_476)] == [(128, 256), (35_475 * 256 - 128, 128)]
    assert right.places(35_475) == (35_474 * 256, 256)
    # Where one micro-batch is all of an update, nothing is left to be added.
    assert paper_budget(256, budget, accumulation_off_by_one=True) == right
    assert plan_schedule(TrainingConfig(), wrong.max_steps).warmup_steps == 1_773


@pytest.mark.parametrize(("off_by_one", "updates"), [(False, 6), (True, 7)])
def test_a_run_makes_the_updates_of_its_budget(make_config, tokens, tmp_path, off_by_one, updates):
    config = make_config(
        max_steps=6,
        per_device_train_batch_size=8,
        switches={"accumulation_off_by_one": off_by_one},
    )
    assert train(config, tokens, tmp_path / "run").steps == updates
    points = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert points[-1]["step"] == updates


def test_branches_under_accumulation_off_by_one_equal_runs_from_scratch(
    make_config, tokens, tmp_path
):
    config = make_config(
        lr_scheduler_type="warmup_stable_decay",
        warmup_steps=2,
        per_device_train_batch_size=8,
        switches={"accumulation_off_by_one": True},
    )
    short, long = branch_configs(config, [10, 20])
    # 11 and 21 updates, of which a fifth are the decay.
    assert (branch_start(short), branch_start(long)) == (9, 17)
    results = train_branches([short, long], tokens, [tmp_path / "short", tmp_path / "long"])
    assert train(short, tokens, tmp_path / "alone").loss == results[0].loss
    assert results[0].steps == 11


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
