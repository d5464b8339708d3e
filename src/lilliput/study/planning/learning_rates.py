"""The search for the best learning rate of each shape: its trials, what follows from them, and how it is used.

A learning rate that suits one width is wrong for another, and a scaling law over badly tuned runs measures
the tuning. A grid block with `learning_rates = "search"` trains each of its shapes briefly at the rates of
`[search]` and then at the best of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lilliput.architecture import sizes_of_shape
from lilliput.core.artefacts import is_artefact
from lilliput.core.reader import read_record
from lilliput.core.seeding import generator
from lilliput.study.recipe.expansion import PlannedRun, StudyGrid, changed_training
from lilliput.study.store.layout import StudyLayout

SEARCH_KIND, SEARCH_SCHEMA = "search", 2
FOUND = "found.json"
_RESAMPLES = 500
_LEVEL = 0.95
_FEWEST_WIDTHS = 3  # Two widths always lie on a line.


@dataclass(frozen=True)
class RateTrial:
    """One short run of the search: the shape that it stands for, its rate, and its loss.

    Attributes:
        key: Language, profile, variant and shape.
        learning_rate: Peak.
        seed: Of the run.
        loss: Nats at its end; infinite when it diverged.
    """

    key: tuple[str, ...]
    learning_rate: float
    seed: int
    loss: float


@dataclass(frozen=True)
class FoundRate:
    """Hold the best learning rate of one shape.

    Attributes:
        key: Language, profile, variant and shape.
        learning_rate: Where a parabola through the best rate and its neighbours is lowest, in the
            logarithm of the rate, to three digits.
        low: Lower bound: of a bootstrap over seeds, or with one seed the tried rate below.
        high: Upper bound of the same interval.
        seeds: Seeds a rate.
        is_at_edge: Whether the best rate tried was the first or the last, so that the optimum may lie
            beyond.
    """

    key: tuple[str, ...]
    learning_rate: float
    low: float
    high: float
    seeds: int
    is_at_edge: bool

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        names = ("language", "profile", "variant", "shape")
        return dict(zip(names, self.key, strict=True)) | {
            "learning_rate": self.learning_rate,
            "low": self.low,
            "high": self.high,
            "seeds": self.seeds,
            "is_at_edge": self.is_at_edge,
        }


def trial_grid(grid: StudyGrid) -> StudyGrid:
    """Return the trials of the search: each searched shape at every rate of [search], for the short budget."""
    search = grid.recipe.search
    assert search is not None
    shapes = {key_of(run): run for run in grid.searched}
    budget = {"max_steps": search.max_steps, "max_tokens": None, "num_train_epochs": None}
    trials = [
        replace(
            run,
            seed=seed,
            training=changed_training(run.training, budget | {"learning_rate": rate}),
            rate=f"lr {rate:g}",
            budget="",
            is_searched=False,
        )
        for run in shapes.values()
        for rate in search.learning_rates
        for seed in search.seeds
    ]
    return StudyGrid(grid.recipe, tuple(trials))


def is_found(grid: StudyGrid, layout: StudyLayout) -> bool:
    """Return whether the rate of every shape that asks for the search lies in the study."""
    return {key_of(run) for run in grid.searched} <= read_rates(layout).keys()


def find_rates(trials: Sequence[RateTrial]) -> list[FoundRate]:
    """Return the best rate of every shape among the trials, in their order."""
    by_key: dict[tuple[str, ...], list[RateTrial]] = {}
    for trial in trials:
        by_key.setdefault(trial.key, []).append(trial)
    return [_find_rate(key, group) for key, group in by_key.items()]


def _find_rate(key: tuple[str, ...], trials: Sequence[RateTrial]) -> FoundRate:
    rates = np.array(sorted({trial.learning_rate for trial in trials}))
    seeds = sorted({trial.seed for trial in trials})
    losses = np.full((len(seeds), len(rates)), np.inf)
    for trial in trials:
        row, column = seeds.index(trial.seed), int(np.searchsorted(rates, trial.learning_rate))
        losses[row, column] = trial.loss
    best, edge = _optimum(rates, losses.mean(axis=0))
    if len(seeds) > 1:
        draws = generator(0, "learning-rate search", *key).integers(
            len(seeds), size=(_RESAMPLES, len(seeds))
        )
        optima = [_optimum(rates, losses[draw].mean(axis=0))[0] for draw in draws]
        tail = (1 - _LEVEL) / 2
        low, high = (float(bound) for bound in np.quantile(optima, [tail, 1 - tail]))
    else:
        at = int(np.argmin(losses[0]))
        low, high = float(rates[max(0, at - 1)]), float(rates[min(len(rates) - 1, at + 1)])
    return FoundRate(key, _rounded(best), _rounded(low), _rounded(high), len(seeds), edge)


def _optimum(rates: np.ndarray[Any, Any], losses: np.ndarray[Any, Any]) -> tuple[float, bool]:
    """Return the rate of the lowest loss, between the tried ones by a parabola; whether it is at an edge."""
    at = int(np.argmin(losses))
    if at in (0, len(rates) - 1):
        return float(rates[at]), True
    x, y = np.log(rates[at - 1 : at + 2]), losses[at - 1 : at + 2]
    if not np.isfinite(y).all():
        return float(rates[at]), False
    bend, slope, _ = np.polyfit(x - x[1], y, 2)
    if bend <= 0:
        return float(rates[at]), False
    vertex = float(np.clip(x[1] - slope / (2 * bend), x[0], x[2]))
    return math.exp(vertex), False


def _rounded(rate: float) -> float:
    # Digits beyond the third are noise, and the rate is part of every run's identity.
    return float(f"{rate:.3g}")


def drift_with_width(found: Sequence[FoundRate]) -> list[dict[str, Any]]:
    """Return, for each family, the power of width that the best rate follows; muP predicts -1 for AdamW.

    The interval comes from a bootstrap over shapes; without three widths there is no slope.
    """
    families: dict[tuple[str, ...], list[FoundRate]] = {}
    for one in found:
        families.setdefault(one.key[:3], []).append(one)
    return [_drift(family, members) for family, members in families.items()]


def _drift(family: tuple[str, ...], members: Sequence[FoundRate]) -> dict[str, Any]:
    width = np.log([sizes_of_shape(one.key[3])["hidden_size"] for one in members])
    rate = np.log([one.learning_rate for one in members])
    record: dict[str, Any] = {"family": " ".join(filter(None, family)), "n": len(members)}
    record |= {"slope": None, "low": None, "high": None}
    if len(set(width)) < _FEWEST_WIDTHS:
        return record
    draws = generator(0, "drift with width", *family).integers(
        len(members), size=(_RESAMPLES, len(members))
    )
    usable = [draw for draw in draws if len(set(width[draw])) > 1]
    slopes = [float(np.polyfit(width[draw], rate[draw], 1)[0]) for draw in usable]
    tail = (1 - _LEVEL) / 2
    low, high = (float(bound) for bound in np.quantile(slopes, [tail, 1 - tail]))
    return record | {"slope": float(np.polyfit(width, rate, 1)[0]), "low": low, "high": high}


def read_rates(layout: StudyLayout) -> dict[tuple[str, ...], float]:
    """Return the rate found for each language, profile, variant and shape; none before the search is done."""
    if not is_artefact(layout.search):
        return {}
    records: list[Mapping[str, Any]] = read_record(
        layout.search / FOUND, dict[str, list[dict[str, Any]]]
    )["rates"]
    return {
        (r["language"], r["profile"], r["variant"], r["shape"]): r["learning_rate"] for r in records
    }


def with_found_rates(grid: StudyGrid, layout: StudyLayout) -> StudyGrid:
    """Return the grid with the rate of each searched run that was found; the others stay as they are."""
    rates = read_rates(layout)
    return replace(grid, runs=tuple(_with_rate(run, rates.get(key_of(run))) for run in grid.runs))


def _with_rate(run: PlannedRun, rate: float | None) -> PlannedRun:
    if rate is None or not run.is_searched:
        return run
    training = changed_training(run.training, {"learning_rate": rate})
    return replace(run, training=training, is_searched=False)


def key_of(run: PlannedRun) -> tuple[str, str, str, str]:
    """Return what a learning rate is searched for: language, profile, variant and shape."""
    return (run.language, run.profile, run.variant, run.shape)
