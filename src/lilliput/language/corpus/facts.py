"""The facts of a build: its counts by reason, source and split, and whether there is any text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lilliput.core.errors import EmptyCorpusError
from lilliput.core.wording import listed
from lilliput.language.corpus.counts import SpanCounts
from lilliput.language.corpus.selection import Selection
from lilliput.language.corpus.settings import SPLITS, CorpusSettings
from lilliput.language.reading.speakers import TranscriptCounts


def corpus_facts(
    read: SpanCounts,
    selection: Selection,
    written: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the keys of `lilliput corpus build --json`, all but the damage, and counts by source and split.

    Args:
        read: What was read.
        selection: What became of the spans that passed.
        written: The records of the shards that were written.
    """
    rows = [row for record in written for row in record["written"]]
    dropped = dict(read.dropped)
    if selection.over_quota:
        dropped["over_quota"] = selection.over_quota
    total = sum(row[2] for row in rows)
    return {
        "documents": read.totals["documents"],
        "spans": read.totals["spans"],
        "kept": total + selection.all_duplicates,
        "written": total,
        "duplicates": selection.all_duplicates,
        "near_duplicates": selection.near_duplicates,
        "dropped": dict(sorted(dropped.items())),
        "words": sum(row[3] for row in rows),
        "bytes_in": read.totals["bytes_in"],
        "words_read": read.totals["words_read"],
        "unknown_share": read.totals["unknown_read"] / max(1, read.totals["words_read"]),
        "sources": _by_source(read, rows),
        "splits": {
            split: {"spans": sum(r[2] for r in rows if r[1] == split),
                    "words": sum(r[3] for r in rows if r[1] == split)}
            for split in SPLITS
        },
    }  # fmt: skip


def sum_damage(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the numbers of damaged documents and files by reason, over the records of shards."""
    skipped: Counter[str] = Counter()
    for record in records:
        skipped.update(record["counts"])
    return dict(sorted(skipped.items()))


def sum_transcripts(records: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return what was read of transcripts, over the records of shards; None where there were none."""
    total = TranscriptCounts()
    for record in records:
        if "transcripts" in record:
            total.add_record(record["transcripts"])
    return total.as_record() if total.files else None


def _by_source(read: SpanCounts, rows: Sequence[Sequence[Any]]) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for name, counts in sorted(read.sources.items()):
        own = [row for row in rows if row[0] == name]
        result[name] = dict(counts) | {
            "written": sum(row[2] for row in own),
            "words": sum(row[3] for row in own),
            "words_by_split": {row[1]: 0 for row in own},
        }
        for row in own:
            result[name]["words_by_split"][row[1]] += row[3]
    return result


_LISTED_WORDS = 8
_WORDS_FOR_SPLITS = 10_000
"""Some hundred spans of the default shapes: enough that every split is likely to hold some."""


def require_text(facts: Mapping[str, Any], settings: CorpusSettings) -> None:
    """Raise EmptyCorpusError where a split that was asked for holds nothing."""
    asked = {
        "train": True,
        "validation": settings.validation_share > 0,
        "test": settings.test_share > 0,
    }
    empty = [split for split in SPLITS if asked[split] and not facts["splits"][split]["spans"]]
    if not empty:
        return
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in facts["dropped"].items()) or "none"
    got = f"{facts['written']:,} spans from {facts['documents']:,} documents; dropped: {reasons}"
    raise EmptyCorpusError(
        f"the splits {', '.join(empty)} must hold at least one span",
        got=got,
        remedy=_relaxation(facts, settings) + _remark_on_size(facts),
    )


def _remark_on_size(facts: Mapping[str, Any]) -> str:
    words = facts["words_read"]
    if words >= _WORDS_FOR_SPLITS:
        return ""
    return f" Give more text: {words:,} words are few to divide into train, validation and test."


def _relaxation(facts: Mapping[str, Any], settings: CorpusSettings) -> str:
    if facts["written"] >= 2:
        return "Give more documents, raise validation_share and test_share, or set them to 0."
    dropped = facts["dropped"]
    if dropped.get("too_short", 0) > dropped.get("unknown_words", 0):
        return f"Lower min_words (now {settings.least_words}), or give longer documents."
    if dropped.get("unknown_words"):
        words = listed([repr(word) for word, _ in facts.get("words_to_add", [])[:_LISTED_WORDS]])
        return (
            f"Use a larger vocabulary{f' ({words} would each keep spans)' if words else ''}, raise max_unknown_share "
            f"(now {settings.unknown_share:g}), or lower span_words (now {settings.span_words})."
        )
    return "Give documents that hold text."
