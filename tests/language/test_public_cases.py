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
