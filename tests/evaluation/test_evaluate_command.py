"""The verb: the keys of the contract, tokenizers found by content, refusals in one sentence."""

from __future__ import annotations

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lilliput.cli._frame import build_app
from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import ConfigurationError, InputError
from lilliput.evaluation import ProbeSettings, build_probes

QUICK = ("--set", "seeds=[0,1]", "--set", "num_train_epochs=[1]", "--set", "resamples=20")


@pytest.fixture(scope="module")
def study(line, corpus, tmp_path_factory):
    """The folders of a study, as its layout has them."""
    root = tmp_path_factory.mktemp("study")
    run_id = read_manifest(line.run).id
    shutil.copytree(line.run, root / "runs" / run_id)
    shutil.copytree(line.tokens, root / "tokens" / "small")
    shutil.copytree(line.tokenizer, root / "tokenizers" / "small" / "byte-bpe-300")
    settings = ProbeSettings(max_train_examples=32, max_dev_examples=32)
    build_probes(corpus, root / "probes" / "small", settings=settings)
    return root / "runs" / run_id


def _run(capsys, *arguments):
    build_app()([*map(str, arguments), "--json"], standalone_mode=False)
    return json.loads(capsys.readouterr().out)


KEYS = {"value", "low", "high", "n", "seeds", "baseline"}


def test_probes_of_a_study_need_no_further_paths(study, capsys):
    record = _run(capsys, "evaluate", "probes", study, *QUICK)
    assert set(record["scores"]) == {"word_order", "coherence", "source"}
    assert all(set(score) >= KEYS for score in record["scores"].values())
    values = [score["value"] for score in record["scores"].values()]
    mean = record["average"]
    assert mean["value"] == pytest.approx(sum(values) / 3)
    assert mean["low"] < mean["value"] < mean["high"]
    assert _run(capsys, "evaluate", "probes", study, *QUICK) == record


def test_glue_under_a_vocabulary(study, capsys, tmp_path):
    rows = pa.table({"sentence": ["the cat", "a zyx"] * 10, "label": [0, 1] * 10})
    (tmp_path / "glue" / "cola").mkdir(parents=True)
    for split in ("train", "validation"):
        pq.write_table(rows, tmp_path / "glue" / "cola" / f"{split}.parquet")
    (tmp_path / "words.csv").write_text("word,frequency\nthe,2\ncat,1\n")
    record = _run(
        capsys, "evaluate", "glue", study, "--data", tmp_path / "glue", "--tasks", "cola",
        "--vocabulary", tmp_path / "words.csv", "--out", tmp_path / "out" / "glue", *QUICK,
    )  # fmt: skip
    assert set(record["scores"]["cola"]) >= KEYS
    assert record["scores"]["cola"]["n"] == 10
    assert "no conclusion" in record["scores"]["cola"]["note"]
    assert record["scores"]["cola"]["kept"]["train"] == {"rows": 20, "kept": 10}
    assert "sst2" in record["average"]["missing"]
    assert record["average"]["low"] is not None


def test_minimal_pairs(study, capsys, tmp_path):
    pair = {"sentence_good": "the cat sees", "sentence_bad": "cat the sees"}
    (tmp_path / "order.jsonl").write_text(json.dumps(pair) + "\n")
    record = _run(capsys, "evaluate", "pairs", study, "--data", tmp_path / "order.jsonl")
    assert set(record["scores"]["order"]) >= KEYS
    assert record["average"]["value"] == record["scores"]["order"]["value"]


def test_a_point_along_the_run_has_scores_of_its_own(study, capsys):
    record = _run(
        capsys, "evaluate", "probes", study, "--tasks", "source", "--checkpoint", "step-1", *QUICK
    )
    assert record["out"].endswith("probes-step-1")


@pytest.mark.parametrize(
    ("arguments", "error", "shown"),
    [
        (("glue", "--data", "/nowhere"), InputError, "/nowhere"),
        (("probes", "--tasks", "rhyme"), InputError, "rhyme"),
        (("probes", "--set", "batchsize=3"), ConfigurationError, "batch_size"),
        (("probes", "--checkpoint", "step-77"), InputError, "step-77"),
        (("glue", "--data", ".", "--preset", "fast"), ConfigurationError, "'fast'"),
    ],
)
def test_bad_input_is_one_sentence(study, arguments, error, shown):
    suite, *rest = arguments
    with pytest.raises(error, match=shown):
        build_app()(["evaluate", suite, str(study), *rest], standalone_mode=False)


def test_another_tokenizer_of_the_same_size_is_refused(study, corpus, tmp_path):
    from lilliput.tokenization import TokenizerSettings, train_tokenizer

    settings = TokenizerSettings(kind="wordpiece", vocab_size=290)
    other = train_tokenizer(corpus, tmp_path / "other", settings)
    with pytest.raises(ConfigurationError, match="trained with"):
        build_app()(
            ["evaluate", "probes", str(study), "--tokenizer", str(other), "--out",
             str(tmp_path / "out")], standalone_mode=False,
        )  # fmt: skip


def test_a_run_outside_a_study_needs_its_tokenizer(line):
    with pytest.raises(InputError, match="--tokenizer"):
        build_app()(["evaluate", "probes", str(line.run)], standalone_mode=False)


def _toy_task(folder, in_average):
    """A task of GLUE's form that the package does not know: one TOML file and two tables."""
    folder.mkdir(parents=True)
    (folder / "task.toml").write_text(
        f"""name = "toy_of_two"
title = "Does the sentence hold a cat?"
fields = ["text"]
label = "kind"
labels = ["dog", "cat"]
metrics = ["accuracy"]
train = "train"
dev = ["dev_one", "dev_two"]
in_average = {str(in_average).lower()}
source = "made here"
licence = "CC0"
version = "1"
"""
    )
    for split in ("train", "dev_one", "dev_two"):
        rows = [
            {"text": f"the {kind} sees {number}", "kind": kind}
            for number, kind in enumerate(["cat", "dog"] * 8)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.mark.parametrize("in_average", [True, False])
def test_a_task_from_outside_needs_one_toml_file_and_reaches_average_and_report(
    study, capsys, tmp_path, in_average
):
    own = tmp_path / "study"
    shutil.copytree(study.parent.parent, own)
    run = own / "runs" / study.name
    _toy_task(tmp_path / "data" / "toy_of_two", in_average)
    record = _run(capsys, "evaluate", "glue", run, "--data", tmp_path / "data", *QUICK)
    assert set(record["scores"]) == {"toy_of_two_dev_one", "toy_of_two_dev_two"}
    if in_average:
        mean = sum(score["value"] for score in record["scores"].values()) / 2
        assert record["average"]["tasks"] == {"toy_of_two": pytest.approx(mean)}
        assert record["average"]["missing"] == []
    else:
        assert record["average"] is None
    _run(capsys, "report", own, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert all(name in page for name in record["scores"])


def test_what_was_kept_of_pairs_is_printed(study, capsys, tmp_path):
    rows = [("the cat", "cat the"), ("a zyx", "zyx a")]
    lines = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in rows]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    (tmp_path / "words.csv").write_text("word,frequency\nthe,2\ncat,1\n")
    arguments = (
        "evaluate", "pairs", study, "--data", tmp_path / "pairs.jsonl",
        "--vocabulary", tmp_path / "words.csv", "--out", tmp_path / "out",
    )  # fmt: skip
    build_app()([*map(str, arguments)], standalone_mode=False)
    assert "1 of 2 pairs kept" in capsys.readouterr().out
