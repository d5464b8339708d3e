"""Objectives and data orders of other packages train, alone and stacked, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lilliput.core.errors import ConfigurationError
from lilliput.training import Objective, load_model, objectives, train
from lilliput.training.data import orders
from lilliput.training.data.batches import make_batch
from lilliput.training.data.token_data import load_data
from lilliput.training.execution.device_batches import DeviceSplit, device_batch
from lilliput.training.fleet import FleetMember, fleet_key, train_fleet
from lilliput.training.objectives.base import DrawKey
from lilliput.training.objectives.masked_lm import MaskedLM
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.trunks import group_trunks

from .conftest import tiny_model
from .test_train_verb import RECIPE

PLUGIN = Path(__file__).parent / "toy_plugin"


@pytest.fixture
def toy(monkeypatch):
    """The package as if it were installed, for this test alone."""
    for registry in (objectives.base.REGISTRY, orders.base.REGISTRY):
        registry.items()
        monkeypatch.setattr(registry, "_items", dict(registry._items))
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.delitem(sys.modules, "lilliput_toy", raising=False)
    import lilliput_toy

    return lilliput_toy


def train_by_command(tokens: Path, folder: Path, *settings: str) -> tuple[int, dict[str, Any]]:
    folder.mkdir()
    (folder / "recipe.toml").write_text(RECIPE.format(tokens=tokens), encoding="utf-8")
    options = [part for setting in settings for part in ("--set", f"training.{setting}")]
    done = subprocess.run(
        [sys.executable, "-m", "lilliput", "train", str(folder / "recipe.toml"), *options, "--json"],
        capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": f"{PLUGIN}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_a_recipe_names_what_another_package_registers(tokens, tmp_path):
    code, record = train_by_command(
        tokens, tmp_path / "toy", "objective.name=sparse_masked_lm", "objective.stride=3",
        "order=backwards",
    )  # fmt: skip
    assert code == 0
    assert record["steps"] == 5
    code, plain = train_by_command(tokens, tmp_path / "plain", "order=backwards")
    assert plain["run_id"] != record["run_id"]
    assert plain["tokens_seen"] == record["tokens_seen"]
    # A third of the positions is predicted, and only that is counted.
    assert record["flops_executed_masked"] < plain["flops_executed_masked"]
    assert record["flops_executed_full"] == plain["flops_executed_full"]
    resolved = json.loads((tmp_path / "toy" / "run" / "run.json").read_text())["config"]["training"]
    assert resolved["objective"] == {"name": "sparse_masked_lm", "stride": 3}


def test_an_unknown_name_or_setting_is_refused_with_the_known_ones(make_config):
    with pytest.raises(ConfigurationError, match="Did you mean 'masked_lm'") as unknown:
        make_config(objective="masked-ml")
    assert "training.objective must be a known training objective: got 'masked-ml'" in str(unknown.value)  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"Known: curriculum, shuffled\."):
        make_config(order="sorted by hand")
    with pytest.raises(ConfigurationError, match="'stride'"):
        make_config(objective={"name": "masked_lm", "stride": 3})
    with pytest.raises(ConfigurationError, match="a name, or a table"):
        make_config(objective=3)


def test_a_second_thing_of_one_name_is_refused(toy):
    class Other(MaskedLM):
        name = "sparse_masked_lm"

    with pytest.raises(ConfigurationError, match="a name of its own"):
        objectives.register_objective(Other)
    assert objectives.register_objective(toy.SparseMaskedLM) is toy.SparseMaskedLM


def test_host_and_device_batches_of_a_toy_objective_agree(toy, make_config, tokens):
    config = make_config(objective={"name": "sparse_masked_lm", "stride": 2})
    data = load_data(config, tokens)
    chosen, key = np.arange(16), DrawKey.of(0, "train", 1)
    host = make_batch(data.train, chosen, key, data.rules, 16)
    split = DeviceSplit.of(data.train, data.rules, "cpu")
    key_2 = torch.tensor([key.select, key.replace])
    device = device_batch(split, torch.from_numpy(chosen), key_2, data.rules, 16)
    assert int((device[0].weights_N > 0).sum()) == host.predicted
    assert (device[0].positions_N[device[0].weights_N > 0] % 32 % 2 == 0).all()
    dense = load_data(make_config(), tokens)
    whole = make_batch(dense.train, chosen, key, dense.rules, 16)
    assert 0 < host.predicted < whole.predicted


def test_a_toy_objective_is_stacked_and_agrees_with_training_alone(
    toy, make_config, tokens, tmp_path
):
    configs = [make_config(seed=seed, objective="sparse_masked_lm") for seed in (0, 1)]
    members = [FleetMember(c, tmp_path / f"fleet-{c.seed}") for c in configs]
    stacked = train_fleet(members, tokens)
    alone = train(configs[1], tokens, tmp_path / "alone")
    assert stacked[1].loss == pytest.approx(alone.loss, rel=1e-4)


def test_a_loss_of_its_own_is_trained_alone_and_its_flops_are_counted(
    toy, make_config, tokens, tmp_path
):
    calls = []

    class Doubled(MaskedLM):
        name = "doubled"
        description = "Twice the cross-entropy, at one FLOP a predicted token more."

        def prepare(self, load_model):
            calls.append(load_model)

        def head_loss(self, head, z_ND, micro, grad_weight_VD, grad_bias_V):
            return head.add_gradients(
                z_ND, micro.targets_N, 2 * micro.weights_N, grad_weight_VD, grad_bias_V
            )

        def extra_flops(self, work):
            return {"flops_executed_masked": work.predicted}

    objectives.register_objective(Doubled)
    config, plain = make_config(objective="doubled"), make_config()
    assert fleet_key(plain) is not None
    assert fleet_key(config) is None
    result = train(config, tokens, tmp_path / "doubled")
    expected = train(plain, tokens, tmp_path / "plain")
    assert calls == [load_model]
    extra = result.flops["flops_executed_masked"] - expected.flops["flops_executed_masked"]
    batches = RunSchedule.of(config, load_data(config, tokens))
    assert extra == sum(batches.batch(step, 16).predicted for step in range(1, 13))
    assert result.flops["flops_reference"] == expected.flops["flops_reference"]
    # AdamW does not see the scale of a loss, but for epsilon and clipping: the untrained losses are equal.
    first = [json.loads((tmp_path / n / "metrics.jsonl").read_text().splitlines()[0])["loss"] for n in ("doubled", "plain")]  # fmt: skip
    assert first[0] == first[1]


def test_a_toy_order_decides_what_each_step_reads(toy, make_config, tokens):
    config = make_config(order="backwards")
    data = load_data(config, tokens)
    schedule = RunSchedule.of(config, data)
    size = len(data.train)
    assert schedule.chosen(1).tolist() == list(range(size - 1, size - 17, -1))
    assert schedule.chosen(2)[0] == size - 17
    other = RunSchedule.of(make_config(), data)
    assert other.chosen(1).tolist() != schedule.chosen(1).tolist()


def test_an_order_that_knows_the_length_of_the_run_shares_no_trunk(toy, make_config):
    class Paced(toy.Backwards):
        name = "paced"
        description = "As if it were paced over the run."
        depends_on_max_steps = True

    orders.register_order(Paced)
    stable = {"lr_scheduler_type": "warmup_stable_decay", "warmup_steps": 2}
    runs = {
        name: [make_config(max_steps=n, order=name, **stable) for n in (10, 20)]
        for name in ("backwards", "paced")
    }
    assert group_trunks(runs["backwards"]) == [(0, 1)]
    assert group_trunks(runs["paced"]) == []


def test_objectives_need_the_model_that_suits_them(make_config):
    assert make_config(model=tiny_model("llama")).objective().name == "causal_lm"
    assert make_config().objective().name == "masked_lm"
    named, automatic = make_config(objective="masked_lm"), make_config()
    assert named.identity_settings() == automatic.identity_settings()
    with pytest.raises(ConfigurationError, match="sees both sides"):
        make_config(model=tiny_model("llama"), objective="masked_lm")
    assert issubclass(MaskedLM, Objective)
