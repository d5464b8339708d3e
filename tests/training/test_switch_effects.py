"""Every switch does what its row says, and the table is what the profiles are."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest
import torch

from lilliput.architecture import training_flops
from lilliput.core.errors import ConfigurationError
from lilliput.core.files import read_json_lines
from lilliput.core.progress import SILENT
from lilliput.core.settings import parse_settings
from lilliput.training import (
    RunConfig,
    Switches,
    TrainingConfig,
    load_model,
    profile_values,
    switch_table,
    train,
)
from lilliput.training.data.batches import make_batch
from lilliput.training.data.packing import one_a_row
from lilliput.training.data.sequences import SPECIAL_PER_SEQUENCE
from lilliput.training.data.token_data import load_data
from lilliput.training.loop import TrainingLoop
from lilliput.training.objectives.base import DrawKey
from lilliput.training.recorder import BudgetBranching
from lilliput.training.validation import Measurement
from lilliput.training.weights import build_run_model

from .conftest import tiny_model


def make_loop(config: RunConfig, tokens: Path, folder: Path) -> TrainingLoop:
    folder.mkdir(parents=True)
    return TrainingLoop(config, load_data(config, tokens), folder, SILENT, BudgetBranching("test"))


def batch_of(loop: TrainingLoop, step: int = 1):
    return loop.batch(step)


def measure(loop: TrainingLoop, number: int = 0) -> Measurement:
    return loop.recorder.validation.measure(loop.engine.model, loop.plan, number)


@pytest.fixture
def loop_with(make_config, tokens, tmp_path):
    """A loop before its first update, under the given switches."""
    made = []

    def make(model=None, seed=0, training=None, **switches):
        made.append(None)
        config = make_config(model=model, seed=seed, switches=switches, **(training or {}))
        return make_loop(config, tokens, tmp_path / f"run{len(made)}")

    return make


# The table


def test_the_reference_profile_sets_what_the_design_lists():
    """Design, decision 3: B1-B3, B5-B11, B23-B24, B26, B33."""
    rows = {int(row.row[1:]) for row in switch_table() if row.reference != row.corrected}
    assert rows == {1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 23, 24, 26, 33}
    assert all(row.reference != row.corrected for row in switch_table())
    assert all(
        row.effect and row.room in ("training", "models", "evaluation") for row in switch_table()
    )


def test_corrected_is_the_default_and_a_mixture_is_a_recipe():
    assert TrainingConfig().switches == Switches(**profile_values("corrected")) == Switches()
    mixture = TrainingConfig(profile="reference", switches={"shuffle": True})
    expected = profile_values("reference") | {"shuffle": True}
    assert mixture.switches == Switches(**expected)


def test_a_resolved_recipe_survives_its_own_record():
    for profile in ("reference", "corrected"):
        config = TrainingConfig(profile=profile, switches={"max_grad_norm": 0.5})
        assert TrainingConfig(**config.model_dump(mode="json")) == config


def test_an_unknown_switch_names_the_nearest():
    with pytest.raises(ConfigurationError, match=r"score_pading.*Did you mean 'score_padding'"):
        parse_settings(TrainingConfig, {"switches": {"score_pading": True}})
    with pytest.raises(ConfigurationError, match="'published'"):
        parse_settings(TrainingConfig, {"profile": "published"})


# B1, B2: padding


def test_scored_padding_is_measured(loop_with):
    loop = loop_with(score_padding=True)
    batch = batch_of(loop)
    (micro,) = batch.micro_batches
    assert micro.input_ids_BL.shape == (16, 32)
    pads = int((micro.input_ids_BL == 1).sum())
    assert int((micro.targets_N == 1).sum()) == pads > 0
    assert batch.predicted > pads
    measured = measure(loop)
    assert not measured.loss_reference_imputed
    # Untrained, pads cost what tokens cost, near ln V: nothing is diluted yet.
    assert measured.loss_reference == pytest.approx(log(60), rel=0.02)


def test_learned_padding_dilutes_the_reference_loss(make_config, tokens, tmp_path):
    config = make_config(max_steps=80, switches={"score_padding": True})
    result = train(config, tokens, tmp_path / "run")
    assert result.loss_reference < 0.6 * result.loss


def test_unscored_padding_is_imputed_as_m_l_over_m_plus_p(loop_with):
    loop = loop_with()
    measured = measure(loop)
    assert measured.loss_reference_imputed
    batch = loop.recorder.validation._batch(0)
    lengths = (
        loop.schedule.data.validation.lengths[loop.recorder.validation._chosen]
        + SPECIAL_PER_SEQUENCE
    )
    masked, pads = batch.predicted, int((32 - lengths).sum())
    expected = masked * measured.loss / (masked + pads)
    assert measured.loss_reference == pytest.approx(expected, rel=1e-9)
    assert all(int((m.targets_N == 1).sum()) == 0 for m in batch.micro_batches)


def test_attended_padding_gives_no_mask_and_moves_the_loss(loop_with):
    recipe = {"initializer_range": 0.2}
    plain = loop_with(training=recipe)
    attending = loop_with(training=recipe, attend_padding=True)
    assert all(m.attention_mask is None for m in batch_of(attending).micro_batches)
    assert any(m.attention_mask is not None for m in batch_of(plain).micro_batches)
    assert batch_of(attending).predicted == batch_of(plain).predicted
    assert measure(attending).loss != pytest.approx(measure(plain).loss, rel=1e-4)


def test_pads_change_nothing_when_they_are_masked(loop_with, monkeypatch):
    """The same sequences packed, or one a row and padded to 32 columns."""
    loop = loop_with(model=tiny_model(hidden_dropout_prob=0.0))
    validation = loop.recorder.validation
    packed = measure(loop).loss
    padded = make_batch(
        loop.schedule.data.validation, validation._chosen, DrawKey.of(0, "evaluation"),
        loop.schedule.data.rules, 16, packing=one_a_row(len(validation._chosen), 32),
    )  # fmt: skip
    assert len(padded.micro_batches) > len(validation._batch(0).micro_batches)
    monkeypatch.setattr(validation, "_fixed", padded)
    # float32 sums in another order.
    assert measure(loop).loss == pytest.approx(packed, rel=1e-6)


# B3, B6, B7, B33: the model


def test_heads_stay_eight_and_flops_keep_the_recorded_number(make_config):
    config = make_config(switches={"always_eight_heads": True})
    model = build_run_model(config)
    assert {layer.heads for layer in model.layers} == {8}
    right = build_run_model(make_config())
    assert {layer.heads for layer in right.layers} == {2}
    assert config.model.num_attention_heads == 2
    flops = training_flops(config.model, seq_length=32, sequences=1)["flops_reference"]
    eight = tiny_model(num_attention_heads=8)
    assert flops < training_flops(eight, seq_length=32, sequences=1)["flops_reference"]


def test_the_projection_norm_starts_at_a_hundredth(make_config):
    norm = build_run_model(make_config(switches={"projection_norm_gain": 0.01})).projection_norm
    assert norm.weight.tolist() == pytest.approx([0.01] * 16)
    assert norm.bias.tolist() == pytest.approx([0.01] * 16)
    # Turned off alone, as a recipe spells it: no gain of 1 with a bias of 1.
    off = make_config(profile="reference", switches={"projection_norm_gain": 1.0})
    for config in (make_config(), off):
        right = build_run_model(config).projection_norm
        assert right.weight.tolist() == [1.0] * 16
        assert right.bias.tolist() == [0.0] * 16


def test_xavier_start_and_biases(make_config):
    model = build_run_model(make_config(switches={"initialization": "xavier"}))
    up = model.layers[0].up
    assert up.bias.tolist() == pytest.approx([0.01] * 32)
    n = up.weight.numel()
    expected = np.sqrt(2 / (16 + 32))
    # The standard error of a standard deviation is sigma / sqrt(2 n).
    assert abs(up.weight.std().item() - expected) < 5 * expected / np.sqrt(2 * n)
    assert model.embeddings.word.weight[1].abs().sum().item() > 0.0
    normal = build_run_model(make_config(initializer_range=0.1)).layers[0].up
    assert abs(normal.weight.std().item() - 0.1) < 5 * 0.1 / np.sqrt(2 * n)
    assert not normal.bias.any()


@pytest.mark.parametrize(("switch", "expected"), [(0.1, 0.1), (0.0, 0.0), (None, 0.25)])
def test_dropout_is_the_switch_or_the_models_own(make_config, switch, expected):
    model = tiny_model(hidden_dropout_prob=0.25, attention_probs_dropout_prob=0.25)
    built = make_config(model=model, switches={"dropout": switch}).built_model()
    assert built.hidden_dropout_prob == built.attention_probs_dropout_prob == expected


def test_dropout_acts_in_updates_and_not_in_evaluations(loop_with):
    loop = loop_with(dropout=0.1)
    assert measure(loop) == measure(loop)
    batch = batch_of(loop)
    torch.manual_seed(0)
    first = loop.engine.accumulate(batch).item()
    assert loop.engine.accumulate(batch).item() != first


# B5: accumulation


def test_the_first_of_k_micro_batches_is_an_update_of_its_own(loop_with):
    recipe = {"global_batch_size": 16, "per_device_train_batch_size": 4, "num_train_epochs": 1.0}
    right = loop_with(training=recipe)
    wrong = loop_with(training=recipe, accumulation_off_by_one=True)
    first, second = batch_of(wrong, 1), batch_of(wrong, 2)
    assert (first.sequences, second.sequences, batch_of(right, 1).sequences) == (4, 16, 16)
    weights = [sum(m.weights_N.sum().item() for m in b.micro_batches) for b in (first, second)]
    # One of k = 4 micro-batches at 1/k of its weight, then four.
    assert weights == pytest.approx([0.25, 1.0])
    total = sum(m.weights_N.sum().item() for m in batch_of(right, 1).micro_batches)
    assert total == pytest.approx(1.0)


def test_each_accumulated_micro_batch_is_averaged_alone(loop_with):
    recipe = {"global_batch_size": 16, "per_device_train_batch_size": 4}
    batch = batch_of(loop_with(training=recipe, accumulation_off_by_one=True), 2)
    weights, rows = (np.concatenate(x) for x in zip(*[(m.weights_N.numpy(), m.rows_N) for m in batch.micro_batches], strict=True))  # fmt: skip
    sums = np.bincount(rows // 4, weights=weights)
    assert sums == pytest.approx(0.25)
    assert len(np.unique(weights)) > 1


# B8-B11


def test_evaluation_masks_are_redrawn_only_under_the_switch(loop_with):
    fixed, redrawn = loop_with(), loop_with(redraw_evaluation_masks=True)
    assert measure(fixed, 0) == measure(fixed, 1)
    assert measure(redrawn, 0).loss != measure(redrawn, 1).loss
    assert measure(redrawn, 1) == measure(redrawn, 1)


def test_fixed_evaluation_masks_are_shared_by_seeds_and_redrawn_ones_are_not(loop_with):
    def masks(loop):
        return np.concatenate(
            [m.targets_N.numpy() for m in loop.recorder.validation._batch(0).micro_batches]
        )

    assert np.array_equal(masks(loop_with(seed=0)), masks(loop_with(seed=1)))
    drawn = [masks(loop_with(seed=s, redraw_evaluation_masks=True)) for s in (0, 1)]
    assert not np.array_equal(*drawn)


def test_special_tokens_are_scored_only_under_the_switch(loop_with):
    def special(loop):
        batches = [batch_of(loop, step).micro_batches for step in range(1, 12)]
        return sum(int((m.targets_N < 5).sum()) for batch in batches for m in batch)

    assert special(loop_with()) == 0
    scored = special(loop_with(mask_special_tokens=True))
    # 11 updates x 16 sequences x 2 special tokens x 0.15 = 53, standard deviation 7.
    assert 53 - 5 * 7 < scored < 53 + 5 * 7


def test_batch_means_weigh_a_short_last_batch_more(loop_with):
    recipe = {"eval_sequences": 50, "eval_batch_size": 45}
    pooled = loop_with(training=recipe, score_padding=True)
    batched = loop_with(training=recipe, score_padding=True, eval_average="batch")
    for loop in (pooled, batched):
        for step in range(1, 13):
            loop.engine.step(batch_of(loop, step), 3e-3, step)
    assert measure(pooled).loss == pytest.approx(measure(batched).loss, rel=1e-6)
    expected = _mean_of_batch_means(batched, 45)
    assert measure(batched).loss_reference == pytest.approx(expected, rel=1e-6)
    assert measure(pooled).loss_reference != pytest.approx(expected, rel=1e-6)


def _mean_of_batch_means(loop: TrainingLoop, size: int) -> float:
    """By the textbook: cross-entropy of each batch with logits for all positions."""
    model, means = loop.engine.model.eval(), []
    (micro,) = _one_pass(loop)
    with torch.no_grad():
        logits = model.logits(
            model.encode(micro.input_ids_BL, micro.attention_mask, micro.position_ids_BL).flatten(
                0, 1
            )
        )
    nats = -logits.log_softmax(1)[micro.positions_N, micro.targets_N]
    for start in range(0, 50, size):
        inside = torch.from_numpy((micro.rows_N >= start) & (micro.rows_N < start + size))
        means.append(nats[inside].mean().item())
    return float(np.mean(means))


def _one_pass(loop: TrainingLoop):
    loop.recorder.validation._fixed = None
    loop.recorder.validation._max_rows = 1000
    return loop.recorder.validation._batch(0).micro_batches


def test_without_shuffling_every_seed_reads_the_stored_order(loop_with):
    def first_tokens(loop):
        batch = loop.schedule.chosen(1)
        return batch.tolist()

    stored = [first_tokens(loop_with(seed=s, shuffle=False)) for s in (0, 1)]
    assert stored == [list(range(16))] * 2
    shuffled = [first_tokens(loop_with(seed=s)) for s in (0, 1)]
    assert shuffled[0] != shuffled[1]


# B33: the optimizer


def test_gradients_are_clipped_only_under_the_switch(loop_with):
    for limit in (0.05, 0.0):
        loop = loop_with(max_grad_norm=limit)
        loop.engine.accumulate(batch_of(loop))
        optimizer = loop.engine.optimizer
        before = optimizer.gradients.norm().item()
        assert before > 0.05
        optimizer.clip(limit)
        expected = limit or before
        assert optimizer.gradients.norm().item() == pytest.approx(expected, rel=1e-4)


def test_biases_and_norms_are_decayed_only_under_the_switch(loop_with):
    chosen = set(loop_with().engine.optimizer.decayed_names)
    all_names = set(loop_with(decay_all_parameters=True).engine.optimizer.decayed_names)
    vectors = all_names - chosen
    assert chosen
    assert all(name.endswith("bias") or "norm" in name for name in vectors)
    assert all(name.endswith("weight") or name == "decoder" for name in chosen)


def test_both_profiles_train_to_the_end_and_report_both_losses(make_config, tokens, tmp_path):
    for profile in ("reference", "corrected"):
        result = train(make_config(profile=profile), tokens, tmp_path / profile)
        assert result.loss_reference_imputed is (profile == "corrected")
        records = read_json_lines(tmp_path / profile / "metrics.jsonl")
        assert all({"loss", "loss_reference"} <= record.keys() for record in records)
    heads = {layer.heads for layer in load_model(tmp_path / "reference").layers}
    assert heads == {8}
