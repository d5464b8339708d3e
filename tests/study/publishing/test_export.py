"""Exported runs and corpora with all that a study knows of them, and the one use of the network."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.models.test_hugging_face_export import write_tokenizer
from tests.training.conftest import tiny_model, write_store
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.artefacts import building, read_manifest
from lilliput.core.errors import InputError, OccupiedFolderError
from lilliput.core.verification import verify
from lilliput.models import load_hugging_face
from lilliput.study.publishing.export import export_artefact, push
from lilliput.training import RunConfig, TrainingConfig, load_model, train

VOCABULARY = 25


def write_corpus(folder: Path) -> Path:
    rows = {"train": 3, "validation": 2, "test": 0}
    with building(folder, "corpus", 1, {"profile": "modern"}) as build:
        for number, (split, count) in enumerate(rows.items()):
            table = pa.table(
                {
                    "text": [f"{split} text {i} | <b>" for i in range(count)],
                    "doc_id": [f"d{i}" for i in range(count)],
                    "source": ["tale"] * count,
                    "split": pa.array([split] * count, pa.string()),
                    "position": pa.array(range(count), pa.int64()),
                }
            )
            pq.write_table(table, build.path(f"shards/{number:05d}.parquet"))
        build.facts.update(spans=9, kept=6, written=5, dropped={"short": 3})
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus, a tokenizer, tokens, one run of a few steps and its scores, tied by their ids."""
    root = tmp_path_factory.mktemp("study")
    corpus = read_manifest(write_corpus(root / "corpora" / "constrained"))
    files = write_tokenizer(root / "files")
    tokenizer = root / "tokenizers" / "constrained" / "words-25"
    with building(tokenizer, "tokenizer", 1, {"vocab_size": VOCABULARY}):
        shutil.copytree(files, tokenizer, dirs_exist_ok=True)
    raw = write_store(root / "raw", vocab_size=VOCABULARY)
    inputs = {"tokenizer": read_manifest(tokenizer).content, "corpus": corpus.id}
    tokens = root / "tokens" / "constrained"
    with building(tokens, "tokens", 1, {}, inputs) as build:
        for path in raw.glob("*.npy"):
            shutil.copy(path, build.path(path.name))
        build.facts.update(read_manifest(raw).facts)
    training = TrainingConfig(
        max_seq_length=32,
        max_steps=2,
        global_batch_size=8,
        eval_sequences=16,
        threads=1,
        dtype="float32",
        device="cpu",
    )
    model = tiny_model("electra", vocab_size=VOCABULARY, embedding_size=8)
    config = RunConfig(model=model, training=training, seed=7)
    result = train(config, tokens, root / "runs" / "started", info={"name": "tiny one"})
    (root / "runs" / "started").rename(root / "runs" / result.run_id)
    score = {"task": "cloze", "weights": "trained", "metric": "accuracy", "value": 0.5, "low": 0.25}
    score |= {"high": 0.75, "n": 12, "baseline": 0.4, "note": "few", "checkpoint": "final"}
    scores = root / "evaluations" / result.run_id / "probes" / "scores.json"
    scores.parent.mkdir(parents=True)
    scores.write_text(json.dumps([score, score | {"weights": "untrained", "value": 0.125}]))
    return root


@pytest.fixture
def run(study: Path) -> Path:
    return next((study / "runs").iterdir())


def test_a_run_finds_its_tokenizer_corpus_and_scores(study: Path, run: Path, tmp_path: Path):
    exported = export_artefact(run, tmp_path / "model")
    assert exported.layout == "electra"
    assert (exported.path / "tokenizer.json").is_file()
    card = (exported.path / "README.md").read_text()
    for kind, name in (("tokenizers", "words-25"), ("corpora", "")):
        folder = study / kind / "constrained" / name
        assert read_manifest(folder).content in card
    assert "| cloze | accuracy | 0.5 | 0.25 to 0.75 | 12 | 0.4 | few |" in card
    assert "0.125" not in card  # the untrained start is the baseline, not a score
    for fact in ("tiny one", run.name, "flops_reference", "seed 7", "Too few scored examples"):
        assert fact in card
    result = json.loads((run / "result.json").read_text())
    assert f"{result['loss']:.4g}" in card
    assert verify(exported.path).mismatches == ()


