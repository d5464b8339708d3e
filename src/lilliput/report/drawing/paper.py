"""Draw a report's figures for print: PDF, SVG, PNG by matplotlib, from the page's own descriptions.

Controls stand at their defaults and layers that wait for the reader's request are left out. Colours are those
of the page, so a language or a shape keeps its colour from the report to the thesis.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lilliput.analysis.table.tidy import Cell
from lilliput.core.errors import InputError
from lilliput.core.extras import require
from lilliput.core.files import atomic_path
from lilliput.report.drawing.colours import CATEGORICAL, Look, Looks, as_key, looks_of
from lilliput.report.drawing.figures import Control, DataTable, Figure, FigureLayer
from lilliput.report.page import BuiltPage

FORMATS = ("pdf", "svg", "png")
# Okabe and Ito's palette and the ramp of the page in its light theme.
_COLOURS = ("#0072b2", "#c44f00", "#007a5a", "#a8508a", "#8f6500", "#3b82ad", "#5b5f63", "#6a4fa3")
_RAMP = ((11, 42, 102), (63, 111, 142), (127, 138, 74), (200, 146, 26))
_MARKERS = ("o", "s", "D", "^", "P", "v", "p", "*")
_INK, _FAINT, _QUIET = "#1d1f21", "#b9b6af", "#5d6166"
_MM_PER_INCH = 25.4
_NARROWEST_MM, _WIDEST_MM = 40.0, 1000.0
_HEIGHT_OF_WIDTH = 0.62
_ROW_MM, _AROUND_ROWS_MM = 8.0, 14.0
_MOST_TICKS = 6
_TOGETHER = 0.03
_ASIDE_POINTS = 3.0
_BESIDE = 7.0
_DOTS_PER_INCH = 300


@dataclass(frozen=True)
class PrintStyle:
    """Say how figures are drawn for print.

    Attributes:
        formats: Kinds of files: "pdf", "svg" or "png".
        width_mm: Width of the figure; the height follows from it.
        has_title: Whether the title stands in the figure; where a caption names it, it is left out.
        is_text_outlined: Draw the letters of SVG as outlines, so that no font is needed to read them. The fonts of
            PDF are always embedded.
    """

    formats: tuple[str, ...] = ("pdf", "svg")
    width_mm: float = 160.0
    has_title: bool = True
    is_text_outlined: bool = False

    def __post_init__(self) -> None:
        """Refuse a width that no page has."""
        if not _NARROWEST_MM <= self.width_mm <= _WIDEST_MM:
            raise InputError(
                f"the width of a figure must lie between {_NARROWEST_MM:.0f} and {_WIDEST_MM:.0f} mm",
                got=f"{self.width_mm:g} mm",
                remedy="One column of a journal is about 84 mm wide, a page 170 mm.",
            )

    @property
    def font_size(self) -> float:
        """Return the size of letters in points: 8 in one column, 9 over a page."""
        return 8.0 if self.width_mm < 110 else 9.0

    def settings(self) -> dict[str, Any]:
        """Return matplotlib's settings."""
        return {
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": _FAINT,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e9e6e0",
            "grid.linewidth": 0.6,
            "font.size": self.font_size,
            "axes.labelsize": self.font_size,
            "xtick.labelsize": self.font_size - 1,
            "ytick.labelsize": self.font_size - 1,
            "legend.fontsize": self.font_size - 1,
            "legend.frameon": False,
            "text.color": _INK,
            "axes.labelcolor": _QUIET,
            "xtick.color": _QUIET,
            "ytick.color": _QUIET,
            "pdf.fonttype": 42,
            "svg.fonttype": "path" if self.is_text_outlined else "none",
            # The same figure gives the same bytes.
            "svg.hashsalt": "lilliput",
        }


