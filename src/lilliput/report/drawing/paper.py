"""The figures of a report for print: PDF and SVG by matplotlib, from the same descriptions.

Controls stand at their defaults and layers that wait for the reader's request are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from lilliput.analysis.table.tidy import Cell
from lilliput.core.extras import require
from lilliput.core.files import atomic_path
from lilliput.report.drawing.figures import Control, DataTable, Figure, FigureLayer
from lilliput.report.page import BuiltPage

# Okabe and Ito's palette, in the order of the page.
_COLOURS = ("#0072b2", "#c44f00", "#007a5a", "#a8508a", "#8f6500", "#3b82ad", "#5b5f63", "#6a4fa3")
_MARKERS = ("o", "s", "D", "^", "P", "v", "p", "*")
_FAINT, _QUIET = "#b9b6af", "#5d6166"
_SIZE_INCHES = (6.3, 4.0)
_FORMATS = ("pdf", "svg")
_MOST_ENTRIES = 8
_STYLE: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#b9b6af",
    "axes.grid": True,
    "grid.color": "#e9e6e0",
    "font.size": 9,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    # Text stays text, and the same figure gives the same bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "lilliput",
}


def draw_figures(pages: list[BuiltPage], folder: Path) -> tuple[Path, ...]:
    """Write every figure as PDF and SVG into `folder`; returns the files.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", "paper")
    matplotlib.use("Agg")
    tables = {name: table for page in pages for name, table in page.tables.items()}
    written: list[Path] = []
    with matplotlib.rc_context(_STYLE):
        for page in pages:
            for figure in page.figures:
                written += _Drawing(tables, page.controls).save(figure, folder)
    return tuple(written)


