"""Ways of computing one run that must give one result."""

from __future__ import annotations

import time
from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
import torch

from lilliput.core.progress import SILENT
from lilliput.models import Transformer, build_model
from lilliput.training.data.batches import make_batch
from lilliput.training.data.packing import one_a_row
from lilliput.training.data.token_data import load_data
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.gradients import add_gradients, predicted_losses
from lilliput.training.execution.optimizer import FlatAdamW
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.loop import TrainingLoop
from lilliput.training.objectives.base import DrawKey
from lilliput.training.recorder import BudgetBranching
from lilliput.training.weights import build_run_model

from ..conftest import VOCAB_SIZE, tiny_model

LAYOUTS = ["mini-bert", "roberta", "electra", "modernbert", "llama"]
PLAN = ExecutionPlan("cpu", 1, "float32", "fused", 16, False, torch.__version__)


def gradient_of(config, tokens, max_rows, count=16, packing=None, plan=PLAN):
    """Loss and flat gradient of one global batch in passes of at most `max_rows` rows."""
    data = load_data(config, tokens)
    key = DrawKey.of(0, "train", 1)
    batch = make_batch(
        data.train, np.arange(count), key, data.rules, max_rows,
        multiple_of=plan.replicas, packing=packing,
    )  # fmt: skip
    engine = Engine(
        build_run_model(config, plan.attention_kernel), config.objective(), config, plan
    )
    loss = engine.accumulate(batch)
    return loss.item(), engine.optimizer.gradients.clone(), batch


@pytest.mark.parametrize("layout", LAYOUTS)
def test_accumulation_and_packing_change_neither_loss_nor_gradient(make_config, tokens, layout):
    config = make_config(model=tiny_model(layout))
    alone = one_a_row(16, 32)
    one = gradient_of(config, tokens, 16, packing=alone)
    assert len(one[2].micro_batches) == 1
    for max_rows, packing in ((16, None), (5, None), (1, None), (3, alone), (1, alone)):
        loss, gradient, batch = gradient_of(config, tokens, max_rows, packing=packing)
        if packing is None:
            rows = sum(len(micro.input_ids_BL) for micro in batch.micro_batches)
            assert rows < 16
            assert any(micro.position_ids_BL is not None for micro in batch.micro_batches)
        # The same float32 terms in another order: 60 to 2,000 terms, 1e-7 each.
        assert loss == pytest.approx(one[0], rel=2e-6)
        torch.testing.assert_close(gradient, one[1], rtol=1e-4, atol=2e-7)


