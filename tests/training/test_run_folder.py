"""A run as an artefact: done once, killed anywhere, resumed bitwise, refused where it must be."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.killing import kill_at_every_change

from lilliput.core import files
from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.errors import (
    ArtefactError,
    ConfigurationError,
    DiskFullError,
    EmptyCorpusError,
    InputError,
    NonFiniteLossError,
    OccupiedFolderError,
)
from lilliput.core.files import read_json, read_json_lines
from lilliput.core.verification import verify
from lilliput.training import RunConfig, load_model, run_identity, train
from lilliput.training.execution.engine import Engine
from lilliput.training.loop import TrainingLoop

from .conftest import VOCAB_SIZE, tiny_model, write_store

TIMES = {"wall_time_s"}


def curve(run: Path) -> list[dict]:
    return [
        {key: value for key, value in record.items() if key not in TIMES}
        for record in read_json_lines(run / "metrics.jsonl")
    ]


def weights(run: Path, which: str = "final") -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / which / "model.safetensors")


def assert_same_run(first: Path, second: Path) -> None:
    assert curve(first) == curve(second)
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_leaves_the_contracted_files(make_config, tokens, tmp_path):
    out = tmp_path / "run"
    config = make_config(save_steps=(5,))
    result = train(config, tokens, out, info={"language": "constrained"})
    record = result.as_record()
    assert record["run_id"] == run_identity(config, read_manifest(tokens)) == read_manifest(out).id
    keys = {"loss", "loss_reference", "perplexity", "bits_per_byte", "unigram_entropy"}
    keys |= {"tokens_seen", "tokens_per_s", "wall_time_s", "steps", "flops_executed_masked"}
    keys |= {"num_parameters", "num_parameters_non_embedding", "flops_reference"}
    assert keys <= record.keys()
    assert sorted(p.name for p in (out / "checkpoints").iterdir()) == ["final", "initial", "step-5"]
    assert read_json(out / "run.json")["info"] == {"language": "constrained"}
    assert RunConfig(**read_json(out / "run.json")["config"]) == config
    assert [r["step"] for r in curve(out)] == [0, 1, 3, 10, 12]
    assert curve(out)[-1]["loss"] == record["loss"]
    assert verify(out).mismatches == ()
    json.dumps(record)


def test_a_finished_run_is_recognised_and_not_trained_again(
    make_config, tokens, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    first = train(make_config(), tokens, out)
    monkeypatch.setattr(TrainingLoop, "run", lambda self: pytest.fail("trained again"))
    assert train(make_config(threads=2, save_interval_s=1.0), tokens, out) == first


def test_equal_runs_are_bitwise_equal_and_another_seed_is_not(make_config, tokens, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(make_config(seed=seed), tokens, tmp_path / name)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert curve(tmp_path / "a")[-1]["loss"] != curve(tmp_path / "c")[-1]["loss"]


def _train_until_killed(config: RunConfig, tokens: Path, out: Path) -> None:
    train(config, tokens, out)


@pytest.mark.parametrize(
    ("profile", "threads", "kills"),
    [
        ("reference", 1, [10]),
        ("corrected", 2, [10]),
        pytest.param("corrected", 1, [10, 30, 50], marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_goes_on_bitwise(make_config, tokens, tmp_path, profile, threads, kills):
    """kill -9, at whatever moments; dropout and masks follow from (seed, step)."""
    config = make_config(max_steps=80, profile=profile, threads=threads, save_interval_s=0.1)
    train(config, tokens, tmp_path / "whole")
    out = tmp_path / "killed"
    context = multiprocessing.get_context("spawn")
    for updates in kills:
        process = context.Process(target=_train_until_killed, args=(config, tokens, out))
        process.start()
        _wait_for_resume_point(out, updates, process)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert not is_artefact(out)
    train(config, tokens, out)
    assert_same_run(tmp_path / "whole", out)


def test_killed_before_each_of_its_changes_a_run_ends_bitwise_the_same(
    make_config, tokens, tmp_path
):
    config = make_config(max_steps=4, save_steps=(2,), save_interval_s=1e-6)
    work = partial(_train_until_killed, config, tokens)
    work(tmp_path / "whole")
    kills = kill_at_every_change(work, tmp_path / "killed")
    assert kills > 40
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert not list(tmp_path.glob("killed/**/*.partial-*"))
    assert verify(tmp_path / "killed").mismatches == ()


def _wait_for_resume_point(out: Path, step: int, process) -> None:
    while process.is_alive():
        points = [int(p.name.split("-")[1]) for p in (out / "checkpoints").glob("resume-*") if "partial" not in p.name]  # fmt: skip
        if max(points, default=0) >= step:
            return
        time.sleep(0.005)
    pytest.fail(f"the run ended before step {step}")


class _StopError(Exception):
    """Stands for whatever ends a process."""


def stop_at(monkeypatch, step: int, error: BaseException | None = None) -> None:
    update = Engine.step

    def interrupted(self, batch, learning_rate, number):
        if number == step:
            raise error or _StopError
        return update(self, batch, learning_rate, number)

    monkeypatch.setattr(Engine, "step", interrupted)


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
def test_a_damaged_checkpoint_is_passed_over(make_config, tokens, tmp_path, monkeypatch, damage):
    config = make_config(max_steps=40, save_interval_s=1e-6)
    train(config, tokens, tmp_path / "whole")
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(_StopError):
        stop_at(patch, 30)
        train(config, tokens, out)
    points = sorted(p.name for p in (out / "checkpoints").glob("resume-*"))
    assert points == ["resume-28", "resume-29"]
    file = out / "checkpoints" / "resume-29" / "optimizer.safetensors"
    content = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(content[:-100])
    elif damage == "flip":
        content[-50] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    said = []

    class Reporter:
        from lilliput.core.progress import SILENT

        task = SILENT.task
        say = staticmethod(said.append)

    train(config, tokens, out, reporter=Reporter())
    assert len(said) == 1
    assert "resume-29" in said[0]
    assert_same_run(tmp_path / "whole", out)


def test_all_checkpoints_damaged_means_from_the_start(make_config, tokens, tmp_path, monkeypatch):
    config = make_config(max_steps=20, save_interval_s=1e-6)
    train(config, tokens, tmp_path / "whole")
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(_StopError):
        stop_at(patch, 10)
        train(config, tokens, out)
    for state in (out / "checkpoints").glob("resume-*/state.json"):
        state.write_text("{", encoding="utf-8")
    train(config, tokens, out)
    assert_same_run(tmp_path / "whole", out)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_saves_first(make_config, tokens, tmp_path, monkeypatch, number):
    config = make_config(max_steps=30)
    train(config, tokens, tmp_path / "whole")
    out = tmp_path / "run"
    before = signal.getsignal(number)
    update = Engine.step

    def signalled(self, batch, learning_rate, step):
        if step == 17:
            os.kill(os.getpid(), number)
        return update(self, batch, learning_rate, step)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", signalled)
        with pytest.raises(KeyboardInterrupt):
            train(config, tokens, out)
    assert signal.getsignal(number) is before
    # The update at hand is cut short, and made again.
    assert (out / "checkpoints" / "resume-16" / "state.json").is_file()
    train(config, tokens, out)
    assert_same_run(tmp_path / "whole", out)


def test_the_last_and_the_named_checkpoints_are_kept(make_config, tokens, tmp_path, monkeypatch):
    config = make_config(save_interval_s=1e-9, save_total_limit=3, save_steps=(2, 4))
    update = Engine.step

    def stopping(self, batch, learning_rate, step):
        if step == 8:
            raise _StopError
        return update(self, batch, learning_rate, step)

    monkeypatch.setattr(Engine, "step", stopping)
    with pytest.raises(_StopError):
        train(config, tokens, tmp_path / "run")
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["initial", "resume-5", "resume-6", "resume-7", "step-2", "step-4"]


def test_a_run_in_another_thread_leaves_signals_alone(make_config, tokens, tmp_path):
    results = []
    worker = threading.Thread(target=lambda: results.append(train(make_config(), tokens, tmp_path / "run")))  # fmt: skip
    worker.start()
    worker.join()
    assert results[0].steps == 12


def test_a_full_disk_is_one_sentence_and_loses_nothing(make_config, tokens, tmp_path, monkeypatch):
    config = make_config(max_steps=20, save_interval_s=1e-6)
    train(config, tokens, tmp_path / "whole")
    out = tmp_path / "run"

    def full(path):
        if "optimizer" in path.name and "resume-11" in path.parent.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path)

    from lilliput.training import checkpoints

    real = checkpoints.file_hash
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "file_hash", full)
        with pytest.raises(DiskFullError, match=r"resume-11 must be writable: the disk is full"):
            train(config, tokens, out)
    assert not list((out / "checkpoints").glob("*.partial-*"))
    train(config, tokens, out)
    assert_same_run(tmp_path / "whole", out)


def test_a_full_disk_at_the_curve_is_reported_too(make_config, tokens, tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_flush_to_disk", full)
    with pytest.raises(DiskFullError, match="No space left"):
        train(make_config(), tokens, tmp_path / "run")


def test_a_changed_recipe_leaves_a_half_done_run_alone(make_config, tokens, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(_StopError):
        stop_at(patch, 8)
        train(make_config(save_interval_s=1e-6), tokens, out)
    before = sorted(p.name for p in out.rglob("*"))
    with pytest.raises(OccupiedFolderError, match="must be empty or hold this very run"):
        train(make_config(learning_rate=1e-4), tokens, out)
    assert sorted(p.name for p in out.rglob("*")) == before
    assert train(make_config(), tokens, out).steps == 12


def test_the_store_of_another_tokenizer_is_refused(make_config, tokens, tmp_path):
    other = write_store(tmp_path / "other", vocab_size=80)
    with pytest.raises(ConfigurationError, match=r"vocabulary of 80: got 60\."):
        train(make_config(), other, tmp_path / "run")
    same_size = write_store(tmp_path / "same", seed=1)
    train(make_config(), tokens, tmp_path / "done")
    with pytest.raises(OccupiedFolderError):
        train(make_config(), same_size, tmp_path / "done")


def test_a_sequence_longer_than_the_position_table_is_refused(make_config):
    with pytest.raises(ConfigurationError, match=r"max_seq_length must be at most .* 32: got 40"):
        make_config(max_seq_length=40)


def test_a_validation_split_without_predicted_tokens_is_named(make_config, tmp_path):
    small = write_store(tmp_path / "small", documents=5)
    config = make_config(mlm_probability=1e-6)
    with pytest.raises(
        EmptyCorpusError, match=r"at least one predicted token: got none in \d+ seq"
    ):
        train(config, small, tmp_path / "run")


def test_divergence_stops_with_step_and_rate_and_whole_checkpoints(make_config, tokens, tmp_path):
    config = make_config(
        max_steps=300,
        learning_rate=1e30,
        lr_scheduler_type="constant",
        warmup_steps=40,
        save_interval_s=1e-6,
        switches={"max_grad_norm": 0.0},
    )
    with pytest.raises(
        NonFiniteLossError, match=r"step \d+, learning rate \d\.\d+e\+\d+"
    ) as caught:
        train(config, tokens, tmp_path / "run")
    assert "last good checkpoint is" in str(caught.value)
    for folder in (tmp_path / "run" / "checkpoints").glob("resume-*"):
        for tensor in load_file(folder / "model.safetensors").values():
            assert bool(torch.isfinite(tensor).all())


def test_models_load_as_they_were(make_config, tokens, tmp_path):
    out = tmp_path / "run"
    train(make_config(save_steps=(4,)), tokens, out)
    ids = torch.arange(5, 25)[None]
    outputs = {w: load_model(out, w).encode(ids).detach() for w in ("initial", "step-4", "final")}
    assert not torch.equal(outputs["initial"], outputs["final"])
    final = load_model(out)
    saved = weights(out)
    assert all(torch.equal(p, saved[name]) for name, p in final.named_parameters())
    assert not final.training
    with pytest.raises(InputError, match=r"step-7.*There are: final, initial, step-4"):
        load_model(out, "step-7")


def test_a_checkpoint_of_another_model_is_refused(make_config, tokens, tmp_path):
    wide, narrow = tmp_path / "wide", tmp_path / "narrow"
    train(make_config(model=tiny_model(intermediate_size=64)), tokens, wide)
    train(make_config(), tokens, narrow)
    (narrow / "run.json").write_bytes((wide / "run.json").read_bytes())
    with pytest.raises(ArtefactError, match="run.json must be as it was written"):
        load_model(narrow)


def test_identity_ignores_how_and_keeps_what(make_config, tokens):
    manifest = read_manifest(tokens)
    base = run_identity(make_config(), manifest)
    same = make_config(
        threads=2,
        save_interval_s=5.0,
        per_device_train_batch_size=8,
        save_steps=(3,),
        save_total_limit=9,
    )
    assert run_identity(same, manifest) == base
    mixture = make_config(switches={"classifier_head": "positions"})
    assert run_identity(mixture, manifest) == base
    for change in ({"learning_rate": 1e-3}, {"profile": "reference"}, {"seed": 1}, {"eval_sequences": 9}, {"switches": {"shuffle": False}}):  # fmt: skip
        assert run_identity(make_config(**change), manifest) != base
    off = {"switches": {"accumulation_off_by_one": True}}
    halves = make_config(per_device_train_batch_size=8, **off)
    assert run_identity(halves, manifest) != run_identity(make_config(**off), manifest)


def test_the_unigram_entropy_is_what_frequencies_give(make_config, tokens, tmp_path):
    result = train(make_config(max_steps=1), tokens, tmp_path / "run")
    train_tokens = np.load(tokens / "train.tokens.npy")
    held_out = np.load(tokens / "validation.tokens.npy")
    counts = np.bincount(train_tokens, minlength=VOCAB_SIZE) + 1
    expected = -np.log(counts[held_out] / counts.sum()).mean()
    assert result.unigram_entropy == pytest.approx(expected, rel=1e-12)
