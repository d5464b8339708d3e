"""Every script of examples/ does at tiny scale what its first line says."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import load_file

from lilliput.analysis import FitOptions, analyse_fit, load_table
from lilliput.language.reading.packages import package_documents
from lilliput.tokenization import load_tokenizer, open_store

FOLDER = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
TESTED = {
    "compare_tokenizers",
    "fit_my_csv",
    "read_token_store",
    "report_on_my_texts",
    "score_minimal_pairs",
    "train_and_export",
}


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files of plain text."""
    folder = tmp_path_factory.mktemp("texts")
    chapters = [document.text for document in package_documents("pythonbible_bwe")]
    for number in range(3):
        (folder / f"part-{number}.txt").write_text("\n".join(chapters[number * 30 :][:30]))
    return folder


@pytest.fixture(scope="module")
def model(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What train_and_export leaves."""
    out = tmp_path_factory.mktemp("model") / "out"
    example("train_and_export").main(str(texts), str(out), steps=3, vocab_size=500)
    return out


def test_every_example_is_tested_here() -> None:
    assert {path.stem for path in SCRIPTS} == TESTED


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_to_call_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert f"python examples/{path.name}" in text
    assert len(text.splitlines()) <= 80


@pytest.mark.parametrize(
    "path", [p for p in SCRIPTS if p.stem != "fit_my_csv"], ids=lambda p: p.stem
)
def test_without_arguments_an_example_explains_itself(path: Path) -> None:
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"python examples/{path.name}" in done.stderr


def test_a_report_on_my_texts(texts: Path, tmp_path: Path) -> None:
    report = example("report_on_my_texts").main(
        str(texts),
        str(tmp_path / "study"),
        "scale=tiny",
        'grid=[{languages=["constrained"], shapes=["16/16/32/2/1"]}]',
        "tokenizers.vocab_sizes=[600]",
        "training.max_tokens=2000",
        "probes.max_train_examples=32",
        "probes.max_dev_examples=32",
    )
    assert "examples/report_on_my_texts.py" in report.read_text(encoding="utf-8")


def test_a_law_is_fitted_to_a_csv_with_the_known_exponent(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["run", "loss", "flops_reference"])
        for run in range(12):
            flops = 10.0 ** (12 + run / 3)
            rows.writerow([f"r{run}", 900.0 * flops**-0.2, flops])
    record = example("fit_my_csv").main(str(path), resamples=20)
    exponent = record["parameters"]["exponent"]["value"]
    assert abs(exponent - 0.2) < 1e-6  # Noiseless points of one power law.
    same = analyse_fit(load_table(str(path)), options=FitOptions(resamples=20)).as_record()
    assert record["parameters"] == same["parameters"]


def test_tokenizers_are_compared(texts: Path, tmp_path: Path) -> None:
    found = example("compare_tokenizers").main(str(texts), str(tmp_path / "out"), (400, 600))
    assert len(found.rows) == 6
    assert all(row.word_split_ratio_in_context >= 1.0 for row in found.rows)
    assert found.picked.name in {row.name for row in found.rows}


def test_a_model_is_trained_and_exported(model: Path) -> None:
    weights = load_file(model / "exported" / "model.safetensors")
    assert weights["roberta.embeddings.word_embeddings.weight"].shape == (500, 64)
    assert "# " in (model / "exported" / "README.md").read_text(encoding="utf-8")


def test_minimal_pairs_are_scored(model: Path) -> None:
    tokenizer = model / "tokenizers" / "byte-bpe-500"
    scores = example("score_minimal_pairs").main(str(model / "run"), str(tokenizer))
    trained = [score for score in scores if score.weights == "trained"]
    assert {score.n for score in trained} == {3}
    assert all(0.0 <= score.value <= 1.0 for score in trained)


def test_the_store_is_read_without_lilliput(model: Path) -> None:
    ids = example("read_token_store").main(str(model / "tokens"), 2)
    store = open_store(model / "tokens")
    assert ids.dtype == np.uint16
    tokenizer = load_tokenizer(model / "tokenizers" / "byte-bpe-500")
    assert tokenizer.content in store.manifest.inputs.values()
    assert 0 < len(ids) < len(np.load(model / "tokens" / "train.tokens.npy"))
    assert ids.max() < store.vocab_size
