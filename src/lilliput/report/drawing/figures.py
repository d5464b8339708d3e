"""A figure is tidy tables plus how to draw them: one description for the page, the CSV and the PDF.

Columns may be named indirectly: "$flops" stands for the choice that the reader made in the page's
control `flops`, so one figure serves every convention; "$measure_low" for that choice with an ending.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lilliput.analysis.table.tidy import Cell

Mark = Literal["lines", "points", "band", "rule", "span"]
_SIGNIFICANT = 7


@dataclass(frozen=True)
class DataTable:
    """Hold columns of equal length, embedded once in the page and shared by its figures."""

    columns: Mapping[str, Sequence[Cell]]

    @classmethod
    def from_rows(
        cls, rows: Iterable[Mapping[str, Cell]], names: Sequence[str] | None = None
    ) -> DataTable:
        """Return columns of row mappings; a key that a row lacks is a gap."""
        rows = list(rows)
        keys = names if names is not None else list(dict.fromkeys(k for row in rows for k in row))
        return cls({key: [row.get(key) for row in rows] for key in keys})

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __contains__(self, name: str) -> bool:
        return any(cell is not None for cell in self.columns.get(name, ()))

    def rows(self) -> list[dict[str, Cell]]:
        """Return one mapping for each row."""
        names = list(self.columns)
        return [
            dict(zip(names, cells, strict=True))
            for cells in zip(*self.columns.values(), strict=True)
        ]

    def distinct(self, name: str) -> list[Cell]:
        """Return the values of a column, each once, in order of appearance, without gaps."""
        return [cell for cell in dict.fromkeys(self.columns.get(name, ())) if cell is not None]

    def as_record(self) -> dict[str, list[Cell]]:
        """Return plain data for JSON, numbers rounded to seven digits, not-a-number as a gap."""
        return {name: [_plain(cell) for cell in cells] for name, cells in self.columns.items()}


def _plain(cell: Cell) -> Cell:
    if not isinstance(cell, float):
        return cell
    if not math.isfinite(cell):
        return None
    rounded = float(f"{cell:.{_SIGNIFICANT}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded


@dataclass(frozen=True)
class Option:
    """Describe one choice of a control.

    Attributes:
        value: What stands in for "$control".
        label: What the reader chooses.
        hint: A remark on it; may be empty.
        axis: What "{control}" in the title of an axis becomes, where it is more than the label.
    """

    value: str
    label: str
    hint: str = ""
    axis: str = ""

    @property
    def axis_label(self) -> str:
        """Return what the title of an axis shows for this choice."""
        return self.axis or self.label


@dataclass(frozen=True)
class Control:
    """A choice that redraws every figure of a page; with one option it is not shown.

    Attributes:
        name: Figures refer to it as "$name".
        label: What the reader sees.
        options: The first is the default.
        is_main: Stands open below the first figure; the others are folded away.
    """

    name: str
    label: str
    options: tuple[Option, ...]
    is_main: bool = False

    @property
    def is_choice(self) -> bool:
        """Return whether there is anything to choose."""
        return len(self.options) > 1

    @property
    def default(self) -> str:
        """The value that holds until the reader chooses."""
        return self.options[0].value

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        options = [{"value": o.value, "label": o.axis_label} for o in self.options]
        return {"name": self.name, "label": self.label, "options": options}


@dataclass(frozen=True)
class Axis:
    """One axis; in the title "{name}" is replaced by the label chosen in the control `name`."""

    title: str
    log: bool = False

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"title": self.title, "log": self.log}


@dataclass(frozen=True)
class FigureLayer:
    """Describe one mark drawn from one table.

    Attributes:
        table: Name of the table.
        mark: "lines" and "points"; "band" between `low` and `high`; "rule", a horizontal line a row
            at `y`; "span", a vertical stripe a row from `low` to `high`.
        x: Column or "$control".
        y: Column or "$control".
        low: Column of the lower bound: of `y` for points and bands, of `x` for spans.
        high: Column of the upper bound.
        horizontal: The bounds of points belong to `x`.
        series: Column whose every value is a line of its own.
        colour: Column or "$control" whose values have colours of their own; None for one colour.
        name: Legend entry where `colour` is None.
        where: Column to the value (or "$control") that a row must have to be drawn.
        hover: Columns shown at a point besides x and y.
        faint: Drawn in grey behind the others.
        hidden: Drawn only after the reader asks for it in the legend.
        dashed: Lines are broken.
        tone: Place in the palette where `colour` is None, from 1; 0 is the colour of the text.
        label: Column whose value stands beside the last point of each series; empty for none.
        apart: Points of different colours stand a little apart, so that their intervals can be told from each other.
        symbol: Marker of points, such as "star"; empty for the one that goes with the colour.
    """

    table: str
    mark: Mark
    x: str = ""
    y: str = ""
    low: str | None = None
    high: str | None = None
    horizontal: bool = False
    series: str | None = None
    colour: str | None = None
    name: str = ""
    where: Mapping[str, str] = field(default_factory=dict[str, str])
    hover: tuple[str, ...] = ()
    faint: bool = False
    hidden: bool = False
    dashed: bool = False
    tone: int = 1
    label: str = ""
    symbol: str = ""
    apart: bool = False

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "table": self.table,
            "mark": self.mark,
            "x": self.x,
            "y": self.y,
            "low": self.low,
            "high": self.high,
            "horizontal": self.horizontal,
            "series": self.series,
            "colour": self.colour,
            "name": self.name,
            "where": dict(self.where),
            "hover": list(self.hover),
            "faint": self.faint,
            "hidden": self.hidden,
            "dashed": self.dashed,
            "tone": self.tone,
            "label": self.label,
            "symbol": self.symbol,
            "apart": self.apart,
        }


@dataclass(frozen=True)
class Figure:
    """A drawing with its title, what it shows in words, and its layers.

    Attributes:
        id: Name in the page, of the CSV and of the PDF.
        title: What is drawn.
        text: What can be seen, in words: the alternative for readers who do not see the drawing.
        x: Horizontal axis.
        y: Vertical axis.
        layers: Back to front.
        note: How the numbers came about; below the drawing.
        is_small: Drawn low and without a legend, beside the answer that it shows.
    """

    id: str
    title: str
    text: str
    x: Axis
    y: Axis
    layers: tuple[FigureLayer, ...]
    note: str = ""
    is_small: bool = False

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "id": self.id,
            "title": self.title,
            "text": self.text,
            "x": self.x.as_record(),
            "y": self.y.as_record(),
            "layers": [layer.as_record() for layer in self.layers],
            "small": self.is_small,
        }
