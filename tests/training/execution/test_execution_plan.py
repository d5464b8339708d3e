"""The plan is made once, written down, and obeyed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch

from lilliput.core.errors import ArtefactError, ConfigurationError
from lilliput.core.files import read_json
from lilliput.training import RunConfig, TrainingConfig, train
from lilliput.training.execution import plan as plan_module
from lilliput.training.execution.allocator import keep_freed_memory
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.plan import ExecutionPlan, load_or_make_plan, make_plan
from lilliput.training.fleet import FleetMember, train_fleet

from ..conftest import tiny_model

PLAN = ExecutionPlan("cpu", 1, "float32", "fused", 16, True, torch.__version__)


@pytest.fixture(autouse=True)
def _one_thread():
    yield
    torch.set_num_threads(1)


def test_a_written_plan_is_obeyed_and_not_made_again(tmp_path):
    path = tmp_path / "plan.json"
    assert load_or_make_plan(path, lambda: PLAN) == PLAN
    again = load_or_make_plan(path, lambda: pytest.fail("made again"))
    assert again == PLAN
    again.apply()
    assert torch.get_num_threads() == 1
    replace(PLAN, threads=2).apply()
    assert torch.get_num_threads() == 2
    replace(PLAN, threads=2, replicas=2).apply()
    assert torch.get_num_threads() == 1


def test_a_resumed_run_obeys_the_plan_it_began_with(make_config, tokens, tmp_path, monkeypatch):
    out, seen = tmp_path / "run", []
    update = Engine.step

    def stopping(self, batch, learning_rate, step):
        if step == 6 and not seen:
            seen.append(step)
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, batch, learning_rate, step)

    monkeypatch.setattr(Engine, "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(make_config(per_device_train_batch_size=4), tokens, out)
    before = read_json(out / "plan.json")
    assert (before["max_rows"], before["threads"], before["device"]) == (4, 1, "cpu")
    train(make_config(per_device_train_batch_size=16, threads=2), tokens, out)
    assert read_json(out / "plan.json") == before


@pytest.mark.parametrize(
    ("shape", "length", "allowed", "members", "rows"),
    [
        ((32, 32, 128, 2, 2), 128, 64, 1, 64),
        ((32, 32, 128, 2, 2), 128, 256, 1, 64),
        ((32, 32, 128, 2, 2), 128, 64, 8, 34),
        ((32, 32, 128, 2, 2), 32, 300, 1, 256),
        ((64, 128, 512, 8, 4), 128, 64, 1, 35),
        ((256, 256, 1024, 8, 8), 128, 64, 1, 16),
        ((256, 256, 1024, 8, 8), 128, 64, 8, 16),
        ((256, 256, 1024, 8, 8), 4096, 64, 1, 1),
        ((256, 256, 1024, 8, 8), 128, 4, 1, 4),
    ],
)
def test_a_pass_stays_in_the_caches_of_a_processor(shape, length, allowed, members, rows):
    names = ("embedding_size", "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers")  # fmt: skip
    model = tiny_model(**dict(zip(names, shape, strict=True)), max_seq_length=length)
    recipe = TrainingConfig(max_seq_length=length, per_device_train_batch_size=allowed)
    config = RunConfig(model=model, training=recipe)
    assert config.max_cpu_rows(members) == rows


@pytest.mark.parametrize("most_replicas", [1, 16])
def test_the_probe_picks_the_faster_count_of_threads(monkeypatch, most_replicas):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    seconds, repeats = {1: 10.0, 2: 20.0, 4: 15.0}, {1: 8, 2: 8, 4: 8}
    now, probed = [0.0], set()
    monkeypatch.setattr(plan_module.time, "perf_counter", lambda: now[0])

    def probe(plan):
        probed.add((plan.threads, plan.replicas))
        now[0] += seconds[plan.threads]
        return repeats[plan.threads]

    def chosen():
        plan = make_plan(recipe, 16, probe, most_replicas=most_replicas)
        return plan.threads, plan.replicas

    recipe = TrainingConfig(device="cpu", dtype="float32")
    assert chosen() == (1, 1)
    assert probed == {(threads, min(threads, most_replicas)) for threads in (1, 2, 4)}
    # Four passes at once take longer than one, and an update has to do so less often.
    repeats[4] = 2
    assert chosen() == (4, min(4, most_replicas))
    # Between them, where more would have to share what they read memory through.
    seconds[2], repeats[2] = 5.0, 4
    assert chosen() == (2, min(2, most_replicas))


def test_explicit_threads_are_not_probed():
    recipe = TrainingConfig(device="cpu", dtype="float32", threads=3)

    def probe(plan):
        pytest.fail("probed")

    assert make_plan(recipe, 16, probe).threads == 3
    assert make_plan(recipe, 16, probe, most_replicas=16).replicas == 3
    many = TrainingConfig(device="cpu", dtype="float32", threads=40)
    plan = make_plan(many, 16, probe, most_replicas=16)
    assert (plan.replicas, plan.threads_a_replica) == (16, 2)


def test_threads_are_given_back_to_the_process(make_config, tokens, tmp_path):
    """What comes after a run, another one's probe first of all, finds the threads that it found."""
    for threads in (1, 2):
        torch.set_num_threads(3)
        train(make_config(threads=threads, max_steps=1), tokens, tmp_path / f"alone-{threads}")
        assert torch.get_num_threads() == 3
        config = make_config(threads=threads, max_steps=1)
        train_fleet([FleetMember(config, tmp_path / f"stacked-{threads}")], tokens)
        assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("profile", "replicas"), [("corrected", 2), ("reference", 1)])