def draw_figures(
    pages: Sequence[BuiltPage], folder: Path, style: PrintStyle | None = None
) -> tuple[Path, ...]:
    """Write every figure into `folder`, as `NAME.pdf` and `NAME.svg` unless the style says otherwise.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    style = style or PrintStyle()
    wanted = [(page, figure) for page in pages for figure in page.figures]
    return _write(pages, wanted, style, lambda figure, kind: folder / f"{figure.id}.{kind}")


def draw_figure(pages: Sequence[BuiltPage], name: str, out: Path, style: PrintStyle) -> Path:
    """Write the figure called `name` as the file `out`.

    Raises:
        InputError: No page has a figure of this name.
        MissingExtraError: matplotlib is not installed.
    """
    wanted = [(page, figure) for page in pages if (figure := page.figure(name)) is not None][:1]
    if not wanted:
        names = [figure.id for page in pages for figure in page.figures]
        raise InputError(
            "the figure must be one of the report's",
            got=repr(name),
            remedy=f"This report has: {', '.join(names)}." if names else "This report has none.",
        )
    return _write(pages, wanted, style, lambda _figure, _kind: out)[0]


def _write(
    pages: Sequence[BuiltPage],
    wanted: Sequence[tuple[BuiltPage, Figure]],
    style: PrintStyle,
    place: Callable[[Figure, str], Path],
) -> tuple[Path, ...]:
    matplotlib = require("matplotlib", "paper")
    matplotlib.use("Agg")
    tables = {name: table for page in pages for name, table in page.tables.items()}
    looks = looks_of(
        [figure for page in pages for figure in page.figures],
        [control for page in pages for control in page.controls],
        tables,
    )
    written: list[Path] = []
    with matplotlib.rc_context(style.settings()):
        for page, figure in wanted:
            drawing = _Drawing(figure, tables, page.controls, looks, style)
            written += drawing.save({kind: place(figure, kind) for kind in style.formats})
    return tuple(written)


@dataclass(frozen=True)
class _Words:
    """Hold words that stand beside the last point of a series."""

    x: float
    y: float
    text: str
    colour: str


class _Drawing:
    """Draws one figure."""

    def __init__(
        self,
        figure: Figure,
        tables: Mapping[str, DataTable],
        controls: tuple[Control, ...],
        looks: Looks,
        style: PrintStyle,
    ) -> None:
        self._figure, self._tables, self._looks, self._style = figure, tables, looks, style
        self._choices = {control.name: control.options[0] for control in controls}
        runs = tables.get("runs", DataTable({}))
        self._runs = {row["run"]: row for row in runs.rows()}
        self._words: list[_Words] = []
        self._layers = [layer for layer in figure.layers if not layer.hidden]
        plotting = require("matplotlib.pyplot", "paper")
        self._canvas, self._axes = plotting.subplots(
            figsize=self._size_inches(), layout="constrained"
        )

    def _size_inches(self) -> tuple[float, float]:
        named = next((layer for layer in self._layers if layer.horizontal), None)
        height = self._style.width_mm * _HEIGHT_OF_WIDTH
        if named is not None:
            names = {row.get(self._resolve(named.y)) for row in self._rows(named)}
            height = _AROUND_ROWS_MM + _ROW_MM * max(2, len(names))
        return self._style.width_mm / _MM_PER_INCH, height / _MM_PER_INCH

    def save(self, paths: Mapping[str, Path]) -> list[Path]:
        """Draw the figure and write it, one file a format."""
        for name, axis in (("x", self._figure.x), ("y", self._figure.y)):
            if axis.log:
                getattr(self._axes, f"set_{name}scale")("log")
        # What stands in grey behind the others does not widen the axes, unless there is nothing else.
        for layer in sorted(self._layers, key=lambda layer: layer.faint):
            reach = (self._axes.get_xlim(), self._axes.get_ylim()) if layer.faint else None
            had_data = self._axes.has_data()
            self._draw(layer)
            if reach is not None and had_data:
                self._axes.set(xlim=reach[0], ylim=reach[1])
        self._finish()
        for kind, path in paths.items():
            # A date inside would make equal figures differ.
            stamps = {
                "pdf": {"CreationDate": None},
                "svg": {"Date": None},
                "png": {"Software": None},
            }
            with atomic_path(path) as temporary:
                self._canvas.savefig(
                    temporary, format=kind, metadata=stamps[kind], dpi=_DOTS_PER_INCH
                )
        require("matplotlib.pyplot", "paper").close(self._canvas)
        return list(paths.values())

    def _finish(self) -> None:
        axes, figure = self._axes, self._figure
        if self._style.has_title:
            self._canvas.suptitle(
                figure.title, x=0.01, ha="left", fontsize=self._style.font_size + 1
            )
        width, height = (inches * _MM_PER_INCH for inches in self._size_inches())
        axes.set_xlabel(self._wrapped(self._label(figure.x.title), 0.8 * width))
        axes.set_ylabel(self._wrapped(self._label(figure.y.title), 0.7 * height))
        if any(layer.horizontal for layer in self._layers):
            names = [text.get_text() for text in axes.get_yticklabels()]
            axes.set_yticks(
                axes.get_yticks(), [self._wrapped(name, 0.42 * width) for name in names]
            )
        if axes.has_data():
            for axis, name in ((figure.x, "x"), (figure.y, "y")):
                if axis.log:
                    self._log_axis(name)
        self._write_legend()
        self._write_words()

    def _wrapped(self, text: str, room_mm: float) -> str:
        """Return words in lines that fit into the room; a letter is half as wide as high, in the mean."""
        letters = room_mm / (0.55 * self._style.font_size * _MM_PER_INCH / 72)
        return textwrap.fill(text, max(12, int(letters)))

    def _log_axis(self, name: str) -> None:
        """Give a logarithmic axis ticks at round numbers, as many as fit."""
        ticker = require("matplotlib.ticker", "paper")
        low, high = getattr(self._axes, f"get_{name}lim")()
        axis = getattr(self._axes, f"{name}axis")
        most = _MOST_TICKS if name == "y" or self._style.width_mm >= 110 else 4
        ticks = log_ticks(low, high, most)
        axis.set_major_locator(ticker.FixedLocator(ticks))
        axis.set_major_formatter(ticker.FixedFormatter([tick_text(tick) for tick in ticks]))
        axis.set_minor_locator(ticker.NullLocator())
        getattr(self._axes, f"set_{name}lim")(low, high)

    def _write_legend(self) -> None:
        handles, names = self._axes.get_legend_handles_labels()
        entries = dict(zip(names, handles, strict=True))
        if not entries:
            return
        letter_mm = 0.5 * self._style.font_size * _MM_PER_INCH / 72
        columns = max(1, int(self._style.width_mm // (9 + letter_mm * max(map(len, entries)))))
        rows = math.ceil(len(entries) / columns)
        width, height = self._size_inches()
        self._canvas.set_size_inches(width, height + rows * 1.3 * self._style.font_size / 72)
        self._canvas.legend(
            entries.values(), entries.keys(), loc="outside upper left", ncols=min(columns, len(entries)),
            borderaxespad=0.2, handletextpad=0.4, columnspacing=1.2,
        )  # fmt: skip

    def _write_words(self) -> None:
        """Write the names of series beside their ends, moved apart where they would overlap."""
        if not self._words:
            return
        self._canvas.draw_without_rendering()
        pixels_per_point = self._canvas.dpi / 72
        size = self._style.font_size - 0.5
        ends = [
            (tuple(self._axes.transData.transform((w.x, w.y)) / pixels_per_point), w)
            for w in self._words
        ]
        ends.sort(key=lambda end: -end[0][1])
        floor = float(self._axes.transAxes.transform((0, 0))[1]) / pixels_per_point
        aims = moved_apart([(x, y + size / 2) for (x, y), _ in ends], 1.25 * size, floor + size / 2)
        for ((_, at), words), aim in zip(ends, aims, strict=True):
            self._axes.annotate(
                words.text, (words.x, words.y), xytext=(-4, aim - at), textcoords="offset points",
                ha="right", va="center", color=words.colour, fontsize=size,
                bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.4},
            )  # fmt: skip

    def _draw(self, layer: FigureLayer) -> None:
        rows = [row for row in self._rows(layer) if self._is_drawn(layer, row)]
        if layer.mark == "rule":
            self._draw_rules(layer, rows)
        elif layer.mark == "span":
            for row in rows:
                low, high = float(str(row[str(layer.low)])), float(str(row[str(layer.high)]))
                self._axes.axvspan(low, high, color=_tone(layer.tone), alpha=0.1, lw=0)
                self._axes.text(
                    low, 0.98, f" {_escaped(row.get('name'))}", va="top", color=_QUIET,
                    fontsize=self._style.font_size - 1.5,
                    transform=self._axes.get_xaxis_transform(),
                )  # fmt: skip
        else:
            self._draw_groups(layer, rows)

    def _draw_rules(self, layer: FigureLayer, rows: list[dict[str, Cell]]) -> None:
        """Draw a dotted line a row with its name; lines that lie together share one name."""
        column = self._resolve(layer.y)
        lines = sorted(((float(str(row[column])), str(row.get("name") or "")) for row in rows), reverse=True)  # fmt: skip
        for order, (at, _) in enumerate(lines):
            self._axes.axhline(at, color=_QUIET, lw=0.8, ls=":")
            name = shared_name(lines, order)
            is_left = order % 2 == 0
            self._axes.text(
                0.01 if is_left else 0.99, at, _escaped(name), va="bottom", color=_QUIET,
                ha="left" if is_left else "right", fontsize=self._style.font_size - 1.5,
                transform=self._axes.get_yaxis_transform(),
            )  # fmt: skip

    def _draw_groups(self, layer: FigureLayer, rows: list[dict[str, Cell]]) -> None:
        colour = self._resolve(layer.colour) if layer.colour else None
        looks = self._looks.get(colour or "", {})
        groups: dict[tuple[Cell, Cell], list[dict[str, Cell]]] = {}
        for row in rows:
            key = (
                row.get(layer.series) if layer.series else None,
                row.get(colour) if colour else None,
            )
            groups.setdefault(key, []).append(row)
        shown = _shown_in_legend(list(looks))
        values = list(dict.fromkeys(value for _, value in groups))
        for (_, value), members in groups.items():
            look = looks.get(as_key(value)) if colour else None
            name = (as_key(value) if as_key(value) in shown else "") if colour else layer.name
            # Bands and lines take the entry of the points of the same colour, where there are any.
            is_named = layer.mark == "points" or not colour or not self._has_points(layer.colour)
            label = _escaped(name) if is_named and not layer.symbol else ""
            place = values.index(value) - (len(values) - 1) / 2
            self._mark(layer, members, look, label, _ASIDE_POINTS * place if layer.apart else 0.0)
            self._note_words(layer, members, look)

    def _has_points(self, colour: str | None) -> bool:
        return any(layer.mark == "points" and layer.colour == colour for layer in self._layers)

    def _note_words(
        self, layer: FigureLayer, rows: list[dict[str, Cell]], look: Look | None
    ) -> None:
        if not layer.label:
            return
        ends = rows if layer.mark == "points" else [max(rows, key=lambda r: float(str(r[self._resolve(layer.x)])))]  # fmt: skip
        for row in ends:
            x, y = (float(str(row[self._resolve(name)])) for name in (layer.x, layer.y))
            self._words.append(_Words(x, y, _escaped(row.get(layer.label)), _colour(layer, look)))

    def _mark(
        self,
        layer: FigureLayer,
        rows: list[dict[str, Cell]],
        look: Look | None,
        name: str,
        aside: float,
    ) -> None:
        colour, axes = _colour(layer, look), self._axes
        x = [row[self._resolve(layer.x)] for row in rows]
        if layer.mark == "band":
            low, high = ([row[str(column)] for row in rows] for column in (layer.low, layer.high))
            axes.fill_between(x, low, high, color=colour, alpha=0.16, lw=0, label=name or None)
            return
        y = [row[self._resolve(layer.y)] for row in rows]
        if layer.mark == "lines":
            style = "--" if layer.dashed else "-"
            axes.plot(
                x, y, style, color=colour, lw=0.7 if layer.faint else 1.3, label=name or None,
                zorder=1 if layer.faint else 2,
            )  # fmt: skip
            return
        place = look.symbol if look else max(0, layer.tone - 1)
        marker = "." if layer.faint else "*" if layer.symbol == "star" else _MARKERS[place % len(_MARKERS)]  # fmt: skip
        bounds: dict[str, Any] = {
            "xerr" if layer.horizontal else "yerr": self._away(
                layer, rows, x if layer.horizontal else y
            )
        }
        if aside:
            shift = require("matplotlib.transforms", "paper").ScaledTranslation(
                aside / 72, 0, self._canvas.dpi_scale_trans
            )
            bounds["transform"] = axes.transData + shift
            # matplotlib takes the reach of the axes from what stands where its data are.
            away = bounds.get("yerr", [[0.0] * len(y)] * 2)
            ends = [float(str(v)) + s * d for s, side in ((-1, away[0]), (1, away[1])) for v, d in zip(y, side, strict=True)]  # fmt: skip
            axes.plot([*x, *x], ends, linestyle="")
        size = 2.0 if layer.faint else 9.0 if layer.symbol == "star" else 4.5
        axes.errorbar(
            x, y, fmt=marker, ms=size, color=colour, elinewidth=0.8, label=name or None,
            markeredgecolor="white" if not layer.faint else colour, markeredgewidth=0.4,
            zorder=4 if layer.symbol else 1 if layer.faint else 3, **(bounds if layer.low else {}),
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
        return filled(title, {name: option.axis_label for name, option in self._choices.items()})


def moved_apart(places: Sequence[tuple[float, float]], room: float, floor: float) -> list[float]:
    """Return the heights of labels so that none overlaps another or sinks below the floor.

    Args:
        places: Where each would stand, as (x, height), the highest first.
        room: Height of a line; labels `_BESIDE` times as far apart along x do not meet.
        floor: Lowest height.
    """
    heights: list[float] = []
    for order, (x, height) in enumerate(places):
        met = [
            h
            for (other, _), h in zip(places[:order], heights, strict=True)
            if abs(other - x) < _BESIDE * room
        ]
        heights.append(min([height, *(h - room for h in met)]))
    for order in reversed(range(len(places))):
        below = zip(places[order + 1 :], heights[order + 1 :], strict=True)
        met = [h for (other, _), h in below if abs(other - places[order][0]) < _BESIDE * room]
        heights[order] = max([heights[order], floor, *(h + room for h in met)])
    return heights


def filled(title: str, labels: Mapping[str, str]) -> str:
    """Return the title of an axis with "{name}" replaced by the label of that choice; by nothing where there is none."""

    def chosen(match: re.Match[str]) -> str:
        return filled(labels[match[1]], labels) if match[1] in labels else ""

    return re.sub(r"\{(\w+)\}", chosen, title).replace(" ()", "").strip()


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers between two positive numbers, at most `most`, for a logarithmic axis."""
    if high < 5 * low:
        return _even_ticks(low, high, most)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [d * 10.0**p for p in powers for d in digits if low <= d * 10.0**p <= high]
        if len(ticks) <= most:
            return ticks
    ticks = [10.0**p for p in powers if low <= 10.0**p <= high]
    return ticks[:: math.ceil(len(ticks) / most)]


