# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Transcripts of conversations with children: CHAT files (`.cha`), and tables of utterances as childes-db has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from lilliput.language.reading.chat import parse_chat
from lilliput.language.reading.documents import Damage, Document, batches_of
from lilliput.language.reading.files import InputFile, is_remote
from lilliput.language.reading.rows import STREAM_ERRORS, decode
from lilliput.language.reading.shard import Shard
from lilliput.language.reading.speakers import DAYS_A_MONTH, UNINTELLIGIBLE, age_group
from lilliput.language.reading.tables import column_names, rows_of

Speakers = Literal["adults", "children", "all"]

_AGE_DAYS, _AGE_MONTHS = "target_child_age_days", "target_child_age"
_ROLE, _CODE = "speaker_role", "speaker_code"
_TEXTS = ("text", "gloss")
# What codes mean in tables that have no roles; in CHAT files the headers say it.
_ROLES_OF_CODES = {
    "CHI": "Target_Child", "MOT": "Mother", "FAT": "Father", "GRA": "Grandmother", "GRF": "Grandfather",
    "GRM": "Grandmother", "AUN": "Aunt", "UNC": "Uncle", "SIS": "Sister", "BRO": "Brother", "SIB": "Sibling",
    "INV": "Investigator", "OBS": "Observer", "TEA": "Teacher", "ADU": "Adult", "CAR": "Caretaker",
}  # fmt: skip


@dataclass(frozen=True)
class SpokenUtterance:
    """One utterance, whatever file it comes from.

    Attributes:
        text: Its words; empty if none can be made out.
        group: Who said it: "adult", "child", "other" (no person in particular) or "unknown" (no role).
        child_age_months: Age of the child that the speech is with; None where unknown.
        in_other_language: Whether it is marked as in another language than the transcript's first.
    """

    text: str
    group: str
    child_age_months: float | None
    in_other_language: bool = False

    def dropped_for(self, speakers: Speakers, max_age_months: float | None = None) -> str | None:
        """Return why the words of the utterance do not count; None if they do."""
        wanted = {"adults": "adult", "children": "child", "all": self.group}[speakers]
        if self.group != wanted:
            return "speaker_without_role" if self.group == "unknown" else "other_speakers"
        if not self.text:
            return "no_words"
        if self.in_other_language:
            return "other_language"
        if max_age_months is not None:
            if self.child_age_months is None:
                return "age_unknown"
            if self.child_age_months > max_age_months:
                return "child_too_old"
        return None


def is_transcript(file: InputFile) -> bool:
    """Return whether a file is a CHAT file, or a table with utterances and speakers."""
    if file.format == "transcript":
        return True
    if file.format == "text" or is_remote(file.path):
        return False
    names = set(column_names(file))
    return bool(names & {_ROLE, _CODE}) and bool(names & set(_TEXTS))


def read_utterances(file: InputFile, limit: int, damage: Damage) -> Iterator[SpokenUtterance]:
    """Yield the utterances of a transcript, and count files, speakers and ages in `damage.transcripts`."""
    if file.format == "transcript":
        yield from _chat_utterances(file, limit, damage)
    else:
        yield from _table_utterances(file, limit, damage)


def _chat_utterances(file: InputFile, limit: int, damage: Damage) -> Iterator[SpokenUtterance]:
    counts = damage.transcripts
    try:
        with file.open() as stream:
            raw = stream.read(limit + 1)
    except STREAM_ERRORS as error:
        damage.report("unreadable_file", file.path, error)
        return
    if len(raw) > limit:
        damage.report("too_long", file.path, f"more than {limit:,} bytes")
        return
    text = decode(raw, file.path, damage)
    if text is None:
        return
    transcript = parse_chat(text)
    counts.files += 1
    age = transcript.child_age_months
    counts.speakers.update(s.role or "(no role)" for s in transcript.speakers.values())
    counts.unread_ages.update(transcript.unread_ages)
    counts.add_age(age)
    counts.without_age += age is None
    for said in transcript.utterances:
        group = age_group(said.speaker.role, said.speaker.age_months)
        yield SpokenUtterance(said.text, group, age, said.language is not None)


def _table_utterances(file: InputFile, limit: int, damage: Damage) -> Iterator[SpokenUtterance]:
    counts = damage.transcripts
    counts.files += 1
    roles: set[str] = set()
    ages: set[float | None] = set()
    text = file.source.text_column
    for row in rows_of(file, limit, damage):
        said = row.get(text or _first(_TEXTS, row.cells))
        age = _child_age(row.cells)
        role = str(row.get(_ROLE) or "") if _ROLE in row.cells else _role_of_code(row.get(_CODE))
        roles.add(role)
        ages.add(age)
        words = " ".join(w for w in str(said or "").split() if w.lower() not in UNINTELLIGIBLE)
        yield SpokenUtterance(words, age_group(role), age)
    counts.speakers.update(role or "(no role)" for role in roles)
    counts.without_age += ages <= {None}
    for age in ages:
        counts.add_age(age)


def _role_of_code(code: Any) -> str:
    """Return the role that a code stands for; a code of no known meaning may be a role itself."""
    code = str(code or "").strip()
    return _ROLES_OF_CODES.get(code.upper(), code if "_" in code or len(code) > 3 else "")


def _child_age(cells: Mapping[str, Any]) -> float | None:
    """Return the age of the target child in months."""
    for name, unit in ((_AGE_DAYS, DAYS_A_MONTH), (_AGE_MONTHS, 1.0)):
        if name in cells:
            try:
                return float(cells[name]) / unit
            except (TypeError, ValueError):  # Nothing, or NA.
                return None
    return None


def _first(wanted: Sequence[str], cells: Mapping[str, Any]) -> str:
    return next((name for name in wanted if name in cells), wanted[0])


def read_transcript(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """Yield a CHAT file as one document: the utterances of adults, a line each."""
    said: list[str] = []
    for spoken in read_utterances(shard.file, shard.max_document_bytes, damage):
        if damage.transcripts.count(spoken.dropped_for("adults")):
            said.append(spoken.text)
    if said:
        yield from batches_of([Document("\n".join(said), shard.file.name, shard.file.label)])
