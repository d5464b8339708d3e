"""CHAT, the format of CHILDES: what a transcript says about its speakers, and what they said.

Rules are those of the CHAT manual (TalkBank). A worked utterance:

    *MOT:   <the [/] the dog> [//] the kitty@f (be)cause &-um gonna [: going to] (1.5) xxx go +...
    words   the kitty because going to go

The retraced `<the [/] the dog> [//]` falls away with what is inside it, `&-um` is a filler, `(1.5)` a
pause, `xxx` a word that could not be made out, and `+...` says that the speaker trailed off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from lilliput.language.reading.speakers import DAYS_A_MONTH, UNINTELLIGIBLE, parse_age

_PAUSE = r"\((?:\.{1,3}|(?:\d+:)*\d*\.?\d+\.?)\)"  # (.) (..) (1.5) (0:12.4)
_TOKEN = re.compile(
    r"\x15[^\x15]*\x15"  # A time mark.
    r"|\[[^\]]*\]"  # A code, which says something about the word or group before it.
    rf"|{_PAUSE}"
    r"|(?<!\S)\+[^\s\[\]]*"  # A linker or a special end: +" +^ +< +... +/.
    r"|[<>]"  # Where a group begins and ends.
    rf"|(?:(?!{_PAUSE})[^\s<>\[\]\x15])+"  # A word, up to a pause in it.
)
_NO_WORD = re.compile(rf"{_PAUSE}$|[&+#\x15]|0(?!\d)")  # 0is is a word left out, 0 alone no speech.
_OTHER_LANGUAGE = re.compile(r"s(?:$|[:+&])")  # The form word@s or word@s:spa.
_NO_SOUND = re.compile(r"[()<>\[\]:^↑↓ˈˌ\u2308\u2309\u230a\u230b°∆∇⁎☺♋▔▁≠]")
_PUNCTUATION = {".", "?", "!", ",", ";"}


@dataclass(frozen=True)
class Speaker:
    """Describe a participant of a transcript.

    Attributes:
        code: Short name in front of utterances, such as `MOT`; it says nothing about who speaks.
        role: `Target_Child`, `Mother`, `Sister`, …; empty where the transcript does not say.
        age_months: None where unknown or not readable.
    """

    code: str
    role: str = ""
    age_months: float | None = None


@dataclass(frozen=True)
class Utterance:
    """Hold one utterance as words.

    Attributes:
        text: What was said, without transcription marks; empty if no word can be made out.
        speaker: Who said it.
        language: Code of its language where it is marked as another one than the transcript's first.
    """

    text: str
    speaker: Speaker
    language: str | None = None


@dataclass
class Transcript:
    """Hold a whole CHAT file.

    Attributes:
        speakers: By code, those named in the headers first.
        languages: Codes of the languages, the main one first.
        utterances: In order, those without a word included.
        unread_ages: Ages that stand in the headers and could not be read.
    """

    speakers: dict[str, Speaker] = field(default_factory=dict[str, Speaker])
    languages: list[str] = field(default_factory=list[str])
    utterances: list[Utterance] = field(default_factory=list[Utterance])
    unread_ages: list[str] = field(default_factory=list[str])

    @property
    def child_age_months(self) -> float | None:
        """Return the age of the target child, of the youngest if there are several; None where unknown."""
        ages = [s.age_months for s in self.speakers.values() if s.role.lower() == "target_child"]
        return min((age for age in ages if age is not None), default=None)


def parse_chat(text: str) -> Transcript:
    """Return the speakers and utterances of a CHAT file."""
    found = Transcript()
    lines = list(_joined_lines(text))
    _read_headers([line for line in lines if line.startswith("@")], found)
    for line in lines:
        code, colon, said = line[1:].partition(":")
        if not line.startswith("*") or not colon:
            continue  # Headers, and tiers that begin with % and depend on an utterance.
        code = code.strip()
        speaker = found.speakers.setdefault(code, Speaker(code))
        words, language = clean_chat(said)
        if language is not None and language in found.languages[:1]:
            language = None
        found.utterances.append(Utterance(words, speaker, language))
    return found


def _joined_lines(text: str) -> Iterator[str]:
    """Yield the lines of a file, continuations (which begin with white space) joined to what they continue."""
    line = ""
    for part in re.split(r"\r*\n|\r", text):
        if part[:1] in {"\t", " "} and part.strip():
            line += " " + part.strip()
            continue
        if line:
            yield line
        line = part
    if line:
        yield line


def _read_headers(headers: list[str], found: Transcript) -> None:
    roles: dict[str, str] = {}
    ages: dict[str, float | None] = {}
    born: dict[str, date] = {}
    recorded: date | None = None
    for line in headers:
        name, _, value = line[1:].partition(":")
        name, value = name.strip(), value.strip()
        if name == "Participants":
            for part in value.split(","):
                code, *words = part.split() or [""]
                if code:
                    roles[code] = _role(words)
        elif name == "Languages":
            found.languages = re.split(r"[,\s]+", value)
        elif name == "ID":
            fields = [f.strip() for f in value.split("|")] + [""] * 8
            code, age, role = fields[2], fields[3], fields[7]
            roles[code] = _role([role]) or roles.get(code, "")
            if age:
                ages[code] = _age(age, found)
        elif name.startswith("Age of "):
            ages.setdefault(name.removeprefix("Age of ").strip(), _age(value, found))
        elif name.startswith("Birth of ") and (day := _date(value)):
            born[name.removeprefix("Birth of ").strip()] = day
        elif name == "Date":
            recorded = recorded or _date(value)
    for code, role in roles.items():
        age = ages.get(code)
        if age is None and recorded is not None and code in born:
            age = _months_between(born[code], recorded)
        found.speakers[code] = Speaker(code, role, age)


def _role(words: list[str]) -> str:
    """Return the role at the end of a participant's description, which may begin with a name."""
    last_two = "_".join(words[-2:])
    if last_two.lower() in {"target_child", "target_adult", "non_human", "camera_operator"}:
        return last_two
    return "_".join(words[-1].split()) if words else ""