@pytest.mark.parametrize("layout", ["mini-bert", "roberta"])
def test_a_batch_in_which_nothing_is_scored_gives_nothing(make_config, tokens, layout):
    config = make_config(model=tiny_model(layout), mlm_probability=1e-6)
    data = load_data(config, tokens)
    batch = make_batch(data.train, np.arange(4), DrawKey.of(0, "train", 1), data.rules, 4)
    assert batch.predicted == 0
    model = build_run_model(config)
    (micro,) = batch.micro_batches
    assert predicted_losses(model, micro, PLAN).shape == (0,)
    assert Engine(model, config.objective(), config, PLAN).accumulate(batch).item() == 0.0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_passes_that_share_cast_weights_add_up_in_bfloat16(make_config, tokens, layout):
    """Weights are cast once for all passes of an update, and each pass goes back through the same cast."""
    config = make_config(model=tiny_model(layout))
    plan = replace(PLAN, dtype="bfloat16", attention_kernel="plain")
    exact = gradient_of(config, tokens, 16)
    scale = exact[1].abs().max()
    for max_rows in (16, 2):
        loss, gradient, batch = gradient_of(config, tokens, max_rows, plan=plan)
        assert max_rows == 16 or len(batch.micro_batches) > 2
        # bfloat16 keeps 8 bits: 4e-3 a product, a few products deep.
        assert loss == pytest.approx(exact[0], rel=2e-3)
        torch.testing.assert_close(gradient / scale, exact[1] / scale, rtol=0.0, atol=2e-2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_replicas_add_up_to_one_model(make_config, tokens, layout, dtype):
    """Three passes at a time, over two batches: within rounding of one after another, and bitwise repeatable."""
    config = make_config(model=tiny_model(layout))
    kernel = "plain" if dtype == "bfloat16" else "fused"
    plan = replace(PLAN, dtype=dtype, attention_kernel=kernel)
    loss, gradient, one = gradient_of(config, tokens, 4, plan=plan)
    sums = []
    for _ in range(2):
        engine = Engine(
            build_run_model(config, kernel),
            config.objective(),
            config,
            replace(plan, threads=3, replicas=3),
        )
        for _ in range(2):  # What a replica had added must be gone before the second.
            engine.optimizer.zero_grad()
            total = engine.accumulate(one)
        assert total.item() == pytest.approx(loss, rel=2e-6)
        tolerance = 1e-6 if dtype == "float32" else 4e-3
        scale = gradient.abs().max()
        torch.testing.assert_close(
            engine.optimizer.gradients / scale, gradient / scale, rtol=0.0, atol=tolerance
        )
        sums.append(engine.optimizer.gradients)
    assert torch.equal(*sums)


def test_passes_are_shared_out_evenly_among_replicas(make_config, tokens):
    config = make_config()

    def rows(count, replicas):
        plan = replace(PLAN, threads=replicas, replicas=replicas)
        batch = gradient_of(config, tokens, 4, count=count, plan=plan)[2]
        return [len(micro.input_ids_BL) for micro in batch.micro_batches]

    assert rows(16, 1) == [4, 3, 3]
    assert rows(16, 2) == [3, 3, 2, 2]
    assert rows(1, 4) == [1]


def test_replicas_measure_what_one_model_measures(make_config, tokens, tmp_path):
    config = make_config(per_device_train_batch_size=8)
    loop = TrainingLoop(
        config, load_data(config, tokens), tmp_path, SILENT, BudgetBranching("test")
    )
    validation, model = loop.recorder.validation, loop.engine.model
    measured = [validation.measure(model, replace(PLAN, threads=n, replicas=n), 0) for n in (1, 3)]
    assert measured[0] == measured[1]
    assert measured[0].loss == pytest.approx(log(VOCAB_SIZE), rel=0.05)


def test_an_error_in_a_replica_ends_the_update(make_config, tokens, monkeypatch):
    """The others end with the pass they are at, instead of with all of their share."""
    config = make_config()
    *_, batch = gradient_of(config, tokens, 5)
    first, second = batch.micro_batches
    foreign = replace(second, input_ids_BL=second.input_ids_BL + VOCAB_SIZE)
    passes = []
    head_hidden = Transformer.head_hidden

    def slow(self, hidden_NH):
        passes.append(len(hidden_NH))
        time.sleep(0.02)
        return head_hidden(self, hidden_NH)

    monkeypatch.setattr(Transformer, "head_hidden", slow)
    engine = Engine(
        build_run_model(config), config.objective(), config, replace(PLAN, threads=2, replicas=2)
    )
    with pytest.raises(IndexError, match="out of range"):
        engine.accumulate(replace(batch, micro_batches=[first, foreign, *[first] * 98]))
    at_the_error = len(passes)
    time.sleep(0.5)
    assert len(passes) <= at_the_error + 1 < 50


def test_all_logits_at_all_positions_give_the_same_loss(make_config, tokens):
    """The textbook loop: logits everywhere, labels of -100 elsewhere."""
    config = make_config()
    loss, gradient, batch = gradient_of(config, tokens, 16, packing=one_a_row(16, 32))
    (micro,) = batch.micro_batches
    model = build_run_model(config)
    labels = torch.full(micro.input_ids_BL.shape, -100).flatten()
    labels[micro.positions_N] = micro.targets_N
    hidden = model.encode(micro.input_ids_BL, micro.attention_mask)
    expected = torch.nn.functional.cross_entropy(model.logits(hidden.flatten(0, 1)), labels)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    stock = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert gradient.norm().item() == pytest.approx(stock.norm().item(), rel=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_attention_kernels_agree_to_rounding(make_config, tokens, layout):
    config = make_config(model=tiny_model(layout), initializer_range=0.2)
    data = load_data(config, tokens)
    key = DrawKey.of(0, "train", 1)
    batch = make_batch(data.train, np.arange(16), key, data.rules, 16)
    results = []
    for kernel in ("plain", "fused"):
        engine = Engine(build_run_model(config, kernel), config.objective(), config, PLAN)
        results.append((engine.accumulate(batch).item(), engine.optimizer.gradients))
    assert results[1][0] == pytest.approx(results[0][0], rel=2e-6)
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-4, atol=1e-6)


def test_two_threads_agree_with_one_to_rounding(make_config, tokens, tmp_path):
    """Stated tolerance: 1e-5 relative in the loss after 8 updates."""
    losses = []
    for threads in (1, 2):
        config = make_config(
            max_steps=8, threads=threads, eval_points_per_decade=0, eval_sequences=32
        )
        folder = tmp_path / str(threads)
        folder.mkdir()
        loop = TrainingLoop(
            config, load_data(config, tokens), folder, SILENT, BudgetBranching("test")
        )
        loop.run()
        losses.append(loop.summary()["loss"])
        torch.set_num_threads(1)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("decay_all", [False, True])
def test_the_flat_optimizer_is_adamw(make_config, tokens, decay_all):
    """Ten steps against torch's, tensor by tensor, with clipping, from the same gradients.

    The gradients are computed once and copied: the true gradient of a key's bias is zero, so that AdamW makes
    whole steps out of its rounding, and two models that compute it anew drift apart by their rounding alone.
    """
    config = make_config()
    data = load_data(config, tokens)
    ours, stock = build_run_model(config), build_run_model(config)
    flat = FlatAdamW(ours, weight_decay=0.1, betas=(0.9, 0.95), eps=1e-8, decay_all=decay_all)
    matrices = [p for p in stock.parameters() if decay_all or p.ndim >= 2]
    vectors = [p for p in stock.parameters() if not (decay_all or p.ndim >= 2)]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW([g for g in groups if g["params"]], lr=1e-2, betas=(0.9, 0.95))
    for step in range(1, 11):
        key = DrawKey.of(0, "train", step)
        chosen = np.arange(step, step + 16)
        batch = make_batch(data.train, chosen, key, data.rules, 16)
        flat.zero_grad()
        add_gradients(ours, data.rules.objective, batch.micro_batches, PLAN)
        for a, b in zip(ours.parameters(), stock.parameters(), strict=True):
            b.grad = a.grad.clone()
        flat.clip(0.5)
        torch.nn.utils.clip_grad_norm_(stock.parameters(), 0.5)
        flat.set_learning_rate(1e-2)
        flat.step()
        adamw.step()
    for (name, a), b in zip(ours.named_parameters(), stock.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_starts_at_ln_v_and_overfits_one_batch(make_config, tokens, layout):
    model = tiny_model(layout, embedding_size=32, hidden_size=32, intermediate_size=64)
    config = make_config(model=model, initializer_range=0.1)
    fresh = make_config(model=model)
    data = load_data(config, tokens)
    batch = make_batch(data.train, np.arange(4), DrawKey.of(0, "train", 1), data.rules, 4)
    first = Engine(build_run_model(fresh), fresh.objective(), fresh, PLAN).accumulate(batch).item()
    assert first == pytest.approx(log(VOCAB_SIZE), rel=0.02)
    engine = Engine(build_run_model(config), config.objective(), config, PLAN)
    for step in range(1, 181):
        loss = engine.step(batch, 8e-3, step)
    # A causal model cannot tell which of the four sequences `<s>` begins: ln 4 nats each remain.
    floor = 4 * log(4) / batch.predicted if model.is_causal else 0.0
    assert loss.item() < floor + 0.05


def test_causal_targets_are_the_next_tokens(make_config, tokens):
    config = make_config(model=tiny_model("llama"))
    data = load_data(config, tokens)
    for packing in (one_a_row(8, 32), None):
        batch = make_batch(
            data.train, np.arange(8), DrawKey.of(0, "train", 1), data.rules, 8, packing=packing
        )
        (micro,) = batch.micro_batches
        flat = micro.input_ids_BL.flatten()
        assert (micro.attention_mask is None) == (packing is not None)
        assert torch.equal(flat[micro.positions_N + 1], micro.targets_N)
        assert batch.predicted == batch.tokens - 8
        assert not (micro.targets_N == 1).any()


def test_the_masking_rate_of_a_run_is_within_sampling_error(make_config, tokens):
    config = make_config()
    data = load_data(config, tokens)
    scored = eligible = 0
    for step in range(1, 40):
        chosen = np.arange(16) + step
        batch = make_batch(data.train, chosen, DrawKey.of(0, "train", step), data.rules, 16)
        scored += batch.predicted
        eligible += batch.tokens - 2 * batch.sequences
    assert abs(scored / eligible - 0.15) < 5 * sqrt(0.15 * 0.85 / eligible)


def test_a_built_model_is_a_function_of_config_and_seed(make_config):
    config = make_config(seed=3)
    a, b = build_run_model(config), build_model(config.built_model(), 3, config.initialisation())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
