"""Filled gaps: the fill-mask pipeline's scores, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evaluation.conftest import Line
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.errors import ConfigurationError, InputError
from lilliput.evaluation import fill_masks
from lilliput.study.publishing.export import export_run

TEXTS = ("the <mask> sees a dog.", "the old <mask> likes the <mask> and", "<mask>we you")


def test_scores_equal_those_of_the_pipeline(line: Line, masked_run: Path, tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    export_run(masked_run, tmp_path / "model", tokenizer=line.tokenizer)
    pipeline = transformers.pipeline("fill-mask", model=str(tmp_path / "model"), top_k=7)
    found = fill_masks(masked_run, TEXTS, top=7, tokenizer=line.tokenizer)
    for one in found:
        expected = pipeline(one.text)
        gaps = expected if isinstance(expected[0], list) else [expected]
        assert len(gaps) == len(one.gaps) == one.text.count("<mask>")
        for gap, candidates in zip(gaps, one.gaps, strict=True):
            assert [c.token for c in candidates] == [c["token"] for c in gap]
            for ours, theirs in zip(candidates, gap, strict=True):
                # The pipeline's softmax is in float32.
                assert ours.probability == pytest.approx(theirs["score"], rel=1e-4)


def test_all_candidates_have_probability_one(line: Line):
    (one,) = fill_masks(line.run, ["the <mask>"], top=300, tokenizer=line.tokenizer)
    assert sum(c.probability for c in one.gaps[0]) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("top", [0, 301])
def test_more_candidates_than_tokens_are_refused(line: Line, top: int):
    with pytest.raises(ConfigurationError, match=f"from 1 to 300.*got {top}"):
        fill_masks(line.run, ["the <mask>"], top=top, tokenizer=line.tokenizer)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the cat", "at least one gap"),
        ("", "at least one gap"),
        ("<mask>", "that the tokenizer knows"),
        ("<mask>" + " the dog" * 40, "at most 62 tokens"),
    ],
)
def test_a_text_that_cannot_be_filled_is_refused(line: Line, text: str, said: str):
    with pytest.raises(InputError, match=said):
        fill_masks(line.run, [text], tokenizer=line.tokenizer)


def test_a_causal_run_is_sent_to_generate(line: Line, causal_run):
    with pytest.raises(InputError, match="lilliput generate RUN"):
        fill_masks(causal_run, ["the <mask>"], tokenizer=line.tokenizer)


def test_the_verb_shows_each_gap(line: Line):
    words = [
        "fill",
        str(line.run),
        "the <mask> sees",
        "--top",
        "2",
        "--tokenizer",
        str(line.tokenizer),
    ]
    done = CliRunner().invoke(build_app(), [*words, "--json"])
    assert done.exit_code == 0, done.output
    (record,) = json.loads(done.stdout)["texts"]
    assert [len(gap) for gap in record["gaps"]] == [2]
    shown = CliRunner().invoke(build_app(), words).stdout
    assert shown.count("gap 1:") == 2
