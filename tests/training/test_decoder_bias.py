"""Runs whose logits start at the token frequencies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import ConfigurationError
from lilliput.core.files import read_json, read_json_lines
from lilliput.evaluation.weights import load_weights
from lilliput.tokenization import open_store
from lilliput.training import load_model, run_identity, train
from lilliput.training.data.unigram import log_unigram
from lilliput.training.fleet import fleet_key

from .conftest import VOCAB_SIZE, tiny_model

START = {"decoder_bias_init": "log_unigram"}


def test_the_first_loss_is_the_unigram_entropy(make_config, tokens, tmp_path):
    """With weights near zero the logits are their bias, so that nothing but frequency is known."""
    drawn, started = make_config(), make_config(**START)
    for name, config in {"drawn": drawn, "started": started}.items():
        train(config, tokens, tmp_path / name)
    first = {
        name: next(iter(read_json_lines(tmp_path / name / "metrics.jsonl")))["loss"]
        for name in ("drawn", "started")
    }
    entropy = read_json(tmp_path / "started" / "result.json")["unigram_entropy"]
    assert first["drawn"] == pytest.approx(np.log(VOCAB_SIZE), abs=0.01)
    assert first["started"] == pytest.approx(entropy, abs=0.01)
    assert entropy < np.log(VOCAB_SIZE) - 0.05


def test_every_other_weight_is_what_the_seed_draws(make_config, tokens, tmp_path):
    train(make_config(), tokens, tmp_path / "drawn")
    train(make_config(**START), tokens, tmp_path / "started")
    drawn = dict(load_model(tmp_path / "drawn", "initial").named_parameters())
    started = dict(load_model(tmp_path / "started", "initial").named_parameters())
    assert [n for n in drawn if not torch.equal(drawn[n], started[n])] == ["decoder_bias"]
    train_tokens, _ = open_store(tokens).split("train")
    expected = torch.from_numpy(log_unigram(train_tokens, VOCAB_SIZE)).float()
    assert torch.equal(started["decoder_bias"], expected)
    assert [start.name for start in load_weights(tmp_path / "started")] == ["trained", "untrained"]


def test_it_is_part_of_the_identity(make_config, tokens):
    manifest = read_manifest(tokens, "tokens")
    plain = make_config()
    assert run_identity(plain, manifest) != run_identity(make_config(**START), manifest)
    assert fleet_key(plain) is not None
    assert fleet_key(make_config(**START)) is None


def test_a_model_without_that_bias_is_refused(make_config):
    model = tiny_model("llama")
    with pytest.raises(ConfigurationError, match="needs a model with a bias on its logits"):
        make_config(model, **START)


def test_imported_weights_keep_their_own_bias(make_config):
    config = make_config(**START)
    with pytest.raises(ConfigurationError, match="imported weights"):
        type(config)(
            model=config.model, training=config.training, initial_weights="0123456789abcdef"
        )
