"""The pieces that templates draw: tables, facts, answers, gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Literal

from lilliput.analysis.findings.quantities import Quantity, finite, format_number
from lilliput.report.drawing.figures import Figure

Verdict = Literal["yes", "no", "unclear", "absent"]
_VERDICTS: dict[Verdict, str] = {
    "yes": "Yes",
    "no": "No",
    "unclear": "Cannot tell",
    "absent": "Not measured",
}


def yes_in_part(clear: Sized, found: Sized) -> str:
    """Return the verdict in words where only some of `found` say yes; empty where all or none do."""
    return "Yes, in part" if 0 < len(clear) < len(found) else ""


@dataclass(frozen=True)
class TableColumn:
    """Describe one column of a table.

    Attributes:
        label: Head of the column.
        numeric: Whether its cells are numbers.
        when: Shows it under one value of each named choice only.
        is_extra: Left out until the reader asks for all columns; the CSV has it.
    """

    label: str
    numeric: bool = False
    when: Mapping[str, str] = field(default_factory=dict[str, str])
    is_extra: bool = False


@dataclass(frozen=True)
class TableCell:
    """Hold what a cell shows and, where it is a number, the value that it sorts by."""

    text: str = ""
    value: float | None = None
    quantity: Quantity | None = None


@dataclass(frozen=True)
class TableRow:
    """One row; `picked` sets it off."""

    cells: tuple[TableCell, ...]
    picked: bool = False


@dataclass(frozen=True)
class TableView:
    """A table for reading; the caption says what its numbers are."""

    id: str
    caption: str
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    is_sortable: bool = True


def text_cell(value: object) -> TableCell:
    """Return a cell of text; a gap becomes a dash."""
    return TableCell("–" if value is None or value == "" else str(value))


def number_cell(value: float | None, text: str | None = None) -> TableCell:
    """Return a cell with a number, shown as `text` where that is given."""
    return TableCell(format_number(value) if text is None else text, finite(value))


def quantity_cell(quantity: Quantity | None) -> TableCell:
    """Return a cell with a number, its interval and its n."""
    if quantity is None:
        return TableCell("–")
    return TableCell(quantity.figure, quantity.value, quantity)


@dataclass(frozen=True)
class Fact:
    """A number set large, with its name and perhaps a remark."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Missing:
    """Say in words what is missing, and name the command that makes it."""

    text: str
    command: str = ""


@dataclass(frozen=True)
class Answer:
    """A question of the study with what this data say.

    Attributes:
        question: In plain words.
        verdict: "yes", "no", "unclear" (data cannot tell) or "absent" (not measured).
        sentences: The answer in plain words, with its numbers, intervals and n.
        published: What the paper found; empty where it says nothing.
        page: Id of the page that shows it.
        verdict_text: A verdict in other words than yes and no.
        figure: A small figure that shows it; None where nothing can be drawn.
    """

    question: str
    verdict: Verdict
    sentences: str | Sequence[str]
    published: str = ""
    page: str = ""
    verdict_text: str = ""
    figure: Figure | None = None

    @property
    def paragraphs(self) -> list[str]:
        """The sentences, each to stand by itself."""
        given = [self.sentences] if isinstance(self.sentences, str) else self.sentences
        return [sentence for sentence in given if sentence]

    @property
    def label(self) -> str:
        """The verdict as the reader sees it."""
        return self.verdict_text or _VERDICTS[self.verdict]


def as_sentences(parts: Sequence[str]) -> str:
    """Return non-empty sentences joined by spaces."""
    return " ".join(part for part in parts if part)
