"""Show on the page Training how the best learning rate, where searched for, drifts with width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean

from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.table.tidy import Cell
from lilliput.core.wording import plural
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.reading.rate_search import BestRate, BestRateTrend, RateSearch


def rate_tables(search: RateSearch | None) -> dict[str, DataTable]:
    """Return what the figure draws: the best rate of each shape, and the line of each family that has a slope."""
    if search is None or not _is_drawn(search):
        return {}
    lines = [row for drift in search.drifts for row in _line(drift, search.rates)]
    return {
        "rates": DataTable.from_rows(asdict(rate) for rate in search.rates),
        "rate_lines": DataTable.from_rows(lines, ["family", "width", "learning_rate"]),
    }


def rate_figures(search: RateSearch | None) -> tuple[Figure, ...]:
    """Return the best rate against width; nothing where there is no search over two widths."""
    if search is None or not _is_drawn(search):
        return ()
    figure = Figure(
        id="learning-rate-by-width",
        title="The best learning rate, by width",
        text=_sentence(search),
        x=Axis("Hidden size", log=True),
        y=Axis("Best peak learning rate", log=True),
        layers=(
            FigureLayer(
                "rate_lines", "lines", x="width", y="learning_rate", series="family", colour="family",
                dashed=True,
            ),
            FigureLayer(
                "rates", "points", x="width", y="learning_rate", low="low", high="high",
                colour="family", hover=("shape", "seeds"),
            ),
        ),
        note="One point a shape, from a short sweep: the lowest point of a parabola through the best rate and "
        "its neighbours. Bars are 95 % intervals over seeds, or with one seed reach to the neighbouring "
        "rates tried. Under the maximal update parametrisation AdamW's best rate for hidden matrices goes "
        "with width to the power −1; these models are parametrised as usual.",
    )  # fmt: skip
    return (figure,)


def _is_drawn(search: RateSearch) -> bool:
    return len({rate.width for rate in search.rates}) > 1


def _sentence(search: RateSearch) -> str:
    parts = [f"{_drift_sentence(drift)}." for drift in search.drifts]
    edges = sum(rate.is_at_edge for rate in search.rates)
    if edges:
        parts.append(
            f"Of {plural(len(search.rates), 'shape')}, {edges} had the best rate at the edge of those tried: "
            "the true one may lie beyond."
        )
    return " ".join(parts)


def _drift_sentence(drift: BestRateTrend) -> str:
    if drift.slope is None:
        return f"{drift.family}: {plural(drift.n, 'shape')}, too few widths for a slope"
    slope = Quantity(drift.slope, drift.low, drift.high, drift.n, "shapes")
    return f"{drift.family}: the best rate goes with width to the power {slope.text}"


def _line(drift: BestRateTrend, rates: Sequence[BestRate]) -> list[dict[str, Cell]]:
    """Return two ends of the least-squares line in logarithms whose slope the search recorded."""
    members = [rate for rate in rates if rate.family == drift.family]
    if drift.slope is None or not members:
        return []
    x = [math.log(rate.width) for rate in members]
    level = fmean(math.log(rate.learning_rate) for rate in members)
    return [
        {
            "family": drift.family,
            "width": math.exp(end),
            "learning_rate": math.exp(level + drift.slope * (end - fmean(x))),
        }
        for end in (min(x), max(x))
    ]