class _Drawing:
    """Draws figures of one page."""

    def __init__(self, tables: Mapping[str, DataTable], controls: tuple[Control, ...]) -> None:
        self._tables = tables
        self._choices = {control.name: control.options[0] for control in controls}
        runs = tables.get("runs", DataTable({}))
        self._runs = {row["run"]: row for row in runs.rows()}

    def save(self, figure: Figure, folder: Path) -> list[Path]:
        plotting = require("matplotlib.pyplot", "paper")
        canvas, axes = plotting.subplots(figsize=_SIZE_INCHES, layout="constrained")
        for layer in figure.layers:
            if not layer.hidden:
                self._draw(axes, layer)
        self._finish(axes, figure)
        paths = [folder / f"{figure.id}.{kind}" for kind in _FORMATS]
        for path, kind in zip(paths, _FORMATS, strict=True):
            # A date inside would make equal figures differ.
            stamp = {"CreationDate": None} if kind == "pdf" else {"Date": None}
            with atomic_path(path) as temporary:
                canvas.savefig(temporary, format=kind, metadata=stamp)
        plotting.close(canvas)
        return paths

    def _finish(self, axes: Any, figure: Figure) -> None:
        axes.set_title(figure.title, loc="left", fontsize=10)
        axes.set_xlabel(self._label(figure.x.title))
        axes.set_ylabel(self._label(figure.y.title))
        if figure.x.log and axes.has_data():
            axes.set_xscale("log")
        if figure.y.log and axes.has_data():
            axes.set_yscale("log")
        handles, names = axes.get_legend_handles_labels()
        entries = dict(zip(names, handles, strict=True))
        if 0 < len(entries) <= _MOST_ENTRIES:
            axes.legend(entries.values(), entries.keys(), fontsize=8)

    def _draw(self, axes: Any, layer: FigureLayer) -> None:
        rows = [row for row in self._rows(layer) if self._is_drawn(layer, row)]
        if layer.mark == "rule":
            for row in rows:
                axes.axhline(row[self._resolve(layer.y)], color=_QUIET, lw=0.8, ls=":")
        elif layer.mark == "span":
            for row in rows:
                axes.axvspan(
                    row[str(layer.low)],
                    row[str(layer.high)],
                    color=_COLOURS[layer.tone - 1],
                    alpha=0.1,
                )
        else:
            self._draw_groups(axes, layer, rows)

    def _draw_groups(self, axes: Any, layer: FigureLayer, rows: list[dict[str, Cell]]) -> None:
        colour = self._resolve(layer.colour) if layer.colour else None
        values = list(dict.fromkeys(row.get(colour) for row in rows)) if colour else []
        groups: dict[tuple[Cell, Cell], list[dict[str, Cell]]] = {}
        for row in rows:
            key = (
                row.get(layer.series) if layer.series else None,
                row.get(colour) if colour else None,
            )
            groups.setdefault(key, []).append(row)
        for (_, value), members in groups.items():
            place = values.index(value) if colour else layer.tone - 1
            name = str(value) if colour else layer.name
            self._mark(axes, layer, members, place, name.replace("$", r"\$"))

    def _mark(
        self, axes: Any, layer: FigureLayer, rows: list[dict[str, Cell]], place: int, name: str
    ) -> None:
        colour = _FAINT if layer.faint else _COLOURS[place % len(_COLOURS)]
        x = [row[self._resolve(layer.x)] for row in rows]
        if layer.mark == "band":
            low, high = ([row[str(column)] for row in rows] for column in (layer.low, layer.high))
            axes.fill_between(x, low, high, color=colour, alpha=0.16, lw=0, label=name)
            return
        y = [row[self._resolve(layer.y)] for row in rows]
        if layer.mark == "lines":
            style = "--" if layer.dashed else "-"
            axes.plot(x, y, style, color=colour, lw=0.7 if layer.faint else 1.3, label=name)
            return
        marker = "." if layer.faint else _MARKERS[place % len(_MARKERS)]
        bounds = {
            "xerr" if layer.horizontal else "yerr": self._away(
                layer, rows, x if layer.horizontal else y
            )
        }
        axes.errorbar(
            x, y, fmt=marker, ms=2 if layer.faint else 5, color=colour, elinewidth=0.9,
            label=name or None, **(bounds if layer.low else {}),
        )  # fmt: skip

    def _away(
        self, layer: FigureLayer, rows: list[dict[str, Cell]], values: list[Cell]
    ) -> list[list[float]]:
        """Distances from each value to its bounds, zero where there is none."""
        columns = [self._resolve(str(bound)) for bound in (layer.low, layer.high)]
        return [
            [_distance(row.get(column), value) for row, value in zip(rows, values, strict=True)]
            for column in columns
        ]

    def _rows(self, layer: FigureLayer) -> list[dict[str, Cell]]:
        """Return rows of the layer's table that meet its conditions, with the facts of their runs."""
        where = {column: self._resolve(value) for column, value in layer.where.items()}
        joined = (
            self._runs.get(row.get("run"), {}) | row for row in self._tables[layer.table].rows()
        )
        return [row for row in joined if all(str(row.get(c)) == v for c, v in where.items())]

    def _is_drawn(self, layer: FigureLayer, row: Mapping[str, Cell]) -> bool:
        needed = {"rule": [layer.y], "span": [layer.low], "band": [layer.x, layer.low, layer.high]}
        names = needed.get(layer.mark, [layer.x, layer.y])
        return all(row.get(self._resolve(str(name))) is not None for name in names)

    def _resolve(self, name: str) -> str:
        """A choice may name another one, as the progress axis names the FLOPs convention."""
        if not name.startswith("$"):
            return name
        control, underscore, ending = name[1:].partition("_")
        option = self._choices.get(control)
        return self._resolve(option.value + underscore + ending) if option else ""

    def _label(self, title: str) -> str:
        def chosen(match: re.Match[str]) -> str:
            option = self._choices.get(match[1])
            return self._label(option.axis_label) if option else match[0]

        return re.sub(r"\{(\w+)\}", chosen, title)


def _distance(bound: Cell, value: Cell) -> float:
    if bound is None or value is None:
        return 0.0
    return abs(cast("float", bound) - cast("float", value))
