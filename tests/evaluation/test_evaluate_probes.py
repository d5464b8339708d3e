"""A run on its probes: both starts proved, figures that follow from kept predictions, done once."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file
from tests.evaluation.conftest import train_run

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import ArtefactError, ConfigurationError
from lilliput.core.hashing import file_hash
from lilliput.core.verification import verify
from lilliput.evaluation import (
    FineTuningSettings,
    ProbeSettings,
    as_summary,
    build_probes,
    evaluate_probes,
    evaluate_probes_together,
    read_scores,
)
from lilliput.evaluation.probes.evaluate import read_probes
from lilliput.evaluation.suite import split_scores
from lilliput.evaluation.weights import load_weights
from lilliput.tokenization import TokenizerSettings, train_tokenizer

QUICK = FineTuningSettings(
    learning_rates=(1e-3,), num_train_epochs=(1,), seeds=(0, 1), max_seq_length=32, resamples=50
)
SMALL = ProbeSettings(max_train_examples=48, max_dev_examples=120)


@pytest.fixture(scope="module")
def probes(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "probes"
    build_probes(corpus, out, settings=SMALL)
    return out


@pytest.fixture(scope="module")
def evaluation(line, probes, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored") / "evaluation"
    evaluate_probes(line.run, probes, line.tokenizer, out, settings=QUICK)
    return out


def test_every_probe_is_scored_from_both_starts(evaluation, probes):
    scores = read_scores(evaluation)
    assert {(s.task, s.weights) for s in scores} == {
        (t, s) for t in ("word_order", "coherence", "source") for s in ("trained", "untrained")
    }
    for score in scores:
        assert score.seeds == 2
        assert score.n == read_manifest(probes).facts[score.task]["dev"]
        assert score.low <= score.value <= score.high
        assert score.baseline is not None
        if score.weights == "trained":
            assert score.gain == pytest.approx(score.value - score.baseline)
            assert score.gain_low <= score.gain <= score.gain_high
    assert set(as_summary(scores)) == {"word_order", "coherence", "source"}


def test_the_record_has_the_keys_that_others_read(evaluation):
    record = json.loads((evaluation / "scores.json").read_text())[0]
    assert {
        "task", "weights", "metric", "value", "low", "high", "n", "seeds", "baseline", "note",
    } <= set(record)  # fmt: skip


def test_scores_follow_from_the_kept_predictions(evaluation, probes):
    table = pq.read_table(evaluation / "predictions.parquet").to_pandas()
    tasks = {data.task.name: data.task for data in read_probes(probes)}
    for score in read_scores(evaluation):
        rows = table[table["task"] == score.task]
        arrays = {
            start: np.stack([g["prediction"].to_numpy() for _, g in part.groupby("seed")])
            for start, part in rows.groupby("weights", observed=True)
        }
        labels = rows[(rows["weights"] == score.weights) & (rows["seed"] == 0)]["label"].to_numpy()
        again = split_scores(
            score.task, tasks[score.task], labels, arrays, resamples=QUICK.resamples
        )
        same = next(s for s in again if s.weights == score.weights)
        assert (same.value, same.low, same.high) == (score.value, score.low, score.high)


def test_done_work_is_read_and_not_repeated(evaluation, line, probes, monkeypatch):
    monkeypatch.setattr("lilliput.evaluation.suite.fine_tune_models", None)
    again = evaluate_probes(line.run, probes, line.tokenizer, evaluation, settings=QUICK)
    assert again == read_scores(evaluation)
    assert verify(evaluation).mismatches == ()


def test_an_interrupted_evaluation_goes_on_to_the_same_scores(
    evaluation, line, probes, tmp_path, monkeypatch
):
    from lilliput.evaluation import suite

    original, calls = suite.fine_tune_models, []

    def interrupted(*arguments, **settings):
        calls.append(arguments[1].name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **settings)

    monkeypatch.setattr(suite, "fine_tune_models", interrupted)
    out = tmp_path / "evaluation"
    with pytest.raises(KeyboardInterrupt):
        evaluate_probes(line.run, probes, line.tokenizer, out, settings=QUICK)
    scores = evaluate_probes(line.run, probes, line.tokenizer, out, settings=QUICK)
    assert calls.count(calls[0]) == 1  # the first task, before the interruption only
    assert [s.as_record() for s in scores] == [s.as_record() for s in read_scores(evaluation)]
    assert read_manifest(out).content == read_manifest(evaluation).content


def test_runs_that_share_a_stack_get_the_scores_that_each_gets_alone(
    evaluation, line, probes, tmp_path
):
    other = train_run(tmp_path / "other", line.tokens, seed=1)
    outs = {line.run: tmp_path / "first", other: tmp_path / "second"}
    found = evaluate_probes_together(outs, probes, line.tokenizer, settings=QUICK)
    alone = evaluate_probes(other, probes, line.tokenizer, tmp_path / "alone", settings=QUICK)
    expected = [read_scores(evaluation), alone]
    for ours, theirs in zip(found, expected, strict=True):
        assert [s.as_record() for s in ours] == [s.as_record() for s in theirs]
    assert read_manifest(tmp_path / "second").id == read_manifest(tmp_path / "alone").id
    assert read_manifest(tmp_path / "first").content == read_manifest(evaluation).content


def test_the_starts_are_the_final_and_the_first_weights(line):
    trained, untrained = load_weights(line.run)
    for start, folder in ((trained, "final"), (untrained, "initial")):
        stored = load_file(line.run / "checkpoints" / folder / "model.safetensors")
        for name, parameter in start.model.named_parameters():
            assert stored[name].equal(parameter.detach())
    assert trained.digest != untrained.digest


def test_a_point_along_the_run_can_be_scored(line):
    step, untrained = load_weights(line.run, "step-1")
    assert step.checkpoint == "step-1"
    assert len({step.digest, untrained.digest, load_weights(line.run)[0].digest}) == 3


def _copy_run(line, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(line.run, run)
    return run


def test_trained_weights_in_place_of_the_initial_ones_are_refused(line, tmp_path):
    run = _copy_run(line, tmp_path)
    for name in ("model.safetensors", "state.json"):
        source = run / "checkpoints" / "final" / name
        shutil.copy(source, run / "checkpoints" / "initial" / name)
    with pytest.raises(ArtefactError, match=r"initial/state\.json must be as it was written"):
        load_weights(run)


def test_a_checkpoint_that_lacks_a_tensor_is_refused(line, tmp_path):
    run = _copy_run(line, tmp_path)
    folder = run / "checkpoints" / "final"
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "qkv" in name)
    del weights[lost]
    save_file(weights, folder / "model.safetensors")
    state = json.loads((folder / "state.json").read_text())
    state["hashes"]["model.safetensors"] = file_hash(folder / "model.safetensors")
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(ArtefactError, match=r"final/state\.json must be as it was written"):
        load_weights(run)


def test_a_larger_tokenizer_is_refused_with_both_sizes(line, probes, corpus, tmp_path):
    other = train_tokenizer(
        corpus, tmp_path / "other", TokenizerSettings(kind="byte-bpe", vocab_size=310)
    )
    with pytest.raises(ConfigurationError, match=r"300 ids.*310 ids"):
        evaluate_probes(line.run, probes, other, tmp_path / "out", settings=QUICK)
