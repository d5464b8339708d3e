"""Take the measurements that a law of size and tokens needs: those with parameters N and tokens D."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.table.columns import with_six_nd
from lilliput.analysis.table.measurements import Measurements
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

_FLOPS_PER_PARAMETER_TOKEN = 6.0
MANY_RUNS = 10
COLLINEAR = 0.995


@dataclass(frozen=True)
class SizedMeasurements:
    """Hold measurements with parameters N and tokens D, shape (points,) each, and warnings about them."""

    data: Measurements
    parameters: FloatArray
    tokens: FloatArray
    warnings: tuple[str, ...]

    def select(self, rows: NDArray[Any], reason: str = "") -> SizedMeasurements:
        """Return the points chosen by a mask; the others are counted as refused where a reason is given."""
        data = self.data.select(rows)
        if reason and len(data) < len(self.data):
            refused = {**data.refused, reason: len(self.data) - len(data)}
            data = replace(data, refused=refused)
        return SizedMeasurements(data, self.parameters[rows], self.tokens[rows], self.warnings)


def sized_measurements(table: Table, data: Measurements, points: str) -> SizedMeasurements:
    """Return the measurements that have parameters and tokens.

    Args:
        table: Needs `num_parameters`, and `tokens_seen` (else positions, else cost / 6N).
        data: The table's measurements.
        points: "all" takes every point; "final" and "frontier" take finished runs where there are ten.

    Raises:
        InputError: The table has no num_parameters.
    """
    require_column(table, "num_parameters", "laws of size and tokens")
    rows = np.searchsorted(table.lines, data.lines)
    parameters = table.number("num_parameters")[rows]
    tokens, warnings = _tokens(table, data, parameters, rows)
    sized = SizedMeasurements(data, parameters, tokens, warnings)
    sized = sized.select((parameters > 0) & (tokens > 0), "no size or tokens")
    finals = sized.data.is_final
    if points == "all" or finals.all():
        return sized
    if np.unique(sized.parameters[finals]).size >= MANY_RUNS and _vary(sized.tokens[finals]):
        return sized.select(finals, "unfinished")
    said = "Finished runs do not vary in both size and tokens: all points were used."
    return replace(sized, warnings=(*warnings, said))


def collinearity(parameters: FloatArray, tokens: FloatArray) -> float:
    """Return the correlation of ln N and ln D; 1 on a ladder with tokens proportional to parameters."""
    if np.unique(parameters).size < 2 or np.unique(tokens).size < 2:
        return 0.0
    return float(np.corrcoef(np.log(parameters), np.log(tokens))[0, 1])


def is_ladder(parameters: FloatArray, tokens: FloatArray) -> bool:
    """Return whether sizes and tokens move together, so that their parts in the loss cannot be separated."""
    return abs(collinearity(parameters, tokens)) > COLLINEAR


def with_flops(table: Table, flops: str | None) -> Table:
    """Return the table with 6 N D as its FLOPs where a law of size and tokens finds none, and a warning."""
    lacks = flops is None and not table.flops_columns()
    if not lacks or "num_parameters" not in table or "tokens_seen" not in table:
        return table
    said = "The table has no FLOPs: 6 x parameters x tokens stands for them."
    return replace(with_six_nd(table), warnings=(*table.warnings, said))


def require_column(table: Table, name: str, what: str) -> None:
    """Raise where the table lacks a column that `what` needs.

    Raises:
        InputError: The column is missing.
    """
    if name not in table:
        raise InputError(
            f"{table.source} must have a column {name} for {what}",
            got=", ".join(table.columns),
            remedy=table.how_to_name(name),
        )


def _vary(tokens: FloatArray) -> bool:
    return tokens.size > 0 and float(tokens.max() / tokens.min()) > 2


def _tokens(
    table: Table, data: Measurements, parameters: FloatArray, rows: NDArray[np.intp]
) -> tuple[FloatArray, tuple[str, ...]]:
    if "tokens_seen" in table:
        return table.number("tokens_seen")[rows], ()
    if "positions_seen" in table:
        return table.number("positions_seen")[rows], (
            "Tokens are input positions, padding included.",
        )
    return data.flops / (_FLOPS_PER_PARAMETER_TOKEN * parameters), (
        "The table has no tokens_seen: tokens were taken as FLOPs / (6 x parameters).",
    )
