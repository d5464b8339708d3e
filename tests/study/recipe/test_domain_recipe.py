"""The recipe for a folder of one's own texts, from plain files to a report."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import EmptyCorpusError, InputError
from lilliput.core.files import read_json
from lilliput.language import Source, iter_documents
from lilliput.language.reading.packages import package_documents
from lilliput.study import init_recipe, load_recipe, read_runs, run_study
from lilliput.study.publishing.export import export_run

# One small run a language: the stages are what is tested, not the models.
SMALL = (
    "scale=tiny",
    'grid=[{languages=["constrained", "unconstrained"], shapes=["16/16/32/2/1"]}]',
    "tokenizers.vocab_sizes=[600]",
    "probes.max_train_examples=32",
    "probes.max_dev_examples=32",
    "training.max_tokens=2000",
    "training.threads=1",
)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four files of plain text, a chapter a line."""
    folder = tmp_path_factory.mktemp("texts")
    books: dict[str, list[str]] = {}
    for document in package_documents("pythonbible_bwe"):
        books.setdefault(document.doc_id.split("/")[0], []).append(document.text)
    for book, chapters in list(books.items())[:4]:
        (folder / f"{book}.txt").write_text("\n\n".join(chapters), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def study(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `lilliput init mine --recipe domain` and `lilliput study run mine.toml` leave."""
    folder = tmp_path_factory.mktemp("domain")
    path = init_recipe("mine", "domain", folder)
    recipe = load_recipe(str(path), [f"paths.data={texts}", *SMALL])
    run_study(recipe, folder / "study", executor="inline")
    return folder / "study"


def test_a_folder_of_texts_becomes_a_report(study: Path) -> None:
    assert "<html" in (study / "report.html").read_text(encoding="utf-8")
    assert len(read_runs(study)) == 2


def test_sections_of_one_file_are_documents_and_no_split_shares_one(study: Path) -> None:
    tables = [
        pq.read_table(p, columns=["doc_id", "split"])
        for p in (study / "corpora" / "constrained" / "shards").glob("*.parquet")
    ]
    rows = {tuple(row.values()) for table in tables for row in table.to_pylist()}
    assert len(rows) == len({doc_id for doc_id, _ in rows}) > 20


def test_the_source_probe_tells_the_files_apart(study: Path, texts: Path) -> None:
    facts = read_manifest(study / "probes" / "constrained").facts
    assert facts["source"]["classes"] == len(list(texts.iterdir()))
    definition = read_json(study / "probes" / "constrained" / "source" / "task.json")
    assert set(definition["labels"]) == {path.stem for path in texts.iterdir()}


def test_its_models_load_with_transformers_alone(study: Path, tmp_path: Path) -> None:
    exported = export_run(read_runs(study)[0].folder, tmp_path / "model")
    assert exported.layout == "modernbert"
    assert not list((tmp_path / "model").glob("*.py"))


def test_sections_are_whole_lines_and_lose_nothing(texts: Path) -> None:
    path = texts / "book-40.txt"
    batches = iter_documents([Source(path=str(path), text_unit="section")])
    sections = [row for batch in batches for row in batch.to_pylist()]
    assert "".join(section["text"] for section in sections) == path.read_text(encoding="utf-8")
    assert all(section["text"].endswith("\n") for section in sections[:-1])
    assert len({section["doc_id"] for section in sections}) == len(sections) > 10


def test_a_folder_that_is_not_there_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("domain", ["paths.data=nowhere"])
    with pytest.raises(InputError) as caught:
        run_study(recipe, tmp_path / "study", executor="inline")
    assert f"got nowhere, and there is no {tmp_path / 'nowhere'}." in str(caught.value)
    assert "Give the right folder with --set paths.data=FOLDER" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_texts_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "page.pdf").write_bytes(b"%PDF")
    recipe = load_recipe("domain", [f"paths.data={tmp_path / 'texts'}"])
    with pytest.raises(InputError, match=r"got page\.pdf"):
        run_study(recipe, tmp_path / "study", executor="inline")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("is_there", [True, False])
def test_texts_without_words_leave_nothing(is_there: bool, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "empty.txt").write_text(" \n", encoding="utf-8")
    if is_there:
        (tmp_path / "study").mkdir()
    recipe = load_recipe("domain", [f"paths.data={tmp_path / 'texts'}"])
    with pytest.raises(InputError):
        run_study(recipe, tmp_path / "study", executor="inline")
    assert (tmp_path / "study").exists() == is_there
    assert not is_there or list((tmp_path / "study").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("Hello world. This is short.", "Give more text"),
        ("The dog runs to the house and the cat sees it from the tree. " * 3, "Give more text"),
    ],
)
def test_too_little_text_says_what_would_help(text: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text(text, encoding="utf-8")
    recipe = load_recipe("domain", [f"paths.data={tmp_path / 'texts'}"])
    with pytest.raises(EmptyCorpusError, match=remedy):
        run_study(recipe, tmp_path / "study", executor="inline")


def test_a_causal_copy_becomes_a_report_too(texts: Path, tmp_path: Path) -> None:
    path = init_recipe("mine", "domain", tmp_path, is_causal=True)
    run_study(
        load_recipe(str(path), [f"paths.data={texts}", *SMALL]),
        tmp_path / "study",
        executor="inline",
    )
    assert {run.model["layout"] for run in read_runs(tmp_path / "study")} == {"llama"}
