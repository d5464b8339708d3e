"""Runs that go on from an imported Hugging Face folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.errors import ArtefactError, ConfigurationError, InputError
from lilliput.core.files import read_json
from lilliput.models import build_model, export_model, load_hugging_face
from lilliput.tokenization import SPECIAL_TOKENS, load_tokenizer
from lilliput.tokenization.folder import save_tokenizer
from lilliput.tokenization.symbols import token_bytes, word_start
from lilliput.training import load_model, read_recipe, train
from lilliput.training.fleet import fleet_key

from .conftest import tiny_model, write_store

RECIPE = """
tokens = "tokens"
out = "run"

[training]
max_seq_length = 32
global_batch_size = 16
max_steps = 4
learning_rate = 1e-3
threads = 1
device = "cpu"
dtype = "float32"
eval_sequences = 20
save_interval_s = 1e-9
"""
TEXT = ["the cat sat on the mat", "a dog and a cat ran to the red ball", "who has seen the wind"]


def make_tokenizer(folder: Path, texts: list[str]) -> Path:
    tokenizer = ByteLevelBPETokenizer(add_prefix_space=True)
    tokenizer.train_from_iterator(
        texts, vocab_size=280, min_frequency=1, special_tokens=list(SPECIAL_TOKENS)
    )
    save_tokenizer(tokenizer._tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token store with its tokenizer, and an exported model that was trained on neither."""
    place = tmp_path_factory.mktemp("imported")
    loaded = load_tokenizer(make_tokenizer(place / "tokenizer", TEXT))
    size = loaded.vocab_size
    arrays = {"token_bytes": token_bytes(loaded, size), "word_start": word_start(loaded, size)}
    write_store(place / "tokens", vocab_size=size, arrays=arrays)
    model = build_model(tiny_model("roberta", vocab_size=size), seed=7)
    export_model(model, place / "model", tokenizer=place / "tokenizer")
    (place / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return place


@pytest.fixture
def recipe(place, tmp_path) -> Path:
    shutil.copytree(place, tmp_path / "place")
    return tmp_path / "place" / "recipe.toml"


def invoke(*arguments: str):
    return CliRunner().invoke(build_app(), ["train", *arguments], standalone_mode=False)


def test_a_run_starts_with_the_imported_weights_and_learns(recipe):
    folder = recipe.parent / "model"
    record = json.loads(invoke(str(recipe), "--from", str(folder), "--json").stdout)
    run = recipe.parent / "run"
    first, imported = load_model(run, "initial"), load_hugging_face(folder)
    last = load_model(run)
    for (name, a), b in zip(first.named_parameters(), imported.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(last.decoder_weight, first.decoder_weight)
    again = json.loads(invoke(str(recipe), "--from", str(folder), "--json").stdout)
    assert again == record


def test_the_recipes_key_is_the_option_and_the_weights_are_in_the_id(recipe):
    plain = read_recipe(recipe, start_from=recipe.parent / "model")
    keyed = read_recipe(recipe, ["start_from=model"])
    assert keyed == plain
    assert plain.config.initial_weights
    assert plain.config.identity_settings()["initial_weights"] == plain.config.initial_weights
    scratch = plain.config.model_copy(update={"initial_weights": ""})
    assert scratch.identity_settings()["initial_weights"] == ""
    assert fleet_key(scratch) is not None
    assert fleet_key(plain.config) is None


def test_a_run_once_begun_needs_the_folder_no_more(recipe, monkeypatch):
    from lilliput.training.execution.engine import Engine

    run = read_recipe(recipe, ["start_from=model"])
    whole = train(run.config, run.tokens, recipe.parent / "whole", weights_from=run.weights_from)
    update, count = Engine.step, iter(range(2))
    with monkeypatch.context() as patch:
        patch.setattr(
            Engine, "step", lambda *a: update(*a) if next(count, None) is not None else 1 / 0
        )  # fmt: skip
        with pytest.raises(ZeroDivisionError):
            train(run.config, run.tokens, run.out, weights_from=run.weights_from)
    shutil.rmtree(recipe.parent / "model")
    assert train(run.config, run.tokens, run.out).loss == whole.loss


def test_without_or_with_other_weights_the_run_is_refused(recipe):
    run = read_recipe(recipe, ["start_from=model"])
    with pytest.raises(InputError, match="--from FOLDER"):
        train(run.config, run.tokens, run.out)
    shutil.rmtree(recipe.parent / "model")
    model = build_model(run.config.model, seed=8)
    export_model(model, recipe.parent / "model", tokenizer=recipe.parent / "tokenizer")
    with pytest.raises(ConfigurationError, match=run.config.initial_weights):
        train(run.config, run.tokens, run.out, weights_from=run.weights_from)


def test_a_tokenizer_that_means_other_text_is_refused(recipe):
    other = make_tokenizer(recipe.parent / "other", [text[::-1] + "xyz" for text in TEXT])
    size = read_json(recipe.parent / "tokens" / "manifest.json")["facts"]["vocab_size"]
    assert load_tokenizer(other).vocab_size <= size
    shutil.copy(other / "tokenizer.json", recipe.parent / "model" / "tokenizer.json")
    with pytest.raises(ArtefactError, match=r"tokenizer\.json must be as it was written"):
        read_recipe(recipe, ["start_from=model"])
    (recipe.parent / "model" / "manifest.json").unlink()  # A folder that somebody else made.
    with pytest.raises(ConfigurationError, match=r"id \d+ is not the same text.*tokenizer encode"):
        read_recipe(recipe, ["start_from=model"])


def test_missing_files_and_other_sizes_are_named(recipe, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        read_recipe(recipe, ["start_from=nowhere"])
    (recipe.parent / "model" / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        read_recipe(recipe, ["start_from=model"])
    export_model(build_model(tiny_model("roberta"), seed=0), tmp_path / "small")
    with pytest.raises(ConfigurationError, match=r"\d{3} ids.*60"):
        read_recipe(recipe, start_from=tmp_path / "small")


def test_a_recipe_that_contradicts_the_folder_is_refused(recipe):
    run = read_recipe(recipe, ["start_from=model", "model.layout='roberta'"])
    assert run.config.model.layout == "roberta"
    with pytest.raises(ConfigurationError, match=r"model\.hidden_size .* 16: got 32"):
        read_recipe(recipe, ["start_from=model", "model.hidden_size=32"])
