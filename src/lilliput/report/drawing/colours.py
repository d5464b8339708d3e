"""Give one colour to one thing on every figure of a report.

A value of a facet, such as the language "constrained", has the same colour wherever it is drawn, whichever
column names it. Values that have an order of size, such as shapes, stand on a ramp in that order. Eight colours
can be told apart; a column with more values is drawn along the ramp too.

Example: the runs are of two languages and three shapes. "constrained" takes colour 1 and "unconstrained"
colour 2; a group that is called "constrained" takes colour 1 as well; the shapes take the places 0, 0.5 and 1
of the ramp, the smallest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lilliput.analysis.table.tidy import Cell
from lilliput.architecture import SIZES
from lilliput.report.drawing.figures import Control, DataTable, Figure

CATEGORICAL = 8
# Columns whose values say which runs belong together get their colours first, in this order.
_FACETS = ("language", "group", "profile", "variant", "family", "corpus")
_ORDERED = ("shape", "run", "held", *SIZES)


@dataclass(frozen=True)
class Look:
    """How one value of a column is drawn.

    Attributes:
        tone: Place in the palette, from 1; 0 where the value stands on the ramp.
        share: Place on the ramp, from 0 to 1; None where the value has a colour of its own.
        symbol: Place in the list of markers, from 0.
    """

    tone: int
    share: float | None
    symbol: int

    def as_record(self) -> list[float | None]:
        """Return plain data for JSON."""
        return [self.tone, self.share, self.symbol]


Looks = Mapping[str, Mapping[str, Look]]


def looks_of(
    figures: Iterable[Figure], controls: Iterable[Control], tables: Mapping[str, DataTable]
) -> Looks:
    """Return how each value is drawn, by column and value.

    Args:
        figures: All figures of the report.
        controls: Their controls: a layer may leave the choice of its column to the reader.
        tables: The tables that the figures draw, by name.
    """
    options = {control.name: [option.value for option in control.options] for control in controls}
    columns: dict[str, dict[str, None]] = {}
    for layer in (layer for figure in figures for layer in figure.layers):
        for column in _resolved(layer.colour, options):
            values = columns.setdefault(column, {})
            values.update(dict.fromkeys(_values(column, layer.table, tables)))
    order = sorted(
        columns, key=lambda name: _FACETS.index(name) if name in _FACETS else len(_FACETS)
    )
    tones: dict[str, int] = {}
    return {column: _looks(column, list(columns[column]), tones) for column in order}


def _resolved(name: str | None, options: Mapping[str, Sequence[str]]) -> list[str]:
    if name is None:
        return []
    return list(options.get(name[1:], ())) if name.startswith("$") else [name]


def _values(column: str, table: str, tables: Mapping[str, DataTable]) -> list[str]:
    """Return the values of a column, which may be a fact of the runs that the table's rows belong to."""
    own = tables[table]
    holder = own if column in own.columns else tables.get("runs", own)
    cells = holder.distinct(column)
    return [as_key(cell) for cell in (sorted(cells, key=_size) if column in SIZES else cells)]


def _size(cell: Cell) -> float:
    return float(cell) if isinstance(cell, (int, float)) else 0.0


def as_key(cell: Cell) -> str:
    """Return the text by which the page's script knows a value: whole numbers have no decimal point."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _looks(column: str, values: list[str], tones: dict[str, int]) -> dict[str, Look]:
    many = len(values) > CATEGORICAL
    if column in _ORDERED or many:
        last = max(1, len(values) - 1)
        return {v: Look(0, i / last, 0 if many else i) for i, v in enumerate(values)}
    taken = {tones[value] for value in values if value in tones}
    for value in values:
        if value not in tones:
            tones[value] = _next_tone(len(tones), taken)
            taken.add(tones[value])
    return {value: Look(tones[value], None, tones[value] - 1) for value in values}


def _next_tone(start: int, taken: set[int]) -> int:
    """Return the next tone in turn that no other value of the column has."""
    turn = (1 + (start + step) % CATEGORICAL for step in range(CATEGORICAL))
    return next(tone for tone in turn if tone not in taken)