def test_what_is_exported_is_what_was_trained(run: Path, tmp_path: Path):
    ids = torch.tensor([[0, 5, 6, 7, 2]])
    for checkpoint in ("final", "initial"):
        folder = export_artefact(run, tmp_path / checkpoint, checkpoint=checkpoint).path
        exported, trained = load_hugging_face(folder).eval(), load_model(run, checkpoint)
        with torch.no_grad():
            assert torch.equal(exported.encode(ids), trained.encode(ids))
    assert "cloze" not in (tmp_path / "initial" / "README.md").read_text()


def test_a_run_outside_its_study_says_what_is_missing(run: Path, tmp_path: Path):
    shutil.copytree(run, tmp_path / "alone" / "elsewhere" / run.name)
    folder = export_artefact(tmp_path / "alone" / "elsewhere" / run.name, tmp_path / "m").path
    assert not (folder / "tokenizer.json").exists()
    card = (folder / "README.md").read_text()
    assert "Its tokenizer is not in this folder" in card
    assert "not been evaluated" in card


def test_a_corpus_becomes_one_file_a_split(study: Path, tmp_path: Path):
    corpus = study / "corpora" / "constrained"
    exported = export_artefact(corpus, tmp_path / "data")
    assert exported.layout == "parquet"
    files = {path.stem: pq.read_table(path) for path in (exported.path / "data").iterdir()}
    assert {split: table.num_rows for split, table in files.items()} == {
        "train": 3,
        "validation": 2,
    }
    assert files["train"].column("text").to_pylist()[0] == "train text 0 | <b>"
    card = (exported.path / "README.md").read_text()
    for fact in (read_manifest(corpus).content, "| dropped: short | 3 |", "data/train.parquet"):
        assert fact in card
    assert "text 0" not in card  # a card quotes no corpus
    before = (exported.path / "manifest.json").stat().st_mtime_ns
    export_artefact(corpus, exported.path)
    assert (exported.path / "manifest.json").stat().st_mtime_ns == before


def test_the_exported_corpus_loads_as_a_data_set(study: Path, tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    folder = export_artefact(study / "corpora" / "constrained", tmp_path / "data").path
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == {"train": 3, "validation": 2}


def test_other_folders_are_refused(study: Path, run: Path, tmp_path: Path):
    with pytest.raises(InputError, match="a tokens in"):
        export_artefact(study / "tokens" / "constrained", tmp_path / "m")
    with pytest.raises(InputError, match=r"no manifest\.json"):
        export_artefact(study, tmp_path / "m")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine.txt").write_text("keep")
    with pytest.raises(OccupiedFolderError, match="lilliput did not make"):
        export_artefact(run, tmp_path / "m")


class RecordingHub:
    """Stands for `HfApi`; remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create", {"repo_id": repo_id, **options}))

    def upload_folder(self, **options: Any) -> None:
        self.calls.append(("upload", options))


def test_a_push_creates_the_repository_and_uploads_the_folder(
    study: Path, run: Path, tmp_path: Path
):
    for source, kind in ((run, "model"), (study / "corpora" / "constrained", "dataset")):
        hub = RecordingHub()
        folder = export_artefact(source, tmp_path / kind).path
        pushed = push(folder, "me/tiny", private=True, hub=hub)
        assert pushed.as_record()["hub"] == "me/tiny"
        (create, created), (upload, uploaded) = hub.calls
        assert (create, upload) == ("create", "upload")
        assert created == {
            "repo_id": "me/tiny", "repo_type": kind, "private": True, "exist_ok": True
        }  # fmt: skip
        assert uploaded["folder_path"] == str(folder)
        assert uploaded["repo_type"] == kind
    with pytest.raises(InputError, match="'tiny'"):
        push(tmp_path / "model", "tiny", hub=RecordingHub())
    with pytest.raises(InputError, match=r"no manifest\.json"):
        push(study, "me/tiny", hub=RecordingHub())


def test_the_verbs_print_their_contract_and_touch_no_network(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    huggingface_hub = pytest.importorskip("huggingface_hub")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    hub = RecordingHub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    runner, to = CliRunner(), tmp_path / "model"

    done = runner.invoke(build_app(), ["export", str(run), "--to", str(to), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"path": str(to), "layout": "electra"}
    done = runner.invoke(build_app(), ["push", str(to)])
    assert done.exit_code == 2  # without --hub nothing leaves the machine
    assert hub.calls == []
    done = runner.invoke(build_app(), ["push", str(to), "--hub", "me/tiny", "--json"])
    assert json.loads(done.stdout) == {"path": str(to), "layout": "electra", "hub": "me/tiny"}
    assert [call for call, _ in hub.calls] == ["create", "upload"]
