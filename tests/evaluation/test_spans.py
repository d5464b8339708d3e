"""Scores of spans by a run: equal to the plain model, span by span."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from lilliput.architecture import ModelConfig
from lilliput.core.artefacts import building
from lilliput.core.errors import InputError
from lilliput.evaluation.spans import RunScoreSettings, score_spans
from lilliput.language.scores import read_scores
from lilliput.tokenization.special import SPECIAL_IDS
from lilliput.training import RunConfig, TrainingConfig, load_model, train

SIZES = {"embedding_size": 16, "hidden_size": 16, "intermediate_size": 32,
         "num_attention_heads": 2, "num_hidden_layers": 1}  # fmt: skip


def store_of(folder: Path, splits: dict[str, list[list[int]]]) -> Path:
    with building(
        folder, "tokens", 1, {"n": 1}, {"tokenizer": "0" * 16, "corpus": "c" * 16}
    ) as build:
        for number, (split, documents) in enumerate(splits.items()):
            offsets = np.cumsum([0, *map(len, documents)]).astype(np.int64)
            flat = [token for document in documents for token in document]
            np.save(build.path(f"{split}.tokens.npy"), np.array(flat, np.uint16))
            np.save(build.path(f"{split}.offsets.npy"), offsets)
            ids = 1000 * number + np.arange(len(documents), dtype=np.uint64)
            np.save(build.path(f"{split}.span_ids.npy"), ids.astype(np.uint64))
        np.save(build.path("token_bytes.npy"), np.ones(40, np.int32))
        np.save(build.path("word_start.npy"), np.ones(40, np.bool_))
        build.facts["vocab_size"] = 40
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> tuple[Path, dict[str, list[list[int]]]]:
    rng = np.random.default_rng(0)
    splits = {
        name: [rng.integers(5, 40, rng.integers(3, 50)).tolist() for _ in range(count)]
        for name, count in (("train", 30), ("validation", 6), ("test", 5))
    }
    return store_of(tmp_path_factory.mktemp("s") / "tokens", splits), splits


def run_of(layout: str, store: Path, out: Path) -> Path:
    model = ModelConfig.for_layout(layout, vocab_size=40, max_seq_length=24, **SIZES)
    training = TrainingConfig(max_steps=5, max_seq_length=24, global_batch_size=4, eval_sequences=4,
                              threads=1, dtype="float32", device="cpu")  # fmt: skip
    train(RunConfig(model=model, training=training), store, out)
    return out


@pytest.mark.parametrize("by", ["loss", "el2n"])
def test_causal_scores_equal_the_plain_model_span_by_span(store, tmp_path, by):
    folder, splits = store
    run = run_of("llama", folder, tmp_path / "run")
    facts = score_spans(run, folder, tmp_path / "scores", RunScoreSettings(name=by))
    found = read_scores(tmp_path / "scores")
    assert found.corpus == "c" * 16
    assert facts["spans"] == 41
    assert facts["flops_executed_masked"] > 0
    model = load_model(run)
    for number, documents in enumerate(splits.values()):
        for place, document in enumerate(documents):
            figures = []
            for first in range(0, len(document), 22):  # Pieces with <s> and </s> have 24.
                piece = document[first : first + 22]
                ids = torch.tensor([[SPECIAL_IDS.bos, *piece, SPECIAL_IDS.eos]])
                with torch.no_grad():
                    hidden = model.encode(ids).reshape(ids.numel(), -1)
                    logits = model.logits(hidden)[:-1].double()
                errors = logits.softmax(1) - functional.one_hot(ids[0, 1:], 40)
                nats = functional.cross_entropy(logits, ids[0, 1:], reduction="none")
                figures += (nats if by == "loss" else errors.norm(dim=1)).tolist()
            score = found.of(np.array([1000 * number + place], np.uint64))[0]
            assert score == pytest.approx(np.mean(figures), rel=1e-5)


def test_masked_scores_are_the_same_again_and_more_draws_leave_fewer_without(store, tmp_path):
    folder, _ = store
    run = run_of("roberta", folder, tmp_path / "run")
    missing = []
    for draws in (1, 8):
        settings = RunScoreSettings(name="loss", draws=draws)
        score_spans(run, folder, tmp_path / f"a{draws}", settings)
        facts = score_spans(run, folder, tmp_path / f"b{draws}", settings)
        a, b = read_scores(tmp_path / f"a{draws}"), read_scores(tmp_path / f"b{draws}")
        assert a.manifest.content == b.manifest.content
        missing.append(facts["missing"])
    assert missing[1] < missing[0]


def test_a_store_that_is_not_there_is_refused(store, tmp_path):
    folder, _ = store
    run = run_of("llama", folder, tmp_path / "run")
    with pytest.raises(InputError):
        score_spans(run, tmp_path / "nothing", tmp_path / "x", RunScoreSettings(name="loss"))
