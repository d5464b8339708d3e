# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Transcripts of conversations with children: CHAT files (`.cha`) and tables of utterances."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from lilliput.language.reading.documents import Damage, Document, batches_of
from lilliput.language.reading.lines import STREAM_ERRORS, decode
from lilliput.language.reading.shard import Shard

CHILD_CODES = {"CHI"}
_AGE = re.compile(r"(?P<years>\d+)(?:;(?P<months>\d+)(?:\.(?P<days>\d+))?)?")
_DAYS_A_MONTH = 30.4375

# CHAT marks, in the order in which they are taken out (CHAT manual, TalkBank).
_TIME_MARK = re.compile("\x15[^\x15]*\x15")
_REPLACED = re.compile(r"(?:<[^<>]*>|\S+)\s*\[::?\s*([^\]]*)\]")  # said [: meant]
_RETRACED = re.compile(r"(?:<[^<>]*>|\S+)\s*\[/{1,3}\]")  # a word said again or corrected
_CODE = re.compile(r"\[[^\]]*\]")
_FILLER = re.compile(r"(?:^|(?<=\s))&\S+")
_PAUSE = re.compile(r"\(\.*\d*\.*\)")
_LINKER = re.compile(r"(?:^|(?<=\s))\+\S+")  # trailing off, interruption, quotation
_UNINTELLIGIBLE = re.compile(r"\b(?:xxx|yyy|www)\b")
_SPECIAL_FORM = re.compile(r"(\w)@\S+")
_LEFT_OVER = re.compile(r"[<>()\[\]„‡↑↓:\u02c8]|\b0\w*")
_COMPOUND = re.compile(r"(?<=\w)[+_](?=\w)")


@dataclass(frozen=True)
class Utterance:
    """One speaker's turn.

    Attributes:
        text: What was said, without transcription marks.
        speaker: Code of the speaker (`MOT`, `CHI`, …).
        age_months: Age of the target child; None where unknown.
    """

    text: str
    speaker: str
    age_months: float | None


def parse_chat(text: str) -> list[Utterance]:
    """The utterances of a CHAT transcript with intelligible words."""
    age = None
    utterances: list[Utterance] = []
    for line in _joined_lines(text):
        if line.startswith("@ID:"):
            fields = line[4:].strip().split("|")
            if len(fields) > 3 and fields[2] in CHILD_CODES:
                age = parse_age(fields[3])
        elif line.startswith("*") and ":" in line:
            speaker, _, said = line[1:].partition(":")
            cleaned = clean_chat(said)
            if cleaned:
                utterances.append(Utterance(cleaned, speaker.strip(), age))
    return utterances


def _joined_lines(text: str) -> Iterator[str]:
    """Lines of the file, continuations (which begin with a tab) joined to what they continue."""
    line = ""
    for part in text.splitlines():
        if part.startswith("\t"):
            line += " " + part.strip()
            continue
        if line:
            yield line
        line = part
    if line:
        yield line


def parse_age(text: str) -> float | None:
    """Months of an age such as `2;06.14` (years; months. days); None if it is not one."""
    found = _AGE.match(text.strip())
    if found is None:
        return None
    years, months, days = (int(found[name] or 0) for name in ("years", "months", "days"))
    return years * 12 + months + days / _DAYS_A_MONTH


def clean_chat(said: str) -> str:
    """An utterance without transcription marks; empty if it holds nothing intelligible."""
    if _UNINTELLIGIBLE.search(said):
        return ""
    text = _TIME_MARK.sub(" ", said)
    text = _REPLACED.sub(r"\1", text)
    text = _RETRACED.sub(" ", text)
    for pattern in (_CODE, _FILLER, _PAUSE, _LINKER):
        text = pattern.sub(" ", text)
    text = _SPECIAL_FORM.sub(r"\1", text)
    text = _LEFT_OVER.sub("", _COMPOUND.sub(" ", text))
    text = re.sub(r"\s+([.?!,])", r"\1", " ".join(text.split()))
    return text if re.search(r"\w", text) else ""


def read_transcript(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """A CHAT file as one document: the utterances of all speakers but the child, a line each."""
    try:
        with shard.file.open() as stream:
            raw = stream.read(shard.max_document_bytes + 1)
    except STREAM_ERRORS as error:
        damage.report("unreadable_file", shard.file.path, error)
        return
    text = decode(raw, shard.file.path, damage)
    if text is None:
        return
    said = [u.text for u in parse_chat(text) if u.speaker not in CHILD_CODES]
    if said:
        yield from batches_of([Document("\n".join(said), shard.file.name, shard.file.label)])
