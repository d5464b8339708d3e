"""Runs trained as one stack: each is the run it would be alone, with its own folder and its own fate."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.errors import ConfigurationError, NonFiniteLossError
from lilliput.core.files import read_json, read_json_lines
from lilliput.core.verification import verify
from lilliput.training import RunConfig, RunResult, train
from lilliput.training.checkpoints import newest_resume_point
from lilliput.training.data.token_data import load_data
from lilliput.training.execution.device_batches import DeviceSplit
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.execution.vocabulary_head import VocabularyHead
from lilliput.training.fleet import FleetMember, train_fleet
from lilliput.training.fleet.batches import stacked_batch
from lilliput.training.fleet.captured import CapturedFleetStep
from lilliput.training.fleet.loss import BatchedHeads, SeparateHeads
from lilliput.training.fleet.stack import Stack
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.weights import build_run_model

from ..conftest import tiny_model

LAYOUTS = ["mini-bert", "roberta", "electra", "modernbert", "llama"]
PLAN = ExecutionPlan("cpu", 1, "float32", "fused", 16, False, torch.__version__)
TIMES = {"wall_time_s"}
# Batched products and other widths sum the same float32 terms in another order: 6e-8 a sum, over a dozen
# updates that each pass the difference on. Measured: 5e-9 in the loss, 2e-6 in a weight.
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 1e-6, 2e-5


def members_in(folder: Path, configs: list[RunConfig]) -> list[FleetMember]:
    return [FleetMember(config, folder / f"run-{i}") for i, config in enumerate(configs)]


def curve(run: Path) -> list[dict]:
    return [
        {key: value for key, value in record.items() if key not in TIMES}
        for record in read_json_lines(run / "metrics.jsonl")
    ]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / "final" / "model.safetensors")


def assert_bitwise(first: Path, second: Path) -> None:
    assert curve(first) == curve(second)
    a, b = weights(first), weights(second)
    assert all(torch.equal(a[name], b[name]) for name in a)


def assert_close_runs(first: Path, second: Path) -> None:
    a, b = curve(first), curve(second)
    assert [r["tokens_seen"] for r in a] == [r["tokens_seen"] for r in b]
    assert [r["flops_executed_masked"] for r in a] == [r["flops_executed_masked"] for r in b]
    losses = [r["loss"] for r in b]
    assert [r["loss"] for r in a] == pytest.approx(losses, rel=LOSS_TOLERANCE)
    left, right = weights(first), weights(second)
    for name, tensor in left.items():
        if name.endswith("qkv.bias"):
            # No loss depends on the bias of the keys: its gradient is rounding, which AdamW makes steps of.
            width = len(tensor) // 3
            tensor[width : 2 * width] = right[name][width : 2 * width]
        torch.testing.assert_close(tensor, right[name], rtol=1e-4, atol=WEIGHT_TOLERANCE)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_member_is_the_run_it_would_be_alone(make_config, tokens, tmp_path, layout):
    """Two seeds and two learning rates: members that share their data, and members that do not."""
    model = tiny_model(layout)
    configs = [
        make_config(model=model, seed=seed, learning_rate=rate)
        for seed, rate in ((0, 1e-3), (0, 3e-3), (1, 3e-3))
    ]
    members = members_in(tmp_path / "fleet", configs)
    for member, result in zip(members, train_fleet(members, tokens), strict=True):
        assert isinstance(result, RunResult)
        alone = tmp_path / f"alone-{member.out.name}"
        assert train(member.config, tokens, alone).run_id == result.run_id
        assert_close_runs(member.out, alone)
        assert verify(member.out).mismatches == ()


@pytest.mark.parametrize(
    "recipe",
    [
        {"switches": {"initialization": "xavier", "max_grad_norm": 0.0, "shuffle": False}},
        {"whole_word_mask": True, "mask_replace_prob": 0.8, "random_replace_prob": 0.1},
        {"max_steps": None, "num_train_epochs": 0.53, "global_batch_size": 48},
    ],
)
def test_switches_and_short_last_batches_travel_into_the_stack(
    make_config, tokens, tmp_path, recipe
):
    configs = [make_config(seed=seed, **recipe) for seed in (0, 1)]
    members = members_in(tmp_path / "fleet", configs)
    train_fleet(members, tokens)
    for member in members:
        train(member.config, tokens, tmp_path / f"alone-{member.out.name}")
        assert_close_runs(member.out, tmp_path / f"alone-{member.out.name}")


def test_bfloat16_members_agree_to_its_rounding(make_config, tokens, tmp_path):
    """bfloat16 keeps 8 bits: 4e-3 a product, much less in a mean over some hundred tokens."""
    configs = [make_config(seed=seed, dtype="bfloat16") for seed in (0, 1)]
    members = members_in(tmp_path / "fleet", configs)
    for member, result in zip(members, train_fleet(members, tokens), strict=True):
        alone = train(member.config, tokens, tmp_path / f"alone-{member.out.name}")
        assert isinstance(result, RunResult)
        assert result.loss == pytest.approx(alone.loss, rel=1e-3)


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1), (2, 0, 2)])
def test_losses_and_gradients_are_those_of_each_engine(make_config, tokens, seeds):
    configs = [make_config(seed=seed, learning_rate=1e-3 * (i + 1)) for i, seed in enumerate(seeds)]
    data = load_data(configs[0], tokens)
    schedules = [RunSchedule.of(config, data) for config in configs]
    stack = Stack([build_run_model(c) for c in configs], [c.training for c in configs], PLAN)
    for max_rows in (16, 5):
        losses_K = stack.accumulate(stacked_batch(schedules, 3, max_rows).micro_batches)
        for schedule, loss, optimizer in zip(schedules, losses_K, stack.optimizers, strict=True):
            engine = Engine(
                build_run_model(schedule.config), schedule.config.objective(), schedule.config, PLAN
            )
            expected = engine.accumulate(schedule.batch(3, max_rows))
            assert loss.item() == pytest.approx(expected.item(), rel=2e-6)
            torch.testing.assert_close(
                optimizer.gradients, engine.optimizer.gradients, rtol=1e-4, atol=2e-7
            )


def test_members_that_share_their_data_share_one_copy(make_config, tokens):
    configs = [make_config(learning_rate=rate) for rate in (1e-3, 2e-3)]
    data = load_data(configs[0], tokens)
    schedules = [RunSchedule.of(config, data) for config in configs]
    batch = stacked_batch(schedules, 1, 16)
    assert all(one.is_shared for one in batch.micro_batches)
    alone = schedules[0].batch(1, 16)
    for one, micro in zip(batch.micro_batches, alone.micro_batches, strict=True):
        assert torch.equal(one.input_ids_KBL[0], micro.input_ids_BL)


def test_a_diverging_member_stops_alone(make_config, tokens, tmp_path):
    """Its companions' numbers are the bits they are beside a member that lives."""
    rates = {"wild": (3e-3, 1e30, 1e-3), "calm": (3e-3, 2e-3, 1e-3)}
    for name, fleet in rates.items():
        configs = [
            make_config(seed=i, learning_rate=rate, switches={"max_grad_norm": 0.0})
            for i, rate in enumerate(fleet)
        ]
        members = members_in(tmp_path / name, configs)
        results = train_fleet(members, tokens)
        failed = [isinstance(result, NonFiniteLossError) for result in results]
        assert failed == [False, name == "wild", False]
    assert not is_artefact(tmp_path / "wild" / "run-1")
    assert (tmp_path / "wild" / "run-1" / "checkpoints" / "initial").is_dir()
    for survivor in ("run-0", "run-2"):
        assert_bitwise(tmp_path / "wild" / survivor, tmp_path / "calm" / survivor)
    again = train_fleet(members_in(tmp_path / "wild", configs_of(tmp_path / "wild", 3)), tokens)
    assert [isinstance(result, RunResult) for result in again] == [True, False, True]


