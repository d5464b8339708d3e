"""`lilliput train`, as people and scripts call it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.errors import ConfigurationError, InputError
from lilliput.training import read_recipe

RECIPE = """
tokens = "{tokens}"
out = "run"
seed = 3

[model]
layout = "roberta"
embedding_size = 16
hidden_size = 16
intermediate_size = 32
num_attention_heads = 2
num_hidden_layers = 1

[training]
max_seq_length = 32
global_batch_size = 16
max_steps = 5
threads = 1
device = "cpu"
dtype = "float32"
eval_sequences = 20
"""


@pytest.fixture
def recipe(tokens, tmp_path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(tokens=tokens), encoding="utf-8")
    return path


def invoke(*arguments: str):
    return CliRunner().invoke(build_app(), ["train", *arguments], standalone_mode=False)


def test_json_has_the_contracted_keys_and_nothing_else_on_stdout(recipe, tmp_path):
    result = invoke(str(recipe), "--set", "training.learning_rate=2e-3", "--json")
    record = json.loads(result.stdout)
    keys = {"run_id", "loss", "loss_reference", "perplexity", "tokens_seen", "tokens_per_s"}
    flops = {"flops_reference", "flops_executed_masked", "flops_kaplan_6n"}
    assert keys | flops <= record.keys()
    assert record["steps"] == 5
    assert record["out"] == str(tmp_path / "run")
    again = json.loads(invoke(str(recipe), "--set", "training.learning_rate=2e-3", "--json").stdout)
    assert again == record


def test_people_get_sentences_and_the_next_command(recipe):
    text = invoke(str(recipe)).stdout
    assert "nats a predicted token" in text
    assert "Next: lilliput" in text


def test_vocabulary_and_position_table_follow_from_store_and_recipe(recipe):
    run = read_recipe(recipe)
    assert run.config.model.vocab_size == 60
    assert run.config.model.max_seq_length == 32
    assert run.config.seed == 3
    assert read_recipe(recipe, ["seed=4"]).config.seed == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.learning_rat=1", r"'training\.learning_rat'.*Did you mean 'learning_rate'"),
        ("model.hidden_sise=32", r"hidden_sise.*Did you mean 'hidden_size'"),
        ("training.learning_rate=-1", r"greater than 0.*-1"),
        ("training.max_tokens=100", r"one of max_steps, num_train_epochs and max_tokens"),
        ("training.random_replace_prob=0.5", r"at most 1, not 1\.5"),
        ("model.vocab_size=61", r"vocabulary of 60: got 61"),
        ("model.layout=gpt", r"gpt"),
    ],
)
def test_a_wrong_key_or_value_is_answered_in_one_sentence(recipe, override, message):
    result = invoke(str(recipe), "--set", override)
    assert isinstance(result.exception, ConfigurationError)
    import re

    assert re.search(message, str(result.exception)), str(result.exception)


def test_a_missing_layout_or_store_is_named(recipe, tmp_path):
    recipe.write_text(recipe.read_text().replace('layout = "roberta"', ""), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"model\.layout must be given"):
        read_recipe(recipe)
    other = tmp_path / "other.toml"
    other.write_text(RECIPE.format(tokens="nowhere"), encoding="utf-8")
    with pytest.raises(InputError, match="nowhere"):
        read_recipe(other)


def test_configurations_load_without_torch():
    code = (
        "import sys; import lilliput.training as t; t.TrainingConfig(); t.switch_table();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
