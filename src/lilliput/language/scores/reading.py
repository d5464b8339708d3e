"""Read scores of spans, and join them to spans by id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lilliput.core.artefacts import Manifest, read_manifest, whole_files
from lilliput.core.errors import InputError
from lilliput.core.reader import read_table
from lilliput.language.scores.build import KIND, SCHEMA


@dataclass(frozen=True)
class SpanScores:
    """Scores by span id.

    Attributes:
        folder: Where they lie.
        manifest: What they were made of.
        ids: Ids in rising order, uint64 of shape (spans,).
        scores: The score of each, float64 of the same shape; NaN where a span has none.
    """

    folder: Path
    manifest: Manifest
    ids: NDArray[np.uint64]
    scores: NDArray[np.float64]

    @property
    def corpus(self) -> str:
        """Return the id of the corpus whose spans they are."""
        return self.manifest.inputs["corpus"]

    def of(self, ids: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return the scores of these spans, in their order.

        Raises:
            InputError: A span is not among them, or has no score.
        """
        places = np.minimum(np.searchsorted(self.ids, ids), max(0, len(self.ids) - 1))
        unknown = self.ids[places] != ids if len(self.ids) else np.ones(len(ids), np.bool_)
        if unknown.any():
            raise InputError(
                f"the scores in {self.folder} must be of the corpus that they are used with",
                got=f"{int(unknown.sum()):,} of {len(ids):,} spans that they do not know",
                remedy="Make them anew: lilliput corpus score CORPUS --by NAME --out FOLDER.",
            )
        scores = self.scores[places]
        if not np.isfinite(scores).all():
            raise InputError(
                f"every span must have a finite score in {self.folder}",
                got=f"{int((~np.isfinite(scores)).sum()):,} of {len(ids):,} spans without",
                remedy="Use a score that every span has, such as length or rarity; for ages, a vocabulary "
                "that knows the age of more words.",
            )
        return scores


def read_scores(folder: Path) -> SpanScores:
    """Return the scores in a folder.

    Raises:
        InputError: No finished scores lie there.
        ArtefactError: A file is damaged.
    """
    manifest = read_manifest(folder, KIND, SCHEMA)
    tables = [
        read_table(path, ["span_id", "score"]) for path in whole_files(folder, "shards/*.parquet")
    ]
    ids = np.concatenate([np.zeros(0, np.uint64), *(_column(t, "span_id") for t in tables)])
    scores = np.concatenate([np.zeros(0), *(_column(t, "score") for t in tables)])
    order = np.argsort(ids, kind="stable")
    return SpanScores(folder, manifest, ids[order], scores[order])


def _column(table: Any, name: str) -> NDArray[Any]:
    return cast("NDArray[Any]", table.column(name).to_numpy())
