"""Read the compared tokenizers of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.analysis.findings.quantities import Quantity, finite
from lilliput.core.artefacts import is_artefact
from lilliput.core.reader import read_record


@dataclass(frozen=True)
class ComparedTokenizer:
    """One compared tokenizer: name, kind, sizes and every measure with its interval."""

    name: str
    kind: str
    record: Mapping[str, Any]

    def count(self, key: str) -> float | None:
        """Return a whole number of its record, such as `vocab_size`."""
        return finite(self.record.get(key))

    def measure(self, key: str) -> Quantity:
        """Return a measure with its interval over words, where one was found."""
        low, high = (self.record.get("intervals") or {}).get(key) or (None, None)
        note = "exact" if low is None else "over words"
        return Quantity(finite(self.record.get(key)), finite(low), finite(high), note=note)


@dataclass(frozen=True)
class LanguageTokenizers:
    """The candidates of one language and the one that was picked.

    Attributes:
        language: Of the corpus they were trained on.
        candidates: All of them.
        picked: Name of the picked one; empty when none was.
        rule: The rule that picked it, in words.
        lost: Name of each other one to the reason, in words.
        trained_with: Name of the one that the study's models use; empty when not known.
    """

    language: str
    candidates: tuple[ComparedTokenizer, ...]
    picked: str
    rule: str
    lost: Mapping[str, str]
    trained_with: str


def read_comparisons(folder: Path, recipe: Mapping[str, Any]) -> tuple[LanguageTokenizers, ...]:
    """Return the comparison of every language that has one."""
    trained_with = str((recipe.get("tokenizers") or {}).get("train_with", ""))
    paths = sorted(folder.glob("*/comparison"))
    return tuple(_read_comparison(path, trained_with) for path in paths if is_artefact(path))


def _read_comparison(folder: Path, trained_with: str) -> LanguageTokenizers:
    record = read_record(folder / "comparison.json")
    picked = record.get("picked") or {}
    candidates = tuple(
        ComparedTokenizer(str(row.get("name", "")), str(row.get("kind", "")), row)
        for row in record.get("tokenizers", ())
    )
    return LanguageTokenizers(
        language=folder.parent.name,
        candidates=candidates,
        picked=str(picked.get("name", "")),
        rule=str(picked.get("rule", "")),
        lost=dict(picked.get("lost") or {}),
        trained_with=trained_with,
    )
