"""Interrupts that the training loop answers between two passes, of an update or of an evaluation."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from lilliput.training import train
from lilliput.training.execution import gradients as passes
from lilliput.training.execution.interrupts import InterruptedWork, Interrupts
from lilliput.training.fleet import FleetMember, train_fleet
from lilliput.training.fleet.stack import Stack

from ..test_run_folder import assert_same_run


def test_the_first_is_noted_and_a_second_ctrl_c_raised():
    with Interrupts() as interrupts:
        interrupts.check()
        signal.raise_signal(signal.SIGINT)
        assert interrupts.requested
        with pytest.raises(InterruptedWork):
            interrupts.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_second_sigterm_does_not_cut_short_what_the_first_began():
    """One comes to every process of a job, and one more from the parent of a worker."""
    with Interrupts() as interrupts:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert interrupts.requested


def interrupt_at(monkeypatch, number: int) -> list[int]:
    """SIGTERM during that pass, of an update or an evaluation, alone or stacked; the passes are counted."""
    begun: list[int] = []

    def watched(plain):
        def begin(*arguments):
            begun.append(len(begun) + 1)
            if len(begun) == number:
                signal.raise_signal(signal.SIGTERM)
            return plain(*arguments)

        return begin

    monkeypatch.setattr(passes, "_head_inputs", watched(passes._head_inputs))
    monkeypatch.setattr(Stack, "_head_inputs", watched(Stack._head_inputs))
    return begun


@pytest.mark.parametrize("members", [1, 2])
def test_cut_short_in_any_pass_a_run_is_saved_and_ends_bitwise_the_same(
    make_config, tokens, tmp_path, monkeypatch, members
):
    configs = [
        make_config(
            max_steps=3,
            per_device_train_batch_size=4,
            eval_sequences=24,
            seed=seed,
            save_steps=(3,),
        )
        for seed in range(members)
    ]

    def work(folder: str) -> list[Path]:
        outs = [tmp_path / folder / str(seed) for seed in range(members)]
        if members == 1:
            train(configs[0], tokens, outs[0])
        else:
            train_fleet([FleetMember(c, o) for c, o in zip(configs, outs, strict=True)], tokens)
        return outs

    def passes_of(folder: str, interrupted_at: int = 0) -> int:
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            begun = interrupt_at(patch, interrupted_at)
            work(folder)
        return len(begun)

    total = passes_of("whole")
    assert total > 20
    for number in range(1, total + 1, 2):
        folder = f"cut-{number}"
        # Nothing begins after the signal, and no more is lost than the update or the evaluation at hand.
        assert passes_of(folder, number) == number
        assert passes_of(folder) + number <= total + 6
        for first, second in zip(work("whole"), work(folder), strict=True):
            assert_same_run(first, second)
            names = {path.name for path in (second / "checkpoints").iterdir()}
            assert names == {"final", "initial", "step-3"}


def test_ctrl_c_that_a_worker_ignores_does_not_count():
    # A terminal sends it to the workers too; what their parent then sends is the first.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert not interrupts.requested
            signal.raise_signal(signal.SIGTERM)
            assert interrupts.requested
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
