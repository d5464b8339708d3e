# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""A column of the user's own table as a score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lilliput.core.errors import InputError
from lilliput.core.files import require_file
from lilliput.core.hashing import file_hash
from lilliput.core.settings import OUTSIDE_IDENTITY
from lilliput.language.corpus.span_ids import SPAN_ID_COLUMNS, span_ids
from lilliput.language.scores.base import (
    ScorerContext,
    ScorerSettings,
    SpanScorer,
    register_scorer,
)


class ColumnSettings(ScorerSettings):
    """Name a Parquet file and one of its columns of numbers."""

    table: str = Field(
        description="Parquet file with one row a span.", json_schema_extra=OUTSIDE_IDENTITY
    )
    column: str = Field(description="Its column of numbers.")

    def inputs(self) -> dict[str, str]:
        """Return the hash of the table."""
        return {"table": file_hash(require_file(Path(self.table), "the table of scores"))}


@register_scorer
class Column(SpanScorer):
    """Read numbers from a table, joined by `span_id`, or by `source`, `doc_id` and `position`."""

    name = "column"
    description = "A column of a Parquet table of your own, joined by span_id, or source, doc_id and position."
    settings_type = ColumnSettings

    def __init__(self, context: ScorerContext) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        super().__init__(context)
        settings = context.settings
        assert isinstance(settings, ColumnSettings)
        path = require_file(Path(settings.table), "the table of scores")
        try:
            table = parquet.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} must be a Parquet table", got=str(error)) from None
        names = set(table.column_names)
        if settings.column not in names or not ("span_id" in names or {*SPAN_ID_COLUMNS} <= names):
            raise InputError(
                f"{path} must have the column {settings.column!r}, and span_id or {', '.join(SPAN_ID_COLUMNS)}",
                got=f"the columns {', '.join(table.column_names)}",
            )
        kind = table.schema.field(settings.column).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise InputError(
                f"the column {settings.column!r} of {path} must hold numbers", got=f"{kind} values"
            )
        ids = table.column("span_id").to_numpy() if "span_id" in names else span_ids(table)
        scores = table.column(settings.column).to_numpy().astype(np.float64)
        order = np.argsort(ids, kind="stable")
        self._ids, self._scores = ids[order].astype(np.uint64), scores[order]
        if len(np.unique(self._ids)) != len(self._ids):
            raise InputError(
                f"{path} must have one row a span", got="spans that stand in it more than once"
            )

    def score(self, spans: Any) -> NDArray[np.float64]:
        """Return the numbers of the spans; NaN for a span that the table does not have."""
        ids = span_ids(spans)
        places = np.searchsorted(self._ids, ids).clip(max=max(0, len(self._ids) - 1))
        if not len(self._ids):
            return np.full(len(ids), np.nan)
        return np.where(self._ids[places] == ids, self._scores[places], np.nan)
