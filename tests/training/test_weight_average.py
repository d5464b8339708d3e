"""The final weights of a run as the mean of its last ones, also after an interrupt and in a fleet."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from lilliput.training import train
from lilliput.training.checkpoints import read_checkpoint
from lilliput.training.fleet import FleetMember, train_fleet
from lilliput.training.loop import TrainingLoop
from lilliput.training.weight_average import WeightAverage


def final(folder):
    return read_checkpoint(folder / "checkpoints/final").weights


def test_final_weights_are_the_mean_of_the_last_steps(make_config, tokens, tmp_path):
    config = {"max_steps": 8, "lr_scheduler_type": "constant"}
    train(make_config(**config, save_steps=[5, 6, 7, 8]), tokens, tmp_path / "plain")
    averaged = train(make_config(**config, average_last=0.5), tokens, tmp_path / "averaged")
    steps = [
        read_checkpoint(tmp_path / f"plain/checkpoints/step-{n}").weights for n in (5, 6, 7, 8)
    ]
    for name, weight in final(tmp_path / "averaged").items():
        expected = torch.stack([one[name].double() for one in steps]).mean(0)
        torch.testing.assert_close(weight.double(), expected, rtol=1e-6, atol=1e-7)
    plain = make_config(**config)
    assert averaged.loss != train(plain, tokens, tmp_path / "last").loss


def test_a_run_that_averages_nothing_is_the_run_of_before(make_config):
    assert "average_last" not in make_config().identity_settings()["training"]
    assert make_config(average_last=0.2).identity_settings()["training"]["average_last"] == 0.2


@pytest.mark.parametrize("at", [3, 6, 8])
def test_an_interrupted_run_ends_with_the_same_weights(
    make_config, tokens, tmp_path, monkeypatch, at
):
    config = make_config(max_steps=8, average_last=0.5)
    train(config, tokens, tmp_path / "whole")
    update = TrainingLoop._take

    def interrupted(self, step):
        if step == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, step)

    monkeypatch.setattr(TrainingLoop, "_take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config, tokens, tmp_path / "stopped")
    monkeypatch.undo()
    train(config, tokens, tmp_path / "stopped")
    for name, weight in final(tmp_path / "stopped").items():
        assert torch.equal(weight, final(tmp_path / "whole")[name]), name


def test_members_of_a_fleet_average_each_their_own(make_config, tokens, tmp_path):
    configs = [make_config(seed=seed, max_steps=8, average_last=0.5) for seed in (0, 1)]
    train_fleet([FleetMember(c, tmp_path / f"f{c.seed}", {}) for c in configs], tokens)
    for config in configs:
        train(config, tokens, tmp_path / f"a{config.seed}")
        for name, weight in final(tmp_path / f"f{config.seed}").items():
            alone = final(tmp_path / f"a{config.seed}")[name]
            torch.testing.assert_close(weight, alone, rtol=1e-4, atol=1e-5)


def test_a_step_is_taken_once_and_the_mean_is_applied_once():
    average = WeightAverage(max_steps=4, share=0.5)
    weights = torch.zeros(2)
    for step in range(1, 5):
        weights.fill_(float(step))
        average.take(step, weights)
        average.take(step, weights)
    assert weights.tolist() == [3.5, 3.5]