def configs_of(folder: Path, count: int) -> list[RunConfig]:
    records = [read_json(folder / f"run-{i}" / "run.json") for i in range(count)]
    return [RunConfig(**record["config"]) for record in records]


def _train_until_killed(members: list[FleetMember], tokens: Path) -> None:
    train_fleet(members, tokens)


def test_a_killed_fleet_goes_on_bitwise(make_config, tokens, tmp_path):
    configs = [make_config(seed=s, max_steps=80, save_interval_s=0.05) for s in (0, 1)]
    train_fleet(members_in(tmp_path / "whole", configs), tokens)
    members = members_in(tmp_path / "killed", configs)
    process = multiprocessing.get_context("spawn").Process(
        target=_train_until_killed, args=(members, tokens)
    )
    process.start()
    while not any((members[1].out / "checkpoints").glob("resume-??")):
        assert process.is_alive()
        time.sleep(0.005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    train_fleet(members, tokens)
    for name in ("run-0", "run-1"):
        assert_bitwise(tmp_path / "whole" / name, tmp_path / "killed" / name)


class _StopError(Exception):
    """Stands for whatever ends a process."""


def stop_at(monkeypatch: pytest.MonkeyPatch, updates: int) -> None:
    """End the fleet before update number `updates` + 1."""
    update, count = Stack.step, iter(range(updates))

    def counted(self, *arguments):
        if next(count, None) is None:
            raise _StopError
        return update(self, *arguments)

    monkeypatch.setattr(Stack, "step", counted)


def test_members_saved_at_different_updates_meet_again(make_config, tokens, tmp_path, monkeypatch):
    configs = [make_config(seed=s, save_interval_s=1e-9) for s in (0, 1, 2)]
    train_fleet(members_in(tmp_path / "whole", configs), tokens)
    members = members_in(tmp_path / "parted", configs)
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(_StopError):
            train_fleet(members, tokens)
    shutil.rmtree(members[0].out / "checkpoints" / "resume-7")
    shutil.rmtree(members[2].out / "checkpoints" / "resume-7")
    shutil.rmtree(members[2].out / "checkpoints" / "resume-6")
    train_fleet(members, tokens)
    for member in members:
        assert_bitwise(tmp_path / "whole" / member.out.name, member.out)


def test_a_member_goes_on_alone_and_a_run_begun_alone_joins(
    make_config, tokens, tmp_path, monkeypatch
):
    configs = [make_config(seed=s, save_interval_s=1e-9) for s in (0, 1)]
    for config in configs:
        train(config, tokens, tmp_path / f"alone-{config.seed}")
    members = members_in(tmp_path / "fleet", configs)
    with monkeypatch.context() as patch:
        stop_at(patch, 5)
        with pytest.raises(_StopError):
            train_fleet(members, tokens)
    train(configs[0], tokens, members[0].out)
    assert_close_runs(members[0].out, tmp_path / "alone-0")

    begun = members_in(tmp_path / "begun", configs)
    with monkeypatch.context() as patch:
        updates = iter(range(4))
        update = Engine.step
        patch.setattr(
            Engine, "step", lambda *a: (next(updates) < 3 and update(*a)) or _stop()
        )  # fmt: skip
        with pytest.raises(_StopError):
            train(configs[0], tokens, begun[0].out)
    with pytest.raises(ConfigurationError, match=r"2 members, where it names none.*delete"):
        train_fleet(begun, tokens)
    (begun[0].out / "plan.json").unlink()
    for path in begun[1].out.glob("plan.json"):
        path.unlink()
    train_fleet(begun, tokens)
    for member in begun:
        assert_close_runs(member.out, tmp_path / f"alone-{member.config.seed}")


def _stop():
    raise _StopError


def test_an_interrupt_saves_every_member(make_config, tokens, tmp_path, monkeypatch):
    configs = [make_config(seed=s) for s in (0, 1)]
    members = members_in(tmp_path, configs)
    update, count = Stack.step, iter(range(4))

    def interrupting(self, *arguments):
        if next(count, None) is None:
            signal.raise_signal(signal.SIGTERM)
        return update(self, *arguments)

    monkeypatch.setattr(Stack, "step", interrupting)
    with pytest.raises(KeyboardInterrupt):
        train_fleet(members, tokens)
    points = [newest_resume_point(member.out / "checkpoints")[0] for member in members]
    assert [point and point.step for point in points] == [4, 4]


def test_the_plan_names_the_fleet_and_another_grouping_is_refused(
    make_config, tokens, tmp_path, monkeypatch
):
    configs = [make_config(seed=s) for s in (0, 1, 2)]
    members = members_in(tmp_path, configs)
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        with pytest.raises(_StopError):
            train_fleet(members, tokens)
    plans = [read_json(member.out / "plan.json") for member in members]
    assert plans[0] == plans[1] == plans[2]
    assert plans[0]["fleet"] == [read_json(m.out / "run.json")["run_id"] for m in members]
    with pytest.raises(ConfigurationError, match=r"2 members, where it names 3"):
        train_fleet(members[:2], tokens)


def test_a_members_manifest_tells_how_long_the_fleet_took(make_config, tokens, tmp_path):
    members = members_in(tmp_path, [make_config(seed=seed) for seed in (0, 1)])
    results = train_fleet(members, tokens)
    for member, result in zip(members, results, strict=True):
        assert isinstance(result, RunResult)
        wall = read_manifest(member.out).environment["wall_time_s"]
        assert wall >= result.wall_time_s > 0


def test_a_finished_fleet_is_recognised(make_config, tokens, tmp_path, monkeypatch):
    members = members_in(tmp_path, [make_config(seed=s, max_steps=2) for s in (0, 1)])
    first = train_fleet(members, tokens)
    monkeypatch.setattr(Stack, "step", lambda *_: pytest.fail("trained again"))
    assert train_fleet(members, tokens) == first


def test_runs_that_would_not_be_themselves_are_refused(make_config, tokens, tmp_path):
    plain, dropped = make_config(), make_config(seed=1, switches={"dropout": 0.1})
    with pytest.raises(ConfigurationError, match="dropout"):
        train_fleet(members_in(tmp_path / "a", [plain, dropped]), tokens)
    padded = make_config(seed=1, switches={"attend_padding": True})
    with pytest.raises(ConfigurationError, match="pads that count"):
        train_fleet(members_in(tmp_path / "c", [plain, padded]), tokens)
    wider = make_config(model=tiny_model(intermediate_size=64))
    with pytest.raises(ConfigurationError, match="2 shapes"):
        train_fleet(members_in(tmp_path / "b", [plain, wider]), tokens)
    assert not (tmp_path / "a").exists()


def head_inputs(members: int, rows: int, width: int, vocab: int):
    rng = torch.Generator().manual_seed(0)
    return (
        torch.randn(members, rows, width, generator=rng),
        torch.randn(members, vocab, width, generator=rng),
        torch.randn(members, vocab, generator=rng),
        torch.randint(0, vocab, (members, rows), generator=rng),
        torch.rand(members, rows, generator=rng),
    )


def gradients_of(head, z, w, b, targets, row_weights, *counts):
    """Loss and gradients of one head, or of stacked ones."""
    buffers = torch.zeros_like(w), None if b is None else torch.zeros_like(b)
    made = head.add_gradients(z, targets, row_weights, *counts, *buffers)
    return [x for x in (*made, *buffers) if x is not None]


def test_stacked_heads_give_each_heads_bits():
    z, w, b, targets, row_weights = head_inputs(3, 9, 8, 40)
    counts = (9, 4, 0)
    for member, count in enumerate(counts):
        row_weights[member, count:] = 0.0
    heads = SeparateHeads(w, b, torch.float32)
    stacked = gradients_of(heads, z, w, b, targets, row_weights, counts)
    for k, count in enumerate(counts):
        head = VocabularyHead(w[k], b[k], torch.float32)
        loss, grad_z, *others = gradients_of(
            head, z[k, :count], w[k], b[k], targets[k, :count], row_weights[k, :count]
        )
        spare = torch.zeros(9 - count, 8)
        for ours, expected in zip(
            stacked, (loss, torch.cat([grad_z, spare]), *others), strict=True
        ):
            assert torch.equal(ours[k], expected)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("chunk_bytes", [1 << 30, 1])
def test_batched_heads_equal_the_single_ones(monkeypatch, with_bias, chunk_bytes):
    """What a GPU computes, computed here."""
    monkeypatch.setattr("lilliput.training.fleet.loss.CHUNK_BYTES_GPU", chunk_bytes)
    z, w, b, targets, row_weights = head_inputs(3, 40, 8, 50)
    b = b if with_bias else None
    heads = BatchedHeads(w, b, torch.float32)
    batched = gradients_of(heads, z, w, b, targets, row_weights, (40, 40, 40))
    for k in range(3):
        bias = None if b is None else b[k]
        head = VocabularyHead(w[k], bias, torch.float32)
        single = gradients_of(head, z[k], w[k], bias, targets[k], row_weights[k])
        for ours, expected in zip(batched, single, strict=True):
            torch.testing.assert_close(ours[k], expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("seeds", [(0, 0, 0), (0, 1, 0)])
def test_what_a_graph_of_a_fleet_would_record_is_its_update(make_config, tokens, seeds):
    """`compute` by hand, without a GPU, over shared and separate data: the host's losses and weights."""
    configs = [make_config(seed=s, learning_rate=1e-3 * (i + 1)) for i, s in enumerate(seeds)]
    data = load_data(configs[0], tokens)
    schedules = [RunSchedule.of(config, data) for config in configs]
    plan = replace(PLAN, max_rows=5)
    stacks = [
        Stack([build_run_model(c) for c in configs], [c.training for c in configs], plan)
        for _ in range(2)
    ]
    split = DeviceSplit.of(data.train, data.rules, "cpu")
    captured = CapturedFleetStep(stacks[1], schedules, split, plan, Interrupts(), pytest.fail)
    rates = {0: 1e-3, 2: 3e-3}  # The second is done.
    done = stacks[1].optimizers[1].weights.clone()
    for step in (1, 2, 3):
        host = stacked_batch(schedules, step, plan.max_rows)
        losses_K = stacks[0].step(host.micro_batches, rates)
        assert captured.serves(step)
        counts = captured.read(step)
        for member, rate in rates.items():
            stacks[1].optimizers[member].set_learning_rate(rate)
        captured.compute(tuple(rates))
        torch.testing.assert_close(captured._losses_K, losses_K, rtol=2e-6, atol=0.0)
        assert [b.tokens for b in counts] == [b.tokens for b in host.batches]
    for ours, expected in zip(stacks[1].optimizers, stacks[0].optimizers, strict=True):
        torch.testing.assert_close(ours.weights, expected.weights, rtol=1e-4, atol=WEIGHT_TOLERANCE)
    assert torch.equal(stacks[1].optimizers[1].weights, done)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_fleet_on_a_gpu_follows_the_processors(make_config, tokens, tmp_path):
    """Captured and stacked, and recorded anew when a member diverges: float32 losses within 1e-3."""
    curves = {}
    for device in ("cpu", "cuda"):
        configs = [
            make_config(
                seed=seed, learning_rate=rate, max_steps=40, device=device,
                switches={"max_grad_norm": 0.0},
            )
            for seed, rate in enumerate((1e-3, 1e30, 2e-3))
        ]  # fmt: skip
        members = members_in(tmp_path / device, configs)
        results = train_fleet(members, tokens)
        assert [isinstance(result, RunResult) for result in results] == [True, False, True]
        curves[device] = [
            record["loss"]
            for member in (members[0], members[2])
            for record in read_json_lines(member.out / "metrics.jsonl")
        ]
    assert curves["cuda"] == pytest.approx(curves["cpu"], rel=1e-3)
