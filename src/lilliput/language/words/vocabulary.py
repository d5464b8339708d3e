"""A vocabulary: the words that a reduced language may use, with what is known about each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from lilliput.core.artefacts import building, is_artefact, read_manifest, whole
from lilliput.core.errors import InputError
from lilliput.core.files import require_file, write_text
from lilliput.core.hashing import lines_hash
from lilliput.language.words.profiles import WordProfile
from lilliput.language.words.splitting import split_words

KIND = "vocabulary"
SCHEMA = 1
WORDS_FILE = "words.csv"
_AGE_COLUMN = "age_of_first_use_months"
FREQUENCY_COLUMNS = ("frequency", "freq", "count", "counts", "occurrences")
_REPLACEMENT = "\ufffd"
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Vocabulary:
    """Hold words in order of falling frequency.

    Attributes:
        words: Distinct, in the form in which they are looked up.
        frequencies: Occurrences of each in the text it was made from, shape (words,).
        ages: Age in months of the child at the first use of each; None where unknown.
        tokens: All word occurrences of that text, words left out included.
        damaged: Entries that can never match clean text (they hold U+FFFD).
    """

    words: tuple[str, ...]
    frequencies: tuple[int, ...]
    ages: tuple[float | None, ...] | None = None
    tokens: int = 0
    damaged: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.words:
            raise InputError("a vocabulary must hold at least one word", got="none")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._members

    @cached_property
    def _members(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def hash(self) -> str:
        """Return a name for the set of words; order and frequencies do not change it."""
        return lines_hash(sorted(self.words))

    def looked_up(self, profile: WordProfile) -> frozenset[str]:
        """Return the forms that the words of a text are compared with under `profile`."""
        return frozenset(self.forms(profile)) if profile.folds_entries else self._members

    def forms(self, profile: WordProfile) -> tuple[str, ...]:
        """Return the same forms as `looked_up`, each once, those of the most frequent words first."""
        if not profile.folds_entries:
            return self.words
        return tuple(dict.fromkeys(w for entry in self.words for w in split_words(entry, profile)))

    def part(self, size: int, by: Literal["frequency", "age"] = "frequency") -> Vocabulary:
        """Return the `size` most frequent words, or those that children use first.

        Words of equal age are taken by frequency; words of unknown age come last.

        Raises:
            InputError: The vocabulary has fewer words, or ages are asked for and none is known.
        """
        if size > len(self):
            raise InputError(
                f"a part of the vocabulary must have at most its {len(self):,} words",
                got=f"{size:,}",
                remedy="Take smaller sizes, or a larger vocabulary.",
            )
        if by == "age" and self.ages is None:
            raise InputError(
                "words can be taken by age where the vocabulary knows the age of their first use",
                got="a vocabulary without ages",
                remedy='Use by = "frequency", or build the vocabulary from transcripts.',
            )
        ages = self.ages if by == "age" and self.ages is not None else (None,) * len(self)
        ranked = sorted(range(len(self)), key=lambda n: (ages[n] is None, ages[n] or 0.0, n))
        kept = sorted(ranked[:size])
        return replace(
            self,
            words=tuple(self.words[n] for n in kept),
            frequencies=tuple(self.frequencies[n] for n in kept),
            ages=None if self.ages is None else tuple(self.ages[n] for n in kept),
            damaged=_damaged(self.words[n] for n in kept),
        )

    def with_words(self, more: Sequence[str]) -> Vocabulary:
        """Return this vocabulary with those of `more` that it does not hold, at frequency 0, to fill the gaps of a list.

        Raises:
            InputError: One of them is empty or holds white space.
        """
        for word in more:
            if not word or word.split() != [word]:
                raise InputError("words to add must be single words", got=repr(word))
        lacking = tuple(word for word in dict.fromkeys(more) if word not in self)
        return replace(
            self,
            words=self.words + lacking,
            frequencies=self.frequencies + (0,) * len(lacking),
            ages=None if self.ages is None else self.ages + (None,) * len(lacking),
        )

    def ages_of_forms(self, profile: WordProfile) -> dict[str, float]:
        """Return the age in months at the first use of each looked-up form whose age is known."""
        ages: dict[str, float] = {}
        for entry, age in zip(self.words, self.ages or (), strict=False):
            if age is not None:
                for form in split_words(entry, profile) if profile.folds_entries else (entry,):
                    ages[form] = min(age, ages.get(form, age))
        return ages

    @property
    def coverage(self) -> float:
        """Return the share of the word occurrences of its own text that the words cover."""
        return sum(self.frequencies) / self.tokens if self.tokens else 1.0

    def coverage_curve(
        self, counts: Mapping[str, int], sizes: Sequence[int]
    ) -> list[tuple[int, float]]:
        """Return pairs of (size, share of the occurrences in `counts` covered by the `size` most frequent words)."""
        total = sum(counts.values())
        if not total:
            raise InputError("coverage needs a text with words", got="no words")
        running, covered = [0], 0
        for word in self.words:
            covered += counts.get(word, 0)
            running.append(covered)
        return [(size, running[min(size, len(self))] / total) for size in sizes]

    def as_record(self) -> dict[str, Any]:
        """Return the counts for the record: the keys of the command line's contract, and more."""
        return {
            "words": len(self.words),
            "tokens": self.tokens or sum(self.frequencies),
            "coverage": self.coverage,
            "damaged": list(self.damaged),
            "hash": self.hash,
        }


