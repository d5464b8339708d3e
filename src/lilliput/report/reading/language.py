"""The language of a study: its words, its corpora, what was kept, what was dropped and why."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.analysis.findings.quantities import finite
from lilliput.core.artefacts import is_artefact, read_manifest, whole
from lilliput.core.reader import damage_of, read_record, read_table

_SAMPLES = 6
_SAMPLE_CHARACTERS = 400


@dataclass(frozen=True)
class VocabularyWords:
    """Hold the allowed words with their occurrences, most frequent first."""

    words: tuple[str, ...]
    frequencies: tuple[int, ...]
    id: str
    facts: Mapping[str, Any]

    @property
    def has_frequencies(self) -> bool:
        """Return whether anything was counted; in a bare list of words every frequency is 1."""
        return any(frequency > 1 for frequency in self.frequencies)


@dataclass(frozen=True)
class TextSample:
    """A piece of text, cut to a readable length, with where it came from or why it was dropped."""

    text: str
    label: str


@dataclass(frozen=True)
class Language:
    """Hold what the report reads of one corpus.

    Attributes:
        name: Of the language.
        id: Of the artefact.
        settings: How spans were cut and filtered.
        facts: Counts, as in the manifest.
        dropped: Reason to number of spans, most frequent first.
        statistics: Content of `statistics.json`.
        kept_samples: A few spans of the training split.
        dropped_samples: A few dropped spans, spread over the reasons.
    """

    name: str
    id: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    dropped: Mapping[str, int]
    statistics: Mapping[str, Any]
    kept_samples: tuple[TextSample, ...]
    dropped_samples: tuple[TextSample, ...]

    def count(self, key: str) -> float | None:
        """Return one count of the facts."""
        return finite(self.facts.get(key))

    @property
    def sources(self) -> Mapping[str, Mapping[str, Any]]:
        """Counts of each source."""
        return self.facts.get("sources") or {}

    @property
    def words_to_add(self) -> tuple[tuple[str, int], ...]:
        """Return the words outside the vocabulary that most dropped spans lack, with how many lack it alone."""
        return tuple(
            (str(word), int(spans)) for word, spans in self.statistics.get("words_to_add") or ()
        )

    def split_words(self, split: str) -> float | None:
        """Words written to a split."""
        return finite(((self.facts.get("splits") or {}).get(split) or {}).get("words"))

    @property
    def kept_share(self) -> float | None:
        """Return the share of the spans that were kept."""
        spans, kept = self.count("spans"), self.count("kept")
        return kept / spans if spans and kept is not None else None


def read_vocabulary(folder: Path) -> VocabularyWords | None:
    """Return the vocabulary artefact; None when it is not there."""
    if not is_artefact(folder):
        return None
    manifest = read_manifest(folder, "vocabulary")
    path = whole(folder / "words.csv")
    with (
        damage_of(path, ValueError, OverflowError, TypeError, KeyError, csv.Error),
        path.open(encoding="utf-8", newline="") as file,
    ):
        rows = [(row["word"], int(float(row["frequency"]))) for row in csv.DictReader(file)]
    counted = sorted(rows, key=lambda pair: -pair[1])
    words, frequencies = zip(*counted, strict=True) if counted else ((), ())
    return VocabularyWords(words, frequencies, manifest.id, manifest.facts)


def read_languages(folder: Path) -> tuple[Language, ...]:
    """Return every corpus below `folder`; those that dropped something first."""
    languages = [_read_language(path) for path in sorted(folder.glob("*")) if is_artefact(path)]
    return tuple(sorted(languages, key=lambda language: (not language.dropped, language.name)))


def _read_language(folder: Path) -> Language:
    manifest = read_manifest(folder, "corpus")
    statistics = folder / "statistics.json"
    dropped: dict[str, int] = dict(manifest.facts.get("dropped") or {})
    return Language(
        name=folder.name,
        id=manifest.id,
        settings=manifest.settings,
        facts=manifest.facts,
        dropped=dict(sorted(dropped.items(), key=lambda pair: -pair[1])),
        statistics=read_record(statistics, absent={}),
        kept_samples=_kept_samples(folder),
        dropped_samples=_dropped_samples(folder / "dropped.parquet"),
    )


def _kept_samples(folder: Path) -> tuple[TextSample, ...]:
    """Spans spread evenly over the first shard's training split."""
    shards = sorted((folder / "shards").glob("*.parquet"))
    if not shards:
        return ()
    table = read_table(shards[0], columns=["text", "source", "split"])
    rows = [row for row in table.to_pylist() if row["split"] == "train"]
    return tuple(
        TextSample(_cut(row["text"]), str(row["source"] or "")) for row in _spread(rows, _SAMPLES)
    )


def _dropped_samples(path: Path) -> tuple[TextSample, ...]:
    """Return two spans of each of the first reasons."""
    if not path.is_file():
        return ()
    by_reason: dict[str, list[TextSample]] = {}
    for row in read_table(path, columns=["text", "reason"]).to_pylist():
        reason = str(row["reason"])
        by_reason.setdefault(reason, []).append(
            TextSample(_cut(row["text"]), reason.replace("_", " "))
        )
    return tuple(s for samples in by_reason.values() for s in samples[:2])[: 2 * _SAMPLES]


def _spread(rows: list[Any], count: int) -> list[Any]:
    step = max(1, len(rows) // count)
    return rows[::step][:count]


def _cut(text: str) -> str:
    return text if len(text) <= _SAMPLE_CHARACTERS else f"{text[:_SAMPLE_CHARACTERS].rstrip()} …"