def _even_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    if rough <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Return a tick in words: 2,000 in full, 2×10⁹ as a power of ten."""
    size = abs(value)
    if value and (size >= 1e6 or size < 1e-3):
        exponent = math.floor(math.log10(size) + 1e-9)
        mantissa = float(f"{value / 10.0**exponent:.3g}")
        power = "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return power if mantissa == 1 else f"{mantissa:g}×{power}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def shared_name(lines: Sequence[tuple[float, str]], order: int) -> str:
    """Return the name of a reference line; of lines that lie together the first is named for all, the others not.

    Example: "unigram entropy, basic" at 5.32 and "unigram entropy, free" at 5.31 become
    "unigram entropy, basic; free" on the first line.
    """
    at, name = lines[order]

    def is_near(other: int) -> bool:
        return abs(lines[other][0] - at) <= _TOGETHER * abs(at)

    if order and is_near(order - 1):
        return ""
    names = [name]
    for following in range(order + 1, len(lines)):
        if not is_near(following):
            break
        names.append(lines[following][1].split(", ")[-1])
    return "; ".join(names)


def _shown_in_legend(values: list[str]) -> set[str]:
    """Return the values with an entry: all of few; the first, the middle and the last of many."""
    if len(values) <= CATEGORICAL:
        return set(values)
    return {values[0], values[len(values) // 2], values[-1]}


def _tone(tone: int) -> str:
    return _COLOURS[(tone - 1) % len(_COLOURS)] if tone else _INK


def _colour(layer: FigureLayer, look: Look | None) -> str:
    if layer.faint:
        return _FAINT
    if look is None:
        return _tone(layer.tone)
    return _tone(look.tone) if look.share is None else _on_ramp(look.share)


def _on_ramp(share: float) -> str:
    place = share * (len(_RAMP) - 1)
    low = min(math.floor(place), len(_RAMP) - 2)
    parts = zip(_RAMP[low], _RAMP[low + 1], strict=True)
    return "#" + "".join(
        f"{round(one + (place - low) * (other - one)):02x}" for one, other in parts
    )


def _escaped(text: Cell) -> str:
    """Return words in which matplotlib sees no formula."""
    return "" if text is None else str(text).replace("$", r"\$")


def _distance(bound: Cell, value: Cell) -> float:
    if bound is None or value is None:
        return 0.0
    return abs(cast("float", bound) - cast("float", value))
