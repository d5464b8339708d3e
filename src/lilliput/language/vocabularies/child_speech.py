# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Words of child-directed speech with the age at which the child first met each.

Transcripts come as CHAT files (`.cha`) or as tables of utterances in the columns of childes-db.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pyarrow import csv, parquet

from lilliput.language.reading.documents import Damage, Document, Source, as_source
from lilliput.language.reading.files import InputFile, find_files
from lilliput.language.reading.lines import STREAM_ERRORS, decode
from lilliput.language.reading.packages import PACKAGE_PREFIX
from lilliput.language.reading.transcripts import CHILD_CODES, Utterance, parse_chat
from lilliput.language.words.profiles import WordProfile
from lilliput.language.words.splitting import split_words

Speakers = Literal["adults", "children", "all"]

_AGE_DAYS, _AGE_MONTHS = "target_child_age_days", "target_child_age"
_SPEAKERS = ("speaker_role", "speaker_code")
_TEXTS = ("text", "gloss")
_CHILD_ROLES = {"Target_Child", "Child", "CHI"}
_DAYS_A_MONTH = 30.4375


def separate_transcripts(
    given: Iterable[Document] | Sequence[str | Path | Source],
) -> tuple[list[InputFile], list[Any]]:
    """The files of transcripts among the sources, and the other sources."""
    items = [given] if isinstance(given, str | Path | Source) else list(given)
    transcripts: list[InputFile] = []
    others: list[Any] = []
    for item in items:
        if isinstance(item, Document) or _is_remote(as_source(item).path):
            others.append(item)
            continue
        files = find_files([item])
        matching = [file for file in files if is_transcript(file)]
        transcripts.extend(matching)
        others.extend(
            as_source(item).model_copy(update={"path": file.path})
            for file in files
            if file not in matching
        )
    return transcripts, others


def _is_remote(path: str) -> bool:
    """Whether the texts are no local files: they are fetched, or come as an installed package."""
    return "://" in path or path.startswith(("hub:", PACKAGE_PREFIX))


def is_transcript(file: InputFile) -> bool:
    """Whether a file is a CHAT file, or a table with utterances and speakers."""
    if file.format == "transcript":
        return True
    if file.compression or file.format not in ("parquet", "csv"):
        return False
    names = set(_column_names(file))
    return bool(names & set(_SPEAKERS)) and bool(names & set(_TEXTS))


def _column_names(file: InputFile) -> list[str]:
    try:
        if file.format == "parquet":
            return list(parquet.read_schema(file.path).names)
        with Path(file.path).open(encoding="utf-8-sig", errors="replace") as stream:
            return [name.strip().strip('"') for name in stream.readline().split(",")]
    except (OSError, pa.ArrowException):
        return []  # Whoever reads the file reports what is wrong with it.


def count_transcript(
    file: InputFile,
    profile: WordProfile,
    speakers: Speakers,
    max_age_months: float | None,
    counts: Counter[str],
    ages: dict[str, float],
    damage: Damage,
) -> None:
    """Add the words of one file of transcripts to `counts`, and their first ages to `ages`."""
    for utterance in _utterances(file, damage):
        is_child = utterance.speaker in CHILD_CODES or utterance.speaker in _CHILD_ROLES
        if speakers != "all" and is_child != (speakers == "children"):
            continue
        age = utterance.age_months
        if max_age_months is not None and (age is None or age > max_age_months):
            continue
        words = split_words(utterance.text, profile)
        counts.update(words)
        if age is not None:
            for word in words:
                ages[word] = min(age, ages.get(word, age))


def _utterances(file: InputFile, damage: Damage) -> Iterator[Utterance]:
    try:
        if file.format == "transcript":
            with file.open() as stream:
                text = decode(stream.read(), file.path, damage)
            yield from parse_chat(text or "")
        else:
            yield from _rows(file)
    except STREAM_ERRORS as error:
        damage.report("unreadable_file", file.path, error)


def _rows(file: InputFile) -> Iterator[Utterance]:
    table = parquet.read_table(file.path) if file.format == "parquet" else csv.read_csv(file.path)
    names = table.column_names
    text = table.column(file.source.text_column or _first(_TEXTS, names)).to_pylist()
    speaker = table.column(_first(_SPEAKERS, names)).to_pylist()
    ages = [None] * len(text)
    if _AGE_DAYS in names:
        ages = [d and d / _DAYS_A_MONTH for d in table.column(_AGE_DAYS).to_pylist()]
    elif _AGE_MONTHS in names:
        ages = table.column(_AGE_MONTHS).to_pylist()
    for said, who, age in zip(text, speaker, ages, strict=True):
        if said:
            yield Utterance(str(said), str(who), age)


def _first(wanted: Sequence[str], names: Sequence[str]) -> str:
    return next(name for name in wanted if name in names)
