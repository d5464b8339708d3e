"""Turn the likelihoods of a run on minimal pairs into scores, and keep both in its record.

The accuracy of a paradigm is the share of its pairs whose acceptable sentence is the likelier one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.arrays import FloatArray
from lilliput.core.artefacts import ArtefactBuild
from lilliput.core.files import atomic_path, write_json
from lilliput.core.intervals import (
    Interval,
    percentile_bounds,
    proportion_interval,
    two_way_bootstrap_interval,
)
from lilliput.core.seeding import generator
from lilliput.evaluation.pairs.reading import Paradigm
from lilliput.evaluation.scores.score import (
    MEAN,
    PREDICTIONS_FILE,
    SCORES_FILE,
    Score,
    caution,
    pair_hits,
)
from lilliput.evaluation.settings import PairSettings
from lilliput.evaluation.tasks.examples import Table
from lilliput.evaluation.weights import TRAINED, UNTRAINED, ScoredWeights

CHANCE = 0.5


def paradigm_scores(
    name: str, found: Mapping[str, FloatArray], *, resamples: int, note: str = ""
) -> list[Score]:
    """Return the accuracy on one paradigm, from trained and untrained weights, from its hits.

    Args:
        name: Of the paradigm.
        found: Start to hits, shape (pairs,).
        resamples: Bootstrap draws behind the interval of the gain.
        note: What else must be known.
    """
    baseline = float(found[UNTRAINED].mean()) if UNTRAINED in found else None
    scores: list[Score] = []
    for weights, array in found.items():
        interval = proportion_interval(float(array.sum()), len(array))
        score = _score(name, weights, interval, baseline, note)
        if weights == TRAINED and UNTRAINED in found:
            gain = _mean_interval(array - found[UNTRAINED], resamples)
            score = replace(score, gain=gain.value, gain_low=gain.low, gain_high=gain.high)
        scores.append(score)
    return scores


def _score(name: str, weights: str, interval: Interval, baseline: float | None, note: str) -> Score:
    return Score(
        task=name,
        weights=weights,
        metric="pair_accuracy",
        value=interval.value,
        low=interval.low,
        high=interval.high,
        n=interval.n,
        seeds=1,
        baseline=baseline,
        note=" ".join(filter(None, (caution(interval.n), note))),
        chance_level=CHANCE,
    )


def _mean_interval(values: FloatArray, resamples: int) -> Interval:
    return two_way_bootstrap_interval(
        lambda _, rows: float(values[rows].mean()), 1, len(values), resamples=resamples
    )


def mean_over_paradigms(
    name: str,
    found: Sequence[Mapping[str, FloatArray]],
    *,
    resamples: int,
) -> list[Score]:
    """Return the unweighted mean accuracy over paradigms, items drawn anew within each.

    Args:
        name: Of the benchmark.
        found: For each paradigm, name of the weights to hits.
        resamples: Bootstrap draws.
    """
    weight_sets = list(found[0])
    arrays = {weights: [one[weights] for one in found] for weights in weight_sets}
    baseline = _mean_of_means(arrays[UNTRAINED]) if UNTRAINED in weight_sets else None
    scores: list[Score] = []
    for weights in weight_sets:
        interval = _stratified(arrays[weights], resamples)
        score = _score(name, weights, interval, baseline, f"mean of {len(found)} paradigms")
        if weights == TRAINED and UNTRAINED in weight_sets:
            pairs = zip(arrays[TRAINED], arrays[UNTRAINED], strict=True)
            gain = _stratified([a - b for a, b in pairs], resamples)
            score = replace(score, gain=gain.value, gain_low=gain.low, gain_high=gain.high)
        scores.append(score)
    return scores


def _mean_of_means(arrays: Sequence[FloatArray]) -> float:
    return float(np.mean([array.mean() for array in arrays]))


def _stratified(arrays: Sequence[FloatArray], resamples: int) -> Interval:
    """Return the mean of means; each paradigm's items are drawn from that paradigm."""
    rng = generator(0, "paradigms")
    draws = np.zeros(resamples)
    for array in arrays:
        draws += array[rng.integers(0, len(array), (resamples, len(array)))].mean(1)
    low, high = percentile_bounds(draws / len(arrays), 0.95)
    return Interval(
        _mean_of_means(arrays),
        low,
        high,
        sum(map(len, arrays)),
        0.95,
        "bootstrap within paradigms",
        "pairs",
    )


_SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("weights", pa.string()),
        ("example", pa.int64()),
        ("good", pa.float64()),
        ("bad", pa.float64()),
    ]
)


@dataclass(frozen=True)
class ScoredParadigm:
    """Hold the likelihoods of one paradigm's sentences: name of the weights to (good, bad), each of shape (pairs,)."""

    paradigm: Paradigm
    found: Mapping[str, tuple[FloatArray, FloatArray]]

    @property
    def hits(self) -> dict[str, FloatArray]:
        """By name of the weights, 1 for each pair that is right, one half for a tie, else 0."""
        return {weights: pair_hits(good, bad) for weights, (good, bad) in self.found.items()}


def _part(build: ArtefactBuild, name: str) -> Path:
    """Return where one paradigm is kept until all are scored."""
    return build.scratch("parts") / f"{name}.parquet"


def write_part(build: ArtefactBuild, scored: ScoredParadigm) -> None:
    """Keep one scored paradigm, so that an interrupted evaluation need not repeat it."""
    with atomic_path(_part(build, scored.paradigm.name)) as path:
        pq.write_table(_table([scored]), path, compression="zstd")


def read_part(build: ArtefactBuild, paradigm: Paradigm) -> ScoredParadigm | None:
    """Return what an interrupted evaluation kept of a paradigm; None when it is yet to be scored."""
    path = _part(build, paradigm.name)
    if not path.is_file():
        return None
    table = pq.read_table(path)
    columns = {name: table[name].to_numpy() for name in ("weights", "example", "good", "bad")}
    found: dict[str, tuple[FloatArray, FloatArray]] = {}
    examples: list[int] = []
    for weights in dict.fromkeys(columns["weights"].tolist()):
        rows = columns["weights"] == weights
        examples = columns["example"][rows].tolist()
        found[weights] = (columns["good"][rows], columns["bad"][rows])
    row_of = {number: row for row, number in enumerate(paradigm.numbers)}
    return ScoredParadigm(paradigm.fitting([row_of[number] for number in examples]), found)


def write_scored(
    build: ArtefactBuild,
    scored: Sequence[ScoredParadigm],
    settings: PairSettings,
    weight_sets: Sequence[ScoredWeights],
) -> None:
    """Put the likelihoods and the scores of all paradigms, and their mean, into an artefact."""
    with atomic_path(build.path(PREDICTIONS_FILE)) as path:
        pq.write_table(_table(scored), path, compression="zstd")
    by_name = {weights.name: weights for weights in weight_sets}
    records = [
        replace(
            score,
            checkpoint=by_name[score.weights].checkpoint,
            details={
                **score.details,
                "method": settings.method,
                "weights_digest": by_name[score.weights].digest,
            },
        ).as_record()
        for score in _scores(scored, settings.resamples)
    ]
    write_json(build.path(SCORES_FILE), records)
    build.facts["scores"] = {f"{r['task']}/{r['weights']}": r["value"] for r in records}


def _table(scored: Sequence[ScoredParadigm]) -> Table:
    tables = [
        pa.table(
            {
                "task": [one.paradigm.name] * len(good),
                "weights": [weights] * len(good),
                "example": list(one.paradigm.numbers),
                "good": good,
                "bad": bad,
            },
            _SCHEMA,
        )
        for one in scored
        for weights, (good, bad) in one.found.items()
    ]
    return pa.concat_tables([_SCHEMA.empty_table(), *tables])


def _scores(scored: Sequence[ScoredParadigm], resamples: int) -> list[Score]:
    scores = [score for one in scored for score in _paradigm(one, resamples)]
    if len(scored) > 1:
        scores += mean_over_paradigms(MEAN, [one.hits for one in scored], resamples=resamples)
    return scores


def _paradigm(one: ScoredParadigm, resamples: int) -> list[Score]:
    paradigm = one.paradigm
    skipped = {
        "are identical": paradigm.identical,
        "have a sentence that is too long for the model or empty": paradigm.unfit,
    }
    notes = [
        f"{count:,} of {paradigm.total:,} pairs {why} and were skipped."
        for why, count in skipped.items()
        if count
    ]
    note = " ".join(notes)
    counts = {
        "pairs": paradigm.total,
        "identical": paradigm.identical,
        "unfit": paradigm.unfit,
        "kept": len(paradigm.pairs),
    }
    scores = paradigm_scores(paradigm.name, one.hits, resamples=resamples, note=note)
    return [replace(score, details=counts) for score in scores]
