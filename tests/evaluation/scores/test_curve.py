"""Scores along a run: in the order of tokens seen, of one run, none invented."""

from __future__ import annotations

import json

import pytest
from tests.evaluation.conftest import train_run

from lilliput.core.errors import InputError
from lilliput.core.files import read_json_lines
from lilliput.evaluation import evaluate_pairs, read_scores, score_curve
from lilliput.evaluation.scores.curve import tokens_seen_at


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "order.jsonl"
    rows = [{"sentence_good": f"the {w} sees", "sentence_bad": f"{w} the sees"} for w in "abcdef"]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_checkpoints_stand_in_the_order_of_the_tokens_they_saw(line, pairs, tmp_path):
    folders = [tmp_path / name for name in ("final", "step-1", "initial")]
    for folder in folders:
        evaluate_pairs(line.run, pairs, line.tokenizer, folder, checkpoint=folder.name)
    points = score_curve(line.run, folders)
    assert [point.checkpoint for point in points] == ["initial", "step-1", "final"]
    counted = {p["step"]: p["tokens_seen"] for p in read_json_lines(line.run / "metrics.jsonl")}
    assert points[0].tokens_seen == 0 < points[1].tokens_seen < points[2].tokens_seen
    assert points[2].tokens_seen == counted[3]
    for point, folder in zip(points, reversed(folders), strict=True):
        assert point.value == read_scores(folder)[0].value


def test_a_curve_is_of_one_run(line, pairs, tmp_path):
    other = train_run(tmp_path / "other", line.tokens, seed=1)
    evaluate_pairs(other, pairs, line.tokenizer, tmp_path / "scores")
    with pytest.raises(InputError, match="scores, of"):
        score_curve(line.run, [tmp_path / "scores"])


def test_a_checkpoint_that_is_not_there_has_no_tokens(line):
    with pytest.raises(InputError, match="step-77"):
        tokens_seen_at(line.run, "step-77")