def from_counts(
    counts: Mapping[str, int],
    *,
    size: int | None = None,
    coverage: float | None = None,
    min_frequency: int = 1,
    ages: Mapping[str, float] | None = None,
) -> Vocabulary:
    """Return the most frequent words of `counts`, ties in alphabetical order.

    Args:
        counts: Occurrences of each word.
        size: At most so many words.
        coverage: The fewest words that cover this share of all occurrences.
        min_frequency: Rarer words are left out.
        ages: Age of first use in months, where known.
    """
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:size]
    chosen: list[tuple[str, int]] = []
    covered = 0
    for word, count in ranked:
        if count < min_frequency or (coverage is not None and covered >= coverage * total):
            break
        chosen.append((word, count))
        covered += count
    words = tuple(word for word, _ in chosen)
    return Vocabulary(
        words=words,
        frequencies=tuple(count for _, count in chosen),
        ages=None if ages is None else tuple(ages.get(word) for word in words),
        tokens=total,
        damaged=_damaged(words),
    )


def read_vocabulary(path: Path) -> Vocabulary:
    """Return the vocabulary in an artefact folder, or in a CSV file with a column `word`.

    Every cell is text (`nan` and `TRUE` are words as they stand); damaged entries are kept
    and reported. Cells are separated by commas, semicolons or tabs. A file without a header and without
    any of these is read as one word a line.

    Raises:
        InputError: There is no such file, no column `word`, or a frequency is not a number.
    """
    if path.is_dir():
        tokens = int(read_manifest(path, KIND, SCHEMA).facts["tokens"])
        return _parse_csv(path / WORDS_FILE, tokens)
    return _parse_csv(require_file(path, "the vocabulary"), None)


def _parse_csv(path: Path, tokens: int | None) -> Vocabulary:
    try:
        text = whole(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text", got=error) from None
    delimiter, header = header_of_list(text.partition("\n")[0])
    try:
        rows = iter(list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)))
    except csv.Error as error:
        raise InputError(f"{path} must be a table of words", got=error) from None
    next(rows, None)
    if "word" not in header:
        if len(header) == 1 and not any(mark in text for mark in _DELIMITERS):
            bare = dict.fromkeys(word.strip() for word in text.splitlines())
            return _from_rows([(word, 1, None) for word in bare], tokens)
        raise InputError(
            f"{path} must have a column 'word'",
            got=f"the columns {', '.join(header) or '(none)'}",
            remedy="Name the columns in the first line: word,frequency.",
        )
    frequency = frequency_column(header)
    entries = [
        _entry(dict(zip(header, row, strict=False)), frequency, path) for row in rows if any(row)
    ]
    if frequency is None:  # Listed twice is not counted twice.
        entries = list({entry[0]: entry for entry in reversed(entries)}.values())
    return _from_rows(entries, tokens)


