"""Which columns of a table hold the text, the id, the source: named by the user or found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lilliput.core.errors import InputError
from lilliput.language.reading.files import InputFile

# By falling preference; C4, Wikipedia, BookCorpus, TinyStories and FineWeb say `text`.
_TEXT_NAMES = ("text", "content", "story", "article", "document", "passage", "sentence", "body",
               "raw_content", "gloss")  # fmt: skip
_ID_NAMES = ("doc_id", "id", "docid", "document_id", "transcript_id", "url", "idx")
_SOURCE_NAMES = ("source",)
_GROUP_NAMES = ("split_group",)


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read; None where the table has no such column."""

    text: str
    doc_id: str | None
    source: str | None
    split_group: str | None

    def names(self) -> list[str]:
        """The columns that must be read."""
        chosen = (self.text, self.doc_id, self.source, self.split_group)
        return list(dict.fromkeys(name for name in chosen if name is not None))


def choose_columns(columns: Iterable[tuple[str, bool]], file: InputFile) -> Columns:
    """The columns to read.

    Args:
        columns: (name, whether it holds text) of each column.
        file: The file, with the names that the user gave.

    Raises:
        InputError: The text column is not there or cannot be told.
    """
    available = dict(columns)
    given = file.source
    for name in (given.text_column, given.id_column, given.split_group_column):
        if name is not None and name not in available:
            raise InputError(
                f"{file.path} must have the column {name!r}",
                got=f"the columns {', '.join(available)}",
            )
    text = given.text_column or _find_text(available, file)
    return Columns(
        text=text,
        doc_id=given.id_column or _first_of(_ID_NAMES, available),
        source=None if given.name else _first_of(_SOURCE_NAMES, available),
        split_group=given.split_group_column or _first_of(_GROUP_NAMES, available),
    )


def _find_text(available: dict[str, bool], file: InputFile) -> str:
    texts = [name for name, is_text in available.items() if is_text]
    found = _first_of(_TEXT_NAMES, texts)
    if found is not None:
        return found
    if len(texts) == 1:
        return texts[0]
    raise InputError(
        f"{file.path} must have one column of text, or one called {_TEXT_NAMES[0]!r}",
        got=f"the columns {', '.join(available) or '(none)'}",
        remedy="Name it with --text-column.",
    )


def _first_of(names: Sequence[str], available: Iterable[str]) -> str | None:
    by_lower = {name.lower(): name for name in available}
    return next((by_lower[name] for name in names if name in by_lower), None)
