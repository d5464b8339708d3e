"""Interrupts that the training loop answers between two updates."""

from __future__ import annotations

import signal

import pytest

from lilliput.training.interrupts import Interrupts


def test_the_first_is_noted_and_the_second_raised():
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


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
