"""The columns of a table that hold the text, the id, the source: named by the user, or found.

The choice is made once for all files of a source, by what the names say and by what the columns hold:

| the table's columns | read as text |
| --- | --- |
| `text` (empty in the first 1,000 rows), `url` | `text`: its name wins |
| `id`, `sentence`, `label` (numbers) | `sentence`: a known name |
| `id`, `comment`, `label` (numbers) | `comment`: the only other column of strings, and a message says so |
| `sentence1`, `sentence2` | none: the user must name one |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from lilliput.core.errors import InputError
from lilliput.core.wording import listed, some
from lilliput.language.reading.documents import Source

# By falling preference; C4, Wikipedia, BookCorpus, TinyStories and FineWeb say `text`.
TEXT_NAMES = ("text", "content", "story", "article", "document", "passage", "sentence", "body",
               "raw_content", "gloss", "utterance")  # fmt: skip
_ID_NAMES = ("doc_id", "id", "docid", "document_id", "transcript_id", "url", "idx")
_SOURCE_NAMES = ("source",)
_GROUP_NAMES = ("split_group",)
# Strings that are never the text of a document, whatever else is missing.
_NEVER_TEXT = {*_ID_NAMES, *_SOURCE_NAMES, *_GROUP_NAMES, "uuid", "guid", "key", "file", "filename",
               "path", "date", "timestamp", "lang", "language", "split", "label", "title"}  # fmt: skip


class ColumnContent(Enum):
    """The kind of values that a column is seen to hold."""

    STRINGS = "strings"
    NOTHING = "nothing"
    OTHER = "other values"


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read; None where the table has no such column.

    Attributes:
        text: The column of the text; a field inside a struct as `outer.inner`.
        doc_id: The column of the document's id.
        source: The column of the collection it belongs to.
        split_group: The column whose equal values share a split.
        is_guess: Whether the text was found by its name or type, neither named by the user nor `text`.
    """

    text: str
    doc_id: str | None
    source: str | None
    split_group: str | None
    is_guess: bool = False

    def names(self) -> list[str]:
        """Return the columns that must be read."""
        chosen = (self.text, self.doc_id, self.source, self.split_group)
        return list(dict.fromkeys(name for name in chosen if name is not None))


def choose_columns(
    columns: Sequence[tuple[str, ColumnContent]], given: Source, where: str
) -> Columns:
    """Return the columns to read.

    Args:
        columns: Each column's name and what it holds; fields inside structs as `outer.inner`.
        given: The source, with the names that the user gave.
        where: The table, for the message.

    Raises:
        InputError: A named column is not there, a name stands twice, or no column is clearly the text.
    """
    available = dict(columns)
    names = some(available) or "(none)"
    for name in (given.text_column, given.id_column, given.split_group_column):
        if name is not None and name not in available:
            raise InputError(f"{where} must have the column {name!r}", got=f"the columns {names}")
    text = given.text_column or _find_text(available, where)
    if [name for name, _ in columns].count(text) > 1:
        raise InputError(f"{where} must have one column {text!r}", got="several of that name")
    return Columns(
        text=text,
        doc_id=given.id_column or _first_of(_ID_NAMES, available),
        source=None if given.name else _first_of(_SOURCE_NAMES, available),
        split_group=given.split_group_column or _first_of(_GROUP_NAMES, available),
        is_guess=given.text_column is None and text.lower() != TEXT_NAMES[0],
    )


def _find_text(available: Mapping[str, ColumnContent], where: str) -> str:
    top = {name: holds for name, holds in available.items() if "." not in name}
    if named := _first_of(TEXT_NAMES[:1], top):
        return named
    for wanted in (ColumnContent.STRINGS, ColumnContent.NOTHING):
        matching = [name for name, holds in top.items() if holds is wanted]
        if found := _first_of(TEXT_NAMES, matching):
            return found
    others = [
        name
        for name, holds in top.items()
        if holds is not ColumnContent.OTHER and name.lower() not in _NEVER_TEXT
    ]
    if len(others) == 1 and top[others[0]] is ColumnContent.STRINGS:
        return others[0]
    inner = [name for name in available if name.rsplit(".", 1)[-1].lower() in TEXT_NAMES]
    likely = listed([*others, *(name for name in inner if "." in name)][:4], "or")
    raise InputError(
        f"{where} must have one column of text, or one called {TEXT_NAMES[0]!r}",
        got=f"the columns {some(available) or '(none)'}",
        remedy=f"Name it with --text-column{f' ({likely})' if likely else ''}.",
    )


def _first_of(
    names: Sequence[str], available: Sequence[str] | Mapping[str, ColumnContent]
) -> str | None:
    """Return the first of `names` that is there, in whatever case it is written there."""
    by_lower: dict[str, str] = {}
    for name in available:
        by_lower.setdefault(name.lower(), name)
    return next((by_lower[name] for name in names if name in by_lower), None)