def _age(text: str, found: Transcript) -> float | None:
    age = parse_age(text)
    if age is None:
        found.unread_ages.append(text)
    return age


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def _date(text: str) -> date | None:
    """Return a date of CHAT, such as 28-JUN-2001."""
    match = re.fullmatch(r"(\d{1,2})-([A-Z]{3})-(\d{4})", text.strip().upper())
    if match is None or match[2] not in _MONTHS:
        return None
    try:
        return date(int(match[3]), _MONTHS.index(match[2]) + 1, int(match[1]))
    except ValueError:
        return None


def _months_between(first: date, last: date) -> float | None:
    days = (last - first).days
    return days / DAYS_A_MONTH if days >= 0 else None


def clean_chat(said: str) -> tuple[str, str | None]:
    """Return the words of an utterance with their punctuation, and its language if one is marked.

    The words are an empty text where none can be made out.
    """
    groups: list[list[list[str]]] = [[]]  # Of each open group its items, of each item its words.
    language = None
    for token in _TOKEN.findall(said):
        items = groups[-1]
        if token == "<":
            groups.append([])
        elif token == ">":
            if len(groups) > 1:
                group = groups.pop()
                groups[-1].append([word for item in group for word in item])
        elif token.startswith("["):
            code = token[1:-1].strip()
            if code.startswith("- ") and not any(groups):
                language = code[2:].strip()
            elif items:
                items[-1] = _after_code(code, items[-1])
        else:
            items.append(_words(token))
    words = [word for group in groups for item in group for word in item]
    if not any(re.search(r"\w", word) for word in words):
        return "", language
    return re.sub(r"\s+([.?!,;])", r"\1", " ".join(words)), language


def _after_code(code: str, words: list[str]) -> list[str]:
    """Return what a code leaves of the words of the item before it."""
    if code.startswith("/") or code == "e":
        return []  # Said again, corrected or given up: [/] [//] [///] [/-] [/?]; or excluded.
    if code.startswith(":") and not code.startswith("::") and code[1:].strip():
        return [word for token in code[1:].split() for word in _words(token)]
    return words


def _words(token: str) -> list[str]:
    """Return the words of one token without marks; a compound is two."""
    if token in _PUNCTUATION:
        return [token]
    if _NO_WORD.match(token):
        return []
    form, at, kind = token.partition("@")
    if at and form:
        if _OTHER_LANGUAGE.match(kind) or kind in {"u", "x"}:
            return []
        token = form
    token = re.sub(r"\$\w+$", "", token)
    parts = re.split(r"(?<=\w)[+_](?=\w)", _NO_SOUND.sub("", token))
    return [p for p in parts if re.search(r"\w", p) and p.lower() not in UNINTELLIGIBLE]
