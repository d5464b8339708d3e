"""Batches made on the device in fixed shapes, and the captured update."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lilliput.core.files import read_json_lines
from lilliput.training import train
from lilliput.training.data.batches import GlobalBatch, make_batch
from lilliput.training.data.token_data import load_data
from lilliput.training.execution.captured import CapturedStep
from lilliput.training.execution.device_batches import DeviceSplit, device_batch, expected_counts
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.objectives.base import DrawKey
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.weights import build_run_model

from ..conftest import tiny_model

PLAN = ExecutionPlan("cpu", 1, "float32", "fused", 16, False, torch.__version__)
RECIPES = {
    "masked": {},
    "bert": {"mask_replace_prob": 0.8, "random_replace_prob": 0.1},
    "words": {"whole_word_mask": True},
    "fixed": {"fixed_mask_count": True},
    "scored pads": {"switches": {"score_padding": True, "mask_special_tokens": True}},
    "attended pads": {"switches": {"attend_padding": True}},
}


def both_gradients(config, tokens, rows=16):
    """Loss and gradient of one batch made on the host and made on the device."""
    data = load_data(config, tokens)
    chosen, key = np.arange(3, 19), DrawKey.of(0, "train", 7)
    host = make_batch(data.train, chosen, key, data.rules, 16)
    split = DeviceSplit.of(data.train, data.rules, "cpu")
    key_2 = torch.tensor([key.select, key.replace])
    passes = device_batch(split, torch.from_numpy(chosen), key_2, data.rules, rows)
    device = GlobalBatch(passes, 16, host.tokens, host.squared_lengths, host.predicted)
    results = []
    for batch in (host, device):
        engine = Engine(build_run_model(config), config.objective(), config, PLAN)
        results.append((engine.accumulate(batch).item(), engine.optimizer.gradients.clone()))
    return results, host, device, expected_counts(data.train, chosen[None], data.rules)[0]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("rows", [16, 5])
def test_device_batches_give_the_hosts_loss_and_gradient(make_config, tokens, recipe, rows):
    config = make_config(**RECIPES[recipe])
    (host, device), *_ = both_gradients(config, tokens, rows)
    # float32 sums in another order.
    assert device[0] == pytest.approx(host[0], rel=2e-6)
    torch.testing.assert_close(device[1], host[1], rtol=1e-4, atol=2e-7)


def test_causal_device_batches_give_the_hosts_loss(make_config, tokens):
    (host, device), *_ = both_gradients(make_config(model=tiny_model("llama")), tokens)
    assert device[0] == pytest.approx(host[0], rel=2e-6)
    torch.testing.assert_close(device[1], host[1], rtol=1e-4, atol=2e-7)


def test_shapes_depend_on_nothing_but_sizes(make_config, tokens):
    data = load_data(make_config(), tokens)
    split = DeviceSplit.of(data.train, data.rules, "cpu")
    shapes = {
        tuple((m.input_ids_BL.shape, m.positions_N.shape) for m in device_batch(split, torch.arange(i, i + 16), torch.tensor([i, 2 * i]), data.rules, 6))
        for i in range(10)
    }  # fmt: skip
    assert len(shapes) == 1


def test_counts_are_the_hosts_but_for_the_draw(make_config, tokens):
    _, host, _, expected = both_gradients(make_config(), tokens)
    assert (expected.tokens, expected.sequences) == (host.tokens, host.sequences)
    assert expected.squared_lengths == host.squared_lengths
    eligible = host.tokens - 32
    assert abs(host.predicted - expected.predicted) < 5 * np.sqrt(eligible * 0.15 * 0.85)
    causal = make_config(model=tiny_model("llama"))
    _, host, _, expected = both_gradients(causal, tokens)
    assert host.predicted == expected.predicted


def test_what_a_graph_would_record_is_a_step(make_config, tokens):
    """`compute` by hand, without a GPU: the same weights as `Engine.step`, and `restore` undoes it."""
    config = make_config()
    data = load_data(config, tokens)
    schedule = RunSchedule.of(config, data)
    plain = Engine(build_run_model(config), config.objective(), config, PLAN)
    plain.step(schedule.batch(1, 16), 1e-3, 1)
    engine = Engine(build_run_model(config), config.objective(), config, PLAN)
    split = DeviceSplit.of(data.train, data.rules, "cpu")
    captured = CapturedStep(engine, split, schedule, PLAN, Interrupts(), pytest.fail)
    captured.read(1)
    before = engine.optimizer.snapshot()
    start = engine.optimizer.weights.clone()
    for _ in range(2):
        engine.optimizer.set_learning_rate(1e-3)
        captured.compute()
        torch.testing.assert_close(
            engine.optimizer.weights, plain.optimizer.weights, rtol=1e-5, atol=1e-6
        )
        engine.optimizer.restore(before)
        assert torch.equal(engine.optimizer.weights, start)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_run_follows_the_processors(make_config, tokens, tmp_path):
    """Same batches and masks; float32 losses within 1e-3 after 40 updates."""
    curves = {}
    for device in ("cpu", "cuda"):
        train(make_config(max_steps=40, device=device), tokens, tmp_path / device)
        curves[device] = [r["loss"] for r in read_json_lines(tmp_path / device / "metrics.jsonl")]
    assert curves["cuda"] == pytest.approx(curves["cpu"], rel=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_recording_leaves_the_weights_alone(make_config, tokens):
    plan = ExecutionPlan("cuda", 1, "float32", "fused", 16, False, torch.__version__)
    config = make_config()
    data = load_data(config, tokens)
    schedule = RunSchedule.of(config, data)
    weights = []
    for captures in (True, False):
        engine = Engine(build_run_model(config).to("cuda"), config.objective(), config, plan)
        if captures:
            split = DeviceSplit.of(data.train, data.rules, "cuda")
            CapturedStep(engine, split, schedule, plan, Interrupts(), pytest.fail)(1, 1e-3)
        else:
            engine.step(schedule.batch(1, 16), 1e-3, 1)
        weights.append(engine.optimizer.weights.cpu())
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-5)