def test_passes_with_dropout_are_not_computed_side_by_side(
    make_config, tokens, tmp_path, profile, replicas
):
    """Its draws come from one generator, in the order of the passes."""
    train(make_config(profile=profile, threads=2, max_steps=1), tokens, tmp_path / "run")
    assert read_json(tmp_path / "run" / "plan.json")["replicas"] == replicas


def test_a_plan_written_before_there_were_replicas_has_none(tmp_path):
    path, record = tmp_path / "plan.json", asdict(PLAN)
    del record["replicas"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert load_or_make_plan(path, lambda: pytest.fail("made anew")) == PLAN


def test_bfloat16_is_taken_only_where_the_processor_has_it(monkeypatch):
    for flag, dtype, kernel in (
        ("avx512_bf16", "bfloat16", "plain"),
        ("amx_bf16", "bfloat16", "plain"),
        ("avx2", "float32", "fused"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda flag=flag: {flag: True})
        plan = make_plan(TrainingConfig(device="cpu", threads=1), 16, lambda _: 1)
        assert (plan.dtype, plan.attention_kernel) == (dtype, kernel)
        assert plan.torch_dtype is getattr(torch, dtype)


def test_bfloat16_products_keep_float32_weights_and_the_loss_to_its_rounding(
    make_config, tokens, tmp_path
):
    losses = {}
    for dtype in ("float32", "bfloat16"):
        result = train(make_config(dtype=dtype, max_steps=20), tokens, tmp_path / dtype)
        losses[dtype] = result.loss
        assert read_json(tmp_path / dtype / "plan.json")["dtype"] == dtype
    # bfloat16 keeps 8 bits; 20 updates from the same start differ by far less than one per cent.
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=1e-2)
    assert losses["bfloat16"] != losses["float32"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="needs an NVIDIA GPU"):
        make_plan(TrainingConfig(device="cuda"), 16, lambda _: 1)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(asdict(replace(PLAN, device="cuda"))), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"begun on a GPU.*got no GPU"):
        load_or_make_plan(path, lambda: PLAN)


def test_a_plan_of_another_version_is_refused(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(asdict(PLAN) | {"gears": 3}), encoding="utf-8")
    with pytest.raises(ArtefactError, match="gears"):
        load_or_make_plan(path, lambda: PLAN)


def test_the_allocator_is_told_where_it_is_glibc(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False
    monkeypatch.undo()
    import platform

    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")


def test_a_second_interrupt_is_raised_at_once():
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.requested
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second one was noted too")


def test_a_switch_outside_its_table_is_shown_its_place():
    with pytest.raises(ConfigurationError, match=r"Write training\.switches\.max_grad_norm\."):
        TrainingConfig(max_grad_norm=1.0)


@pytest.mark.skipif(not keep_freed_memory(), reason="needs glibc")
def test_a_finished_run_gives_its_freed_memory_back():
    """In a process of its own: 200 MB in small pieces, freed below one that stays."""
    code = """
import ctypes
from pathlib import Path
from lilliput.training.execution.allocator import keep_freed_memory, return_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
pieces = [libc.malloc(200_000) for _ in range(1000)]
for piece in pieces:
    ctypes.memset(ctypes.c_void_p(piece), 1, 200_000)
libc.malloc(64)
for piece in pieces:
    libc.free(ctypes.c_void_p(piece))
kept = resident()
return_freed_memory()
print(kept - resident())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 150_000_000


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_gpu_adds_the_parts_of_a_long_sum_in_float32(device):
    products, name = torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction"
    before = getattr(products, name)
    try:
        setattr(products, name, True)
        threads = torch.get_num_threads()
        replace(PLAN, device=device, threads=threads, keeps_memory=False).apply()
        assert getattr(products, name) == (device == "cpu")
    finally:
        setattr(products, name, before)
