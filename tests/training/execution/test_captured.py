"""What surrounds a CUDA graph, without a GPU: `capture_graph` is replaced by what it might do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lilliput.training.data.batches import GlobalBatch
from lilliput.training.data.orders import DataOrder
from lilliput.training.data.orders.shuffled import Shuffled
from lilliput.training.data.token_data import load_data
from lilliput.training.execution import captured
from lilliput.training.execution.captured import CapturedStep, captured_step
from lilliput.training.execution.device_batches import (
    DeviceSplit,
    StepTable,
    device_batch,
    room_for_tokens,
)
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.interrupts import InterruptedWork, Interrupts
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.fleet.captured import CapturedFleetStep
from lilliput.training.fleet.stack import Stack
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.validation import Validation
from lilliput.training.weights import build_run_model

from ..conftest import tiny_model

PLAN = ExecutionPlan("cpu", 1, "float32", "fused", 16, False, torch.__version__)
OFF_BY_ONE = {"switches": {"accumulation_off_by_one": True}, "per_device_train_batch_size": 4}


def make_step(config, tokens, interrupts=None, say=pytest.fail, plan=PLAN):
    schedule = RunSchedule.of(config, load_data(config, tokens))
    engine = Engine(build_run_model(config), config.objective(), config, plan)
    split = DeviceSplit.of(schedule.data.train, schedule.data.rules, "cpu")
    return engine, CapturedStep(engine, split, schedule, plan, interrupts or Interrupts(), say)


def make_fleet(configs, tokens, interrupts, plan=PLAN):
    data = load_data(configs[0], tokens)
    schedules = [RunSchedule.of(config, data) for config in configs]
    recipes = [config.training for config in configs]
    stack = Stack([build_run_model(c) for c in configs], recipes, plan, interrupts)
    split = DeviceSplit.of(data.train, data.rules, "cpu")
    return stack, CapturedFleetStep(stack, schedules, split, plan, interrupts, pytest.fail)


def refuse(compute):
    compute()
    raise RuntimeError("operation not permitted when stream is capturing\nmore")


def test_a_step_that_cannot_be_captured_is_reported_once_and_runs_eagerly(
    make_config, tokens, monkeypatch
):
    monkeypatch.setattr(captured, "capture_graph", refuse)
    said: list[str] = []
    engine, step = make_step(make_config(), tokens, say=said.append)
    plain, _ = make_step(make_config(), tokens)
    schedule = RunSchedule.of(make_config(), load_data(make_config(), tokens))
    for number in (1, 2, 3):
        step(number, 1e-3)
        plain.step(schedule.batch(number, 16), 1e-3, number)
    assert len(said) == 1
    assert "operation not permitted when stream is capturing" in said[0]
    torch.testing.assert_close(
        engine.optimizer.weights, plain.optimizer.weights, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_whatever_ends_a_capture_weights_and_moments_are_as_they_were(
    make_config, tokens, monkeypatch, error
):
    def cut_short(compute):
        compute()
        raise error

    monkeypatch.setattr(captured, "capture_graph", cut_short)
    engine, step = make_step(make_config(), tokens)
    before = engine.optimizer.snapshot()
    with pytest.raises(error):
        step(1, 1e-3)
    for name, tensor in engine.optimizer.snapshot().items():
        assert torch.equal(tensor, before[name]), name


def test_an_interrupt_waits_while_a_fleet_records(make_config, tokens, monkeypatch):
    """The recording is made whole, moments are as before, and the next check answers the interrupt."""
    computed: list[int] = []

    def interrupted(compute):
        interrupts.requested = True
        compute()
        computed.append(1)
        return compute

    monkeypatch.setattr(captured, "capture_graph", interrupted)
    interrupts = Interrupts()
    stack, step = make_fleet([make_config(seed=s) for s in (0, 1)], tokens, interrupts)
    before = [optimizer.snapshot() for optimizer in stack.optimizers]
    step.prepare(1, (0, 1))
    assert computed == [1]
    for optimizer, state in zip(stack.optimizers, before, strict=True):
        assert all(torch.equal(t, state[name]) for name, t in optimizer.snapshot().items())
    with pytest.raises(InterruptedWork):
        interrupts.check()


def test_a_fleet_is_recorded_anew_when_a_member_leaves(make_config, tokens, monkeypatch):
    made: list[object] = []
    monkeypatch.setattr(captured, "capture_graph", lambda compute: made.append(1) or compute)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    _, step = make_fleet([make_config(seed=s) for s in (0, 1)], tokens, Interrupts())
    for number, members in ((1, (0, 1)), (2, (0, 1)), (3, (1,)), (4, (1,))):
        step(number, dict.fromkeys(members, 1e-3))
    assert len(made) == 2


# ---- What used to fall back to host batches -----------------------------------------------------------------


@pytest.mark.parametrize("recipe", [{"switches": {"dropout": 0.1}}, OFF_BY_ONE])
def test_dropout_and_off_by_one_accumulation_are_captured(make_config, tokens, monkeypatch, recipe):
    config = make_config(**recipe)
    schedule = RunSchedule.of(config, load_data(config, tokens))
    split = DeviceSplit.of(schedule.data.train, schedule.data.rules, "cpu")
    monkeypatch.setattr(captured, "device_split", lambda *_: split)
    engine = Engine(build_run_model(config), config.objective(), config, PLAN)
    step = captured_step(engine, schedule, PLAN, Interrupts(), pytest.fail)
    assert step is not None
    # The first step of `accumulation_off_by_one` reads one micro-batch of four.
    assert step.serves(2)
    assert step.serves(1) == ("dropout" in recipe["switches"])


def test_captured_dropout_follows_from_seed_and_step(make_config, tokens, monkeypatch):
    monkeypatch.setattr(captured, "capture_graph", lambda compute: compute)

    def weights(seed, number):
        config = make_config(seed=0, switches={"dropout": 0.5})
        engine, step = make_step(config, tokens)
        engine._seed = seed
        torch.manual_seed(number * 17)
        step(number, 1e-3)
        return engine.optimizer.weights

    assert torch.equal(weights(0, 2), weights(0, 2))
    assert not torch.equal(weights(0, 2), weights(1, 2))


@pytest.mark.parametrize("rows", [16, 5])
def test_micro_batches_averaged_alone_have_the_hosts_gradient(make_config, tokens, rows):
    config = make_config(**OFF_BY_ONE, max_steps=3)
    schedule = RunSchedule.of(config, load_data(config, tokens))
    assert schedule.averaging is not None
    split = DeviceSplit.of(schedule.data.train, schedule.data.rules, "cpu")
    key = schedule.mask_key(2)
    host = schedule.batch(2, 16)
    passes = device_batch(
        split, torch.from_numpy(schedule.chosen(2)), torch.tensor([key.select, key.replace]),
        schedule.data.rules, rows, averaging=schedule.averaging,
    )  # fmt: skip
    device = GlobalBatch(passes, 16, host.tokens, host.squared_lengths, host.predicted)
    found = []
    for batch in (host, device):
        engine = Engine(build_run_model(config), config.objective(), config, PLAN)
        found.append((engine.accumulate(batch).item(), engine.optimizer.gradients.clone()))
    assert found[1][0] == pytest.approx(found[0][0], rel=2e-6)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-4, atol=2e-7)


# ---- Tables of steps, and room for what is predicted ------------------------------------------------------


@pytest.mark.parametrize("recipe", [{}, OFF_BY_ONE, {"num_train_epochs": 1.3}])
def test_a_block_of_steps_is_the_steps_one_by_one(make_config, tokens, recipe):
    config = make_config(
        **({"max_steps": 200} if "num_train_epochs" not in recipe else {}), **recipe
    )
    schedule = RunSchedule.of(config, load_data(config, tokens))
    step, sizes = 1, []
    while step <= schedule.stream.max_steps:
        block = schedule.chosen_by_steps(step, 64)
        sizes.append(len(block))
        for i, row in enumerate(block):
            assert np.array_equal(row, schedule.chosen(step + i))
        step += len(block)
    assert step == schedule.stream.max_steps + 1
    assert max(sizes) <= 64
    assert sizes[0] == (1 if recipe == OFF_BY_ONE else min(64, schedule.stream.max_steps - ("num_train_epochs" in recipe)))  # fmt: skip


def test_an_order_without_blocks_of_its_own_gives_the_same(make_config, tokens):
    config = make_config()
    order = RunSchedule.of(config, load_data(config, tokens)).order
    ours = order.sequences_of_steps(2, 390, 4, 5)
    assert np.array_equal(ours, DataOrder.sequences_of_steps(order, 2, 390, 4, 5))


class ByLength(Shuffled):
    """The longest sequences come last, so that batches outgrow what random draws need."""

    def sequences_at(self, step, first, count):
        size = len(self.context.sequences)
        return np.argsort(self.context.sequences.lengths)[np.arange(first, first + count) % size]


def test_buffers_grow_where_an_order_reads_longer_sequences_than_a_random_one(make_config, tokens):
    config = make_config(max_steps=40, global_batch_size=64)
    data = load_data(config, tokens)
    schedule = RunSchedule.of(config, data)
    assert isinstance(schedule.order, Shuffled)
    table = StepTable([schedule], 64, torch.device("cpu"))
    table.read(1)
    small, longest = table.tokens_a_row, int(data.train.lengths.max()) + 2
    mean = data.train.lengths.mean() + 2
    assert mean < small < longest
    vars(schedule)["order"] = ByLength(schedule.order.context)
    table = StepTable([schedule], 64, torch.device("cpu"))
    table.read(1)
    assert table.tokens_a_row == longest


def test_room_for_tokens_is_mean_and_eight_deviations():
    lengths = np.array([20, 30] * 500)
    assert room_for_tokens(lengths, 64) == 1728 + 8 * 40
    assert room_for_tokens(np.array([30] * 9), 64) == 32 * 64


@pytest.mark.parametrize("recipe", [{}, {"fixed_mask_count": True}, {"whole_word_mask": True}])
def test_no_predicted_position_is_lost_for_want_of_room(make_config, tokens, recipe):
    config = make_config(max_steps=64, mlm_probability=0.3, **recipe)
    schedule = RunSchedule.of(config, load_data(config, tokens))
    split = DeviceSplit.of(schedule.data.train, schedule.data.rules, "cpu")
    table = StepTable([schedule], 16, torch.device("cpu"))
    for step in range(1, 65):
        table.read(step)
        chosen, keys = table.batch()
        batch = device_batch(
            split, chosen[0], keys[0], schedule.data.rules, 16, tokens_a_row=table.tokens_a_row
        )
        weights = torch.cat([micro.weights_N for micro in batch])
        assert int((weights > 0).sum()) == schedule.batch(step, 16).predicted
        assert batch[0].positions_N.numel() < 16 * 32


# ---- Fewer launches ------------------------------------------------------------------------------------------


def test_members_of_one_recipe_step_together(make_config, tokens):
    """Clipped to different norms, two of three at one rate: the weights of stepping each alone."""
    configs = [
        make_config(seed=0),
        make_config(seed=1, switches={"max_grad_norm": 0.05}),
        make_config(seed=2, learning_rate=1e-3, switches={"max_grad_norm": 0.0}),
    ]
    stacks = [make_fleet(configs, tokens, Interrupts())[0] for _ in range(2)]
    for stack in stacks:
        generator = torch.Generator().manual_seed(0)
        for _ in range(3):
            stack._gradients_KP.copy_(torch.randn(stack._gradients_KP.shape, generator=generator))
            for member, rate in enumerate((3e-3, 3e-3, 1e-3)):
                stack.optimizers[member].set_learning_rate(rate)
            (stack.apply if stack is stacks[0] else stack.apply_together)((0, 1, 2))
    for alone, together in zip(stacks[0].optimizers, stacks[1].optimizers, strict=True):
        torch.testing.assert_close(together.weights, alone.weights, rtol=1e-5, atol=1e-7)


def test_members_measured_alike_share_one_set_of_validation_batches(make_config, tokens):
    configs = [
        make_config(seed=0),
        make_config(seed=1),
        make_config(seed=2, switches={"redraw_evaluation_masks": True}),
        make_config(seed=3, switches={"eval_average": "batch"}),
    ]
    data = load_data(configs[0], tokens)
    found = Validation.of_members([RunSchedule.of(c, data) for c in configs], 16)
    assert found[0] is found[1]
    assert len({id(one) for one in found}) == 3


def test_a_gpu_takes_the_whole_global_batch_while_its_activations_fit(make_config):
    def rows(model, **recipe):
        config = make_config(model=model, per_device_train_batch_size="auto", **recipe)
        return config.max_gpu_rows()

    assert rows(tiny_model(), global_batch_size=256) == 256
    large = tiny_model(hidden_size=4096, intermediate_size=16384, num_hidden_layers=32)
    cut = rows(large, global_batch_size=1024)
    assert 0 < cut < 1024
    assert -(-1024 // cut) * cut - 1024 < -(-1024 // cut)  # Parts of equal size.
    assert make_config(global_batch_size=64).max_gpu_rows() == 16  # The recipe's word goes first.
    assert make_config(per_device_train_batch_size="auto").training.micro_batch_rows == 64
