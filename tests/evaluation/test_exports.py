"""What other tools read: the BabyLM pipeline's folders, and lm-eval's tasks run by lm-eval itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lilliput.architecture import ModelConfig
from lilliput.core.errors import InputError
from lilliput.core.extras import is_installed
from lilliput.evaluation import (
    FineTuningSettings,
    PairSettings,
    evaluate_glue,
    evaluate_pairs,
    read_scores,
    write_babylm_fine_tuning,
    write_babylm_pairs,
    write_lm_eval_pairs,
    write_lm_eval_tasks,
)
from lilliput.evaluation.encoding import TextEncoder
from lilliput.evaluation.pairs.likelihood import score_sentences
from lilliput.models import build_model, export_model

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
    assert right == next(s.value for s in read_scores(evaluation) if s.start == "trained")
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


@pytest.mark.slow
@pytest.mark.skipif(not is_installed("lm_eval"), reason="needs the extra 'eval'")
def test_lm_eval_agrees_with_our_causal_scores_on_an_exported_model(line, pairs, tmp_path):
    config = ModelConfig.for_layout(
        "llama", vocab_size=300, embedding_size=32, hidden_size=32, intermediate_size=64,
        num_attention_heads=2, num_hidden_layers=2, max_seq_length=64,
    )  # fmt: skip
    model = build_model(config, 3).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries we do not steer
        export_model(model, tmp_path / "model", tokenizer=line.tokenizer)
    write_lm_eval_pairs(pairs, tmp_path / "tasks")
    command = [
        sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
        f"pretrained={tmp_path / 'model'},add_bos_token=True", "--include_path",
        str(tmp_path / "tasks"), "--tasks", "lilliput_word_order", "--device", "cpu",
        "--output_path", str(tmp_path / "out"),
    ]  # fmt: skip
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    subprocess.run(command, check=True, env=offline, capture_output=True, timeout=300)
    (report,) = (tmp_path / "out").rglob("results*.json")
    theirs = json.loads(report.read_text())["results"]["lilliput_word_order"]["acc,none"]
    encoder = TextEncoder.load(line.tokenizer)
    settings = PairSettings(method="causal")
    good, bad = (
        score_sentences(
            model, encoder.tokenised([p[side] for p in PAIRS if p[0] != p[1]]), encoder.special,
            settings,
        )
        for side in (0, 1)
    )  # fmt: skip
    assert theirs == (good > bad).mean()
