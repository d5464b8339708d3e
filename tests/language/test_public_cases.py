"""Inputs on which reading or filtering once gave wrong numbers, with the right ones."""

from __future__ import annotations

import json
from pathlib import Path

from lilliput.language import build_vocabulary, filter_table, from_counts


def test_composed_and_decomposed_words_and_soft_hyphens_are_the_same_words(tmp_path: Path) -> None:
    rows = ["the café", "the cafe\u0301", "hap\u00adpy"]
    table = tmp_path / "rows.jsonl"
    table.write_text("".join(json.dumps({"sentence": row}) + "\n" for row in rows))
    vocabulary = from_counts({"the": 1, "café": 1, "happy": 1})
    record = filter_table(table, ["sentence"], vocabulary, "modern", tmp_path / "kept.jsonl")
    assert (record["rows"], record["kept"]) == (3, 3)
    counted = build_vocabulary([Path(table)], profile="modern")
    assert dict(zip(counted.words, counted.frequencies, strict=True)) == {
        "the": 2,
        "café": 2,
        "happy": 1,
    }


HEAD = "@UTF8\n@Begin\n@Participants:\tCHI Target_Child, MOT Mother\n"


def words_of(path: Path, **options) -> dict[str, int]:
    counted = build_vocabulary([path], **options)
    return dict(zip(counted.words, counted.frequencies, strict=True))


def test_false_starts_are_left_out(tmp_path: Path) -> None:
    said = "*MOT:\t<I wanted> [/-] where is he ?\n*MOT:\twe could [/-] they go .\n"
    said = said.replace("we could", "<we could>")
    (tmp_path / "a.cha").write_text(f"{HEAD}{said}@End\n")
    assert words_of(tmp_path / "a.cha") == dict.fromkeys("where is he they go".split(), 1)  # noqa: SIM905


def test_measured_pauses_are_no_words(tmp_path: Path) -> None:
    said = "*MOT:\tit is (1.5) hot (0.15) now .\n*MOT:\tcome (2:30.5) here (12) .\n"
    (tmp_path / "a.cha").write_text(f"{HEAD}{said}@End\n")
    assert words_of(tmp_path / "a.cha") == dict.fromkeys("it is hot now come here".split(), 1)  # noqa: SIM905
