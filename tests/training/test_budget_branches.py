"""One trunk, many budgets: each branch ends where it would have ended alone."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from lilliput.core.errors import ArtefactError, ConfigurationError
from lilliput.core.files import read_json_lines
from lilliput.training import branch_configs, train, train_branches
from lilliput.training.execution.engine import Engine

RECIPE = {"lr_scheduler_type": "warmup_stable_decay", "warmup_steps": 2, "decay_ratio": 0.25}


def curve(run):
    return [
        {k: v for k, v in record.items() if k != "wall_time_s"}
        for record in read_json_lines(run / "metrics.jsonl")
    ]


def test_branches_equal_runs_from_scratch_bitwise(make_config, tokens, tmp_path, monkeypatch):
    configs = branch_configs(make_config(**RECIPE), [16, 8, 24])
    assert [c.training.max_steps for c in configs] == [8, 16, 24]
    updates = []
    update = Engine.step

    def counted(self, batch, learning_rate, step):
        updates.append(step)
        return update(self, batch, learning_rate, step)

    outs = [tmp_path / f"branch{i}" for i in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", counted)
        results = train_branches(configs, tokens, outs)
    # The trunk's 24, and the decays of 2 and 4.
    assert len(updates) == 24 + 2 + 4
    for config, out, result in zip(configs, outs, results, strict=True):
        alone = tmp_path / f"alone{config.training.max_steps}"
        assert train(config, tokens, alone).loss == result.loss
        assert curve(alone) == curve(out)
        for which in ("initial", "final"):
            a, b = (
                load_file(r / "checkpoints" / which / "model.safetensors") for r in (alone, out)
            )
            assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_state_of_another_recipe_is_refused(make_config, tokens, tmp_path):
    configs = branch_configs(make_config(**RECIPE), [20, 40])
    other = make_config(**RECIPE, max_steps=20, learning_rate=1e-4)
    train(configs[1], tokens, tmp_path / "trunk", keep_states_at=[15])
    with pytest.raises(ArtefactError, match="same recipe, seed and token store"):
        train(other, tokens, tmp_path / "run", start_from=tmp_path / "trunk/checkpoints/state-15")


def test_an_absent_state_costs_time_and_nothing_else(make_config, tokens, tmp_path):
    config = branch_configs(make_config(**RECIPE), [20])[0]
    alone = train(config, tokens, tmp_path / "alone")
    assert train(config, tokens, tmp_path / "b", start_from=tmp_path / "no").loss == alone.loss


@pytest.mark.parametrize("change", [{"lr_scheduler_type": "cosine"}, {"warmup_steps": None}])
def test_schedules_that_depend_on_the_length_are_refused(make_config, change):
    with pytest.raises(ConfigurationError, match="branches need"):
        branch_configs(make_config(**(RECIPE | change)), [20])


def test_a_budget_shorter_than_its_warm_up_and_decay_is_refused(make_config):
    with pytest.raises(ConfigurationError, match=r"longer than 2 steps.*got 2"):
        branch_configs(make_config(**RECIPE), [2, 100])
