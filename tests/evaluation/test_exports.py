"""What other tools read: the BabyLM pipeline's folders, and lm-eval's tasks run by lm-eval itself."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.evaluation.conftest import train_run

from lilliput.core.errors import InputError
from lilliput.core.extras import is_installed
from lilliput.evaluation import (
    FineTuningSettings,
    evaluate_glue,
    evaluate_pairs,
    filter_task,
    read_scores,
    run_lm_eval,
    write_babylm_fine_tuning,
    write_babylm_pairs,
    write_lm_eval_pairs,
    write_lm_eval_tasks,
)
from lilliput.models import export_model
from lilliput.training import load_model

PAIRS = [
    ("the cat sees a dog", "cat the sees a dog"),
    ("same", "same"),
    ("we like it", "it like we"),
]


@pytest.fixture
def pairs(tmp_path):
    folder = tmp_path / "blimp_filtered"
    folder.mkdir()
    lines = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in PAIRS]
    (folder / "word_order.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def sst2(tmp_path):
    folder = tmp_path / "sst2"
    folder.mkdir()
    for split in ("train", "validation"):
        rows = pa.table({"sentence": ["the old cat", "a red sun"] * 8, "label": [0, 1] * 8})
        pq.write_table(rows, folder / f"{split}.parquet")
    return folder


def _accuracy_as_the_pipeline_counts(path, data):
    """BLiMP as calculate_results_from_pred.py of the BabyLM pipeline 2025 counts it."""
    (name, record), *_ = json.loads(path.read_text()).items()
    lines = (data / f"{name}.jsonl").read_text().splitlines()
    rows = list(zip(record["predictions"], map(json.loads, lines), strict=True))
    return sum(r["pred"].strip() == d["sentence_good"].strip() for r, d in rows) / len(rows)


def test_babylm_pairs_give_the_pipeline_our_accuracy(line, pairs, tmp_path):
    evaluation = tmp_path / "evaluation"
    (score, *_) = evaluate_pairs(line.run, pairs, line.tokenizer, evaluation)
    path = write_babylm_pairs(evaluation, pairs, tmp_path / "results", model="tiny")
    expected = "tiny/main/zero_shot/mlm/blimp/blimp_filtered/predictions.json"
    assert path == tmp_path / "results" / expected
    # The pipeline counts the identical pair as right; we skip it.
    assert _accuracy_as_the_pipeline_counts(path, pairs) == pytest.approx((score.value * 2 + 1) / 3)


def test_filtered_pairs_are_refused_for_the_pipeline(line, pairs, tmp_path):
    (tmp_path / "words.csv").write_text("word,frequency\nthe,1\ncat,1\nsees,1\na,1\ndog,1\n")
    evaluation = tmp_path / "evaluation"
    evaluate_pairs(line.run, pairs, line.tokenizer, evaluation, vocabulary=tmp_path / "words.csv")
    with pytest.raises(InputError, match="filtered by a vocabulary"):
        write_babylm_pairs(evaluation, pairs, tmp_path / "results", model="tiny")


def test_babylm_fine_tuning_holds_one_class_an_example(line, sst2, tmp_path):
    settings = FineTuningSettings(
        num_train_epochs=(1,), seeds=(0,), max_seq_length=16, resamples=10
    )
    evaluation = tmp_path / "evaluation"
    evaluate_glue(line.run, [sst2], line.tokenizer, evaluation, settings=settings)
    (path,) = write_babylm_fine_tuning(evaluation, tmp_path / "results", model="tiny")
    entries = json.loads(path.read_text())["sst2"]["predictions"]
    assert [e["id"] for e in entries[:2]] == ["sst2_0", "sst2_1"]
    labels = [0, 1] * 8
    right = sum(e["pred"] == y for e, y in zip(entries, labels, strict=True)) / 16
    assert right == next(s.value for s in read_scores(evaluation) if s.weights == "trained")
    assert path.with_name("results.txt").read_text() == f"accuracy: {right}\n"


def test_lm_eval_files_hold_every_choice(pairs, sst2, tmp_path):
    assert write_lm_eval_pairs(pairs, tmp_path / "t") == ["lilliput_word_order"]
    rows = (tmp_path / "t" / "lilliput_word_order.jsonl").read_text().splitlines()
    assert [json.loads(row)["choices"] for row in rows] == [list(p) for p in PAIRS if p[0] != p[1]]
    assert write_lm_eval_tasks([sst2], tmp_path / "t") == ["lilliput_sst2"]
    row = json.loads((tmp_path / "t" / "lilliput_sst2.jsonl").read_text().splitlines()[1])
    assert row["choices"][row["gold"]] == "positive"
    assert row["text"].startswith("a red sun\n")


def test_a_regression_is_no_task_for_lm_eval(tmp_path):
    (tmp_path / "stsb").mkdir()
    rows = pa.table({"sentence1": ["a"], "sentence2": ["b"], "label": [1.5]})
    for split in ("train", "validation"):
        pq.write_table(rows, tmp_path / "stsb" / f"{split}.parquet")
    with pytest.raises(InputError, match="stsb"):
        write_lm_eval_tasks([tmp_path / "stsb"], tmp_path / "t")


def _words(folder):
    (folder / "words.csv").write_text("word,frequency\nthe,1\ncat,1\nsees,1\na,1\ndog,1\n")
    return folder / "words.csv"


def test_lm_eval_files_hold_only_what_the_vocabulary_admits(pairs, sst2, tmp_path):
    words = _words(tmp_path)
    assert write_lm_eval_pairs(pairs, tmp_path / "t", vocabulary=words) == ["lilliput_word_order"]
    (row,) = (tmp_path / "t" / "lilliput_word_order.jsonl").read_text().splitlines()
    assert json.loads(row)["choices"] == list(PAIRS[0])
    words.write_text("word,frequency\nthe,1\nold,1\ncat,1\n")
    filter_task("sst2", sst2.parent, words, tmp_path / "filtered" / "sst2")
    write_lm_eval_tasks([tmp_path / "filtered" / "sst2"], tmp_path / "t")
    rows = (tmp_path / "t" / "lilliput_sst2.jsonl").read_text().splitlines()
    assert len(rows) == 8
    assert all(json.loads(row)["text"].startswith("the old cat\n") for row in rows)


@pytest.fixture(scope="module")
def causal_run(line, tmp_path_factory):
    return train_run(tmp_path_factory.mktemp("causal") / "run", line.tokens, layout="llama")


@pytest.mark.slow
@pytest.mark.skipif(not is_installed("lm_eval"), reason="needs the extra 'eval'")
def test_lm_eval_agrees_with_our_scores_of_a_causal_run(causal_run, line, tmp_path):
    data = tmp_path / "pairs"
    data.mkdir()
    rng = np.random.default_rng(0)
    words = ["the", "cat", "sees", "a", "dog", "zyx"]
    drawn = [rng.permutation(words[: 5 + (i % 4 == 0)]).tolist() for i in range(60)]
    lines = [
        json.dumps({"sentence_good": " ".join(w), "sentence_bad": " ".join(w[::-1])}) for w in drawn
    ]
    (data / "order.jsonl").write_text("\n".join(lines) + "\n")
    (ours, *_) = evaluate_pairs(
        causal_run, data, line.tokenizer, tmp_path / "ours", vocabulary=_words(tmp_path)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries we do not steer
        export_model(load_model(causal_run), tmp_path / "model", tokenizer=line.tokenizer)
    names = write_lm_eval_pairs(data, tmp_path / "tasks", vocabulary=_words(tmp_path))
    found = run_lm_eval(tmp_path / "model", tmp_path / "tasks", names, tmp_path / "out")
    assert found["lilliput_order"]["n"] == ours.n == 45
    assert found["lilliput_order"]["value"] == ours.value
    assert found["lilliput_order"]["standard_error"] > 0


def test_lm_eval_is_not_started_without_a_model_or_tasks(tmp_path):
    with pytest.raises(InputError, match="lilliput export"):
        run_lm_eval(tmp_path, tmp_path, ["x"], tmp_path / "out")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"no lilliput_x\.yaml"):
        run_lm_eval(tmp_path, tmp_path, ["lilliput_x"], tmp_path / "out")


def test_causal_pairs_lie_in_the_pipelines_causal_folder(causal_run, line, pairs, tmp_path):
    evaluation = tmp_path / "evaluation"
    (score, *_) = evaluate_pairs(causal_run, pairs, line.tokenizer, evaluation)
    path = write_babylm_pairs(evaluation, pairs, tmp_path / "results", model="tiny")
    expected = "tiny/main/zero_shot/causal/blimp/blimp_filtered/predictions.json"
    assert path == tmp_path / "results" / expected
    assert _accuracy_as_the_pipeline_counts(path, pairs) == pytest.approx((score.value * 2 + 1) / 3)
