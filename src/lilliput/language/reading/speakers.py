"""Say who speaks in a transcript, adult or child, and read ages in all their written forms.

The counts say what became of the utterances.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

DAYS_A_MONTH = 30.4375

# Words that the transcriber could not make out, or did not write down.
UNINTELLIGIBLE = {"xx", "xxx", "yy", "yyy", "ww", "www"}

_OLDEST_PLAIN_YEARS = 17  # "3" is an age in years; "27" would be months or years, and is not read.

_AGES = (
    # Years; months. days, each of which may be missing: 2;03.15  2;3.  2;  ;11.
    re.compile(r"~?\s*(?P<y>\d*)\s*;\s*(?P<m>\d*)\s*(?:[.,]\s*(?P<d>\d*)\s*)?\??"),
    re.compile(r"P(?:(?P<y>\d+)Y)?(?:(?P<m>\d+)M)?(?:(?P<d>\d+)D)?"),  # ISO 8601, as in TalkBank's XML.
    re.compile(
        r"(?:(?P<y>\d+(?:\.\d+)?)\s*(?:y|yrs?|years?)\b\.?)?[\s,;]*(?:and\s+)?"
        r"(?:(?P<m>\d+(?:\.\d+)?)\s*(?:m|mos?|mths?|months?)\b\.?)?[\s,;]*(?:and\s+)?"
        r"(?:(?P<d>\d+)\s*(?:d|days?)\b\.?)?(?:\s*old)?",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<y>\d+)y(?P<m>\d+)m(?:(?P<d>\d+)d)?", re.IGNORECASE),
)  # fmt: skip


def parse_age(text: str) -> float | None:
    """Return the months of an age in any form that transcripts use; None if it is not one.

    `2;06.15` (years; months. days), `2;6.`, `2;`, `;11.`, `P2Y6M15D`, `30 months`, `2 years 6 months`,
    and a plain number of years up to 17.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text) * 12.0 if int(text) <= _OLDEST_PLAIN_YEARS else None
    for pattern in _AGES:
        match = pattern.fullmatch(text)
        if match and any(match.groups()):
            parts = match.groupdict()
            years, months, days = (float(parts[name] or 0) for name in ("y", "m", "d"))
            return years * 12 + months + days / DAYS_A_MONTH
    return None


# Roles of the CHAT manual whose speakers are children at any age that the transcript gives.
_CHILD_ROLES = {
    "target_child", "child", "boy", "girl", "brother", "sister", "sibling", "playmate", "cousin", "twin",
    "grandson", "granddaughter", "son", "daughter", "student", "teenager", "friend",
}  # fmt: skip
# Roles that are no person, or nobody in particular.
_NOBODY_ROLES = {
    "environment", "media", "toy", "text", "non_human", "lena", "offscript", "unidentified", "uncertain",
    "group", "audience", "camera_operator", "playrole", "unknown", "unspecified", "narrator",
}  # fmt: skip
# Children by role in most transcripts, and adults where their age says so.
_BY_AGE = {
    "student",
    "friend",
    "teenager",
    "son",
    "daughter",
    "grandson",
    "granddaughter",
    "cousin",
}
_ADULT_MONTHS = 18 * 12


def age_group(role: str, age_months: float | None = None) -> str:
    """Return "adult", "child" or "other" for a speaker; "unknown" where no role is given.

    Siblings and playmates are children. An age below 18 years makes a child of any speaker, and one
    from 18 on an adult of those whose role leaves it open (`Student`, `Friend`).
    """
    role = "_".join(role.lower().split())
    if not role:
        return "unknown"
    if role in _NOBODY_ROLES:
        return "other"
    if role in _CHILD_ROLES:
        grown = age_months is not None and age_months >= _ADULT_MONTHS
        return "adult" if role in _BY_AGE and grown else "child"
    return "child" if age_months is not None and age_months < _ADULT_MONTHS else "adult"


@dataclass
class TranscriptCounts:
    """Counts of what was read of transcripts: files, speakers by role, ages, and utterances with their fate.

    Attributes:
        files: Files read; damaged ones do not count.
        speakers: Speakers by role; those of two files are counted twice.
        youngest: Lowest age of a target child in months; None where none is known.
        oldest: Highest age.
        without_age: Files without the age of a target child.
        unread_ages: Ages that could not be read, with their number.
        utterances: Utterances read.
        kept: Those of them whose words count.
        dropped: The others by reason.
    """

    files: int = 0
    speakers: Counter[str] = field(default_factory=Counter[str])
    youngest: float | None = None
    oldest: float | None = None
    without_age: int = 0
    unread_ages: Counter[str] = field(default_factory=Counter[str])
    utterances: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])

    def add_age(self, months: float | None) -> None:
        """Take in the age of a target child."""
        if months is not None:
            self.youngest = months if self.youngest is None else min(months, self.youngest)
            self.oldest = months if self.oldest is None else max(months, self.oldest)

    def count(self, reason: str | None) -> bool:
        """Count one utterance, dropped for a reason or kept; return whether it is kept."""
        self.utterances += 1
        if reason is None:
            self.kept += 1
        else:
            self.dropped[reason] += 1
        return reason is None

    def as_record(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return {
            "files": self.files,
            "speakers": dict(sorted(self.speakers.items())),
            "child_age_months": [self.youngest, self.oldest],
            "without_age": self.without_age,
            "unread_ages": dict(sorted(self.unread_ages.items())),
            "utterances": self.utterances,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
        }

    def add_record(self, record: dict[str, Any]) -> None:
        """Take in the counts of another part of the transcripts."""
        for name in ("files", "without_age", "utterances", "kept"):
            setattr(self, name, getattr(self, name) + record[name])
        for name in ("speakers", "unread_ages", "dropped"):
            getattr(self, name).update(record[name])
        for age in record["child_age_months"]:
            self.add_age(age)