def header_of_list(line: str) -> tuple[str, list[str]]:
    """Return what separates the cells of a word list, and the names in its first line in lower case.

    Spreadsheets write `word;frequency` where the comma is the decimal sign. Without a column `word` it is
    the comma.
    """
    for delimiter in _DELIMITERS:
        cells = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
        names = [name.strip().lower() for name in cells]
        if "word" in names:
            return delimiter, names
    return ",", [name.strip().lower() for name in next(csv.reader([line.rstrip("\r\n")]), [])]


def frequency_column(header: Sequence[str]) -> str | None:
    """Return the column of a word list that holds the frequencies; None where no name of one is there."""
    return next((name for name in FREQUENCY_COLUMNS if name in header), None)


def _entry(row: Mapping[str, str], column: str | None, path: Path) -> tuple[str, int, float | None]:
    word = row.get("word", "")
    try:
        frequency = int(float((column and row.get(column)) or 1))
        age = row.get(_AGE_COLUMN)
        return word, frequency, float(age) if age else None
    except (ValueError, OverflowError):
        raise InputError(
            f"{path} must give each word a number as frequency and age", got=dict(row)
        ) from None


def _from_rows(rows: Iterable[tuple[str, int, float | None]], tokens: int | None) -> Vocabulary:
    frequencies: dict[str, int] = {}
    ages: dict[str, float] = {}
    for word, frequency, age in rows:
        if word:
            frequencies[word] = frequencies.get(word, 0) + frequency
        if word and age is not None:
            ages[word] = min(age, ages.get(word, age))
    words = tuple(sorted(frequencies, key=lambda word: (-frequencies[word], word)))
    total = sum(frequencies.values())
    return Vocabulary(
        words=words,
        frequencies=tuple(frequencies[word] for word in words),
        ages=tuple(ages.get(word) for word in words) if ages else None,
        tokens=total if tokens is None else tokens,
        damaged=_damaged(words),
    )


def write_vocabulary(
    vocabulary: Vocabulary,
    out: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Path:
    """Write the words: as one CSV file when `out` ends in `.csv`, else as an artefact folder."""
    if out.suffix.lower() == ".csv":
        write_text(out, _as_csv(vocabulary))
        return out
    described = dict(settings or {}) | {"words": vocabulary.hash}
    if is_artefact(out) and _holds(out, described, dict(inputs or {})):
        return out
    with building(out, KIND, SCHEMA, described, inputs) as build:
        write_text(build.path(WORDS_FILE), _as_csv(vocabulary))
        build.facts.update(vocabulary.as_record())
    return out


def _holds(out: Path, settings: Mapping[str, Any], inputs: Mapping[str, str]) -> bool:
    manifest = read_manifest(out, KIND)
    return dict(manifest.settings) == dict(settings) and dict(manifest.inputs) == dict(inputs)


def _as_csv(vocabulary: Vocabulary) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if vocabulary.ages is None:
        writer.writerow(["word", "frequency"])
        writer.writerows(zip(vocabulary.words, vocabulary.frequencies, strict=True))
    else:
        writer.writerow(["word", "frequency", _AGE_COLUMN])
        ages = ("" if age is None else f"{age:g}" for age in vocabulary.ages)
        writer.writerows(zip(vocabulary.words, vocabulary.frequencies, ages, strict=True))
    return buffer.getvalue()


def _damaged(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in words if _REPLACEMENT in word)
