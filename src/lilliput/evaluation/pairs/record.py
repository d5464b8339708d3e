"""The record of a run on minimal pairs: both likelihoods of every pair, and the scores they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.artefacts import Build
from lilliput.core.files import atomic_path, write_json
from lilliput.evaluation.pairs.likelihood import FloatArray
from lilliput.evaluation.pairs.reading import Paradigm
from lilliput.evaluation.pairs.scoring import hits, mean_over_paradigms, paradigm_scores
from lilliput.evaluation.scores.score import MEAN, PREDICTIONS_FILE, SCORES_FILE, Score
from lilliput.evaluation.settings import PairSettings
from lilliput.evaluation.tasks.examples import Table
from lilliput.evaluation.weights import ScoredWeights


@dataclass(frozen=True)
class ScoredParadigm:
    """Likelihoods of one paradigm's sentences: start to (good, bad), each of shape (pairs,)."""

    paradigm: Paradigm
    found: Mapping[str, tuple[FloatArray, FloatArray]]

    @property
    def hits(self) -> dict[str, FloatArray]:
        """Start to 1 where the acceptable sentence is the likelier one, else 0."""
        return {start: hits(good, bad) for start, (good, bad) in self.found.items()}


def write_scored(
    build: Build,
    scored: Sequence[ScoredParadigm],
    settings: PairSettings,
    starts: Sequence[ScoredWeights],
) -> None:
    """Put the likelihoods and the scores of all paradigms, and their mean, into an artefact."""
    with atomic_path(build.path(PREDICTIONS_FILE)) as path:
        pq.write_table(_table(scored), path, compression="zstd")
    by_name = {start.name: start for start in starts}
    records = [
        replace(
            score,
            checkpoint=by_name[score.start].checkpoint,
            details={
                **score.details,
                "method": settings.method,
                "weights_digest": by_name[score.start].digest,
            },
        ).as_record()
        for score in _scores(scored, settings.resamples)
    ]
    write_json(build.path(SCORES_FILE), records)
    build.facts["scores"] = {f"{r['task']}/{r['start']}": r["value"] for r in records}


def _table(scored: Sequence[ScoredParadigm]) -> Table:
    tables = [
        pa.table(
            {
                "task": [one.paradigm.name] * len(good),
                "start": [start] * len(good),
                "example": list(one.paradigm.numbers),
                "good": good,
                "bad": bad,
            }
        )
        for one in scored
        for start, (good, bad) in one.found.items()
    ]
    return pa.concat_tables(tables)


def _scores(scored: Sequence[ScoredParadigm], resamples: int) -> list[Score]:
    scores = [score for one in scored for score in _paradigm(one, resamples)]
    if len(scored) > 1:
        scores += mean_over_paradigms(MEAN, [one.hits for one in scored], resamples=resamples)
    return scores


def _paradigm(one: ScoredParadigm, resamples: int) -> list[Score]:
    paradigm = one.paradigm
    same = paradigm.identical
    note = f"{same} of {paradigm.total} pairs are identical and were skipped" if same else ""
    counts = {"pairs": paradigm.total, "identical": same, "kept": len(paradigm.pairs)}
    scores = paradigm_scores(paradigm.name, one.hits, resamples=resamples, note=note)
    return [replace(score, details=counts) for score in scores]
