"""Predictions of runs that were not trained, and contests of laws on held-out points."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lilliput.analysis import (
    FitOptions,
    Table,
    analyse_extrapolation,
    analyse_prediction,
    fit_parametric,
    place_of,
    write_table,
)
from lilliput.cli._frame import build_app
from lilliput.core.errors import InputError


def finished(count: int = 30, noise: float = 0.01, seed: int = 0, *, offset: float = 0.0) -> Table:
    cost = np.geomspace(1e14, 1e18, count)
    scatter = np.exp(np.random.default_rng(seed).normal(0, noise, count))
    columns = {
        "run": np.array([f"r{i}" for i in range(count)]),
        "flops_x": cost,
        "loss": (offset + 60 * cost**-0.1) * scatter,
        "is_final": np.ones(count, dtype=bool),
    }
    return Table("runs.csv", columns, np.arange(count))


def grid(noise: float = 0.0) -> Table:
    n, d = (
        v.reshape(-1) for v in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6))
    )
    loss = 1.7 + 400 / n**0.34 + 410 / d**0.28
    scatter = np.exp(np.random.default_rng(1).normal(0, noise, n.size))
    columns = {
        "run": np.array([f"r{i}" for i in range(n.size)]),
        "num_parameters": n,
        "tokens_seen": d,
        "loss": loss * scatter,
    }
    return Table("grid.csv", columns, np.arange(n.size))


FINAL = FitOptions(law="power", points="final", resamples=200)


def test_a_new_run_has_a_wider_interval_than_the_curve() -> None:
    found = analyse_prediction(finished(), [{"flops": 1e19}], options=FINAL)
    (one,) = found.predictions
    assert one.value == pytest.approx(60 * 1e19**-0.1, rel=0.02)
    assert one.low is not None and one.high is not None  # noqa: PT018
    assert one.curve_low is not None and one.curve_high is not None  # noqa: PT018
    assert one.low < one.curve_low < one.value < one.curve_high < one.high
    # The scatter is 1 % and the curve far better known: a new run scatters by about 2 % either way.
    assert (one.high - one.low) / one.value == pytest.approx(0.04, rel=0.35)
    assert one.beyond == pytest.approx(10)
    assert not any("outside the data" in warning for warning in found.warnings)


def test_a_place_far_away_is_said() -> None:
    found = analyse_prediction(finished(), [{"flops": 1e21}], options=FINAL)
    assert any("1000 times outside the data" in warning for warning in found.warnings)


def test_a_law_of_size_and_tokens_predicts_from_both_or_from_a_budget() -> None:
    options = FitOptions(law="parametric", points="all", resamples=20)
    at = [{"num_parameters": 7e9, "tokens_seen": 1.4e11}, {"flops": 6 * 7e9 * 1.4e11}]
    found = analyse_prediction(grid(), at, options=options)
    expected = 1.7 + 400 / 7e9**0.34 + 410 / 1.4e11**0.28
    assert found.predictions[0].value == pytest.approx(expected, rel=1e-5)
    assert found.predictions[1].value < expected  # The best split is at least as good.
    with pytest.raises(InputError, match="predicts from FLOPs"):
        analyse_prediction(finished(), at[:1], options=FINAL)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("flops=1e20", {"flops": 1e20}),
        ("C=3e18", {"flops": 3e18}),
        ("params=7B, tokens=140 b", {"num_parameters": 7e9, "tokens_seen": 140e9}),
        (
            "N=1e9,D=2e10,U=1e10",
            {"num_parameters": 1e9, "tokens_seen": 2e10, "unique_tokens": 1e10},
        ),
    ],
)
def test_places_are_read(text: str, place: dict[str, float]) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize("text", ["flops", "flops=-1", "colour=red", "params=7B", "flops=nan", ""])
def test_other_places_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="a place"):
        place_of(text)


@pytest.mark.slow
def test_prediction_intervals_hold_new_runs() -> None:
    held, sets = 0, 200
    rng = np.random.default_rng(5)
    for number in range(sets):
        found = analyse_prediction(finished(20, seed=number), [{"flops": 3e18}], options=FINAL)
        (one,) = found.predictions
        new = 60 * 3e18**-0.1 * float(np.exp(rng.normal(0, 0.01)))
        assert one.low is not None and one.high is not None  # noqa: PT018
        held += one.low <= new <= one.high
    assert 180 <= held <= 199


def test_the_true_law_wins_the_contest_and_a_law_without_floor_is_biased() -> None:
    table = finished(40, noise=0.001, offset=1.5)
    options = FitOptions(points="final", resamples=40)
    found = analyse_extrapolation(table, laws=["power", "power_offset"], options=options)
    scores = {score.law: score for score in found.scores}
    first, second = scores["power_offset"], scores["power"]
    assert found.scores[0] is first
    assert first.rmsle < 0.003 < second.rmsle
    assert second.bias < 0  # A law without a floor falls too far.
    assert found.chosen is not None
    assert found.chosen.law != "power"
    assert (found.n_fitted, found.n_held_out) == (28, 12)
    assert first.coverage is not None
    assert first.coverage >= 0.75


def test_held_out_points_never_reach_the_fit() -> None:
    """Spoiling the held-out half changes scores and no choice."""
    table = finished(30)
    loss = table.number("loss").copy()
    loss[21:] *= 1.5
    spoilt = table.with_columns({"loss": loss})
    options = FitOptions(points="final", resamples=0)
    clean, dirty = (
        next(
            s
            for s in analyse_extrapolation(t, laws=["power"], options=options).scores
            if s.law == "power"
        )
        for t in (table, spoilt)
    )
    assert clean.bic == dirty.bic
    assert dirty.bias == pytest.approx(clean.bias - np.log(1.5))


def test_sizes_may_be_held_out() -> None:
    options = FitOptions(points="all", resamples=0)
    found = analyse_extrapolation(
        grid(1e-4), by="params", below=1e9, laws=["parametric", "parametric_tied"], options=options
    )
    assert found.scores[0].law == "parametric"
    assert found.scores[0].rmsle < 1e-3
    assert found.reach == pytest.approx(1e10 / 1e9, rel=1e-6)
    large = grid(1e-4)
    small = large.number("num_parameters") <= 1e9
    fit = fit_parametric(
        *(large.number(c)[small] for c in ("num_parameters", "tokens_seen", "loss"))
    )
    held = ~small
    error = np.log(
        fit.predict(large.number("num_parameters")[held], large.number("tokens_seen")[held])
    )
    error -= np.log(large.number("loss")[held])
    assert found.scores[0].rmsle == pytest.approx(float(np.sqrt(np.mean(error**2))))


def test_a_cut_that_leaves_too_few_is_refused() -> None:
    with pytest.raises(InputError, match="needs 4 points to fit"):
        analyse_extrapolation(finished(), below=1e14, options=FINAL)
    with pytest.raises(InputError, match="between 0 and 1"):
        analyse_extrapolation(finished(), share=1.5, options=FINAL)


def test_the_commands(tmp_path: Path, run_text: Callable[..., str]) -> None:
    path = tmp_path / "my runs.csv"
    write_table(finished(), path)
    quick = ["--points", "final", "--resamples", "20"]
    said = run_text("predict", str(path), "--at", "flops=1e19", "--law", "power", *quick)
    assert "flops 1e+19: " in said
    last = said.splitlines()[-1]
    assert last.startswith("Next: lilliput analyse extrapolate ")
    said = run_text("extrapolate", str(path), "--law", "power", *quick)
    assert "< claimed on the fitted points" in said
    words = ["analyse", "extrapolate", str(path), "--law", "power", *quick, "--json"]
    record = json.loads(CliRunner().invoke(build_app(), words).stdout)
    assert {"scores", "by", "below", "n_fitted", "n_held_out", "warnings"} <= record.keys()


def test_the_contest_over_public_learning_curves(suites: Path) -> None:
    """Alabdulmohsin et al., arXiv 2209.06640: a floor predicts their language models far better than none."""
    import csv

    from lilliput.analysis.laws.power import fit_power, fit_power_offset

    with (suites / "revisiting" / "benchmark.lang.csv").open() as file:
        rows = {tuple(row.values()): row for row in csv.DictReader(file)}.values()
    curves: dict[str, list[tuple[float, float, int]]] = {}
    for row in rows:
        if row["Domain"] == "LM":
            point = float(row["Seen Examples"]), float(row["Loss"]), int(row["Training"])
            curves.setdefault(row["Model"], []).append(point)
    assert len(curves) == 5
    for points in curves.values():
        x, y, train = (np.array(values) for values in zip(*points, strict=True))
        fitted, held = train == 1, train == 0
        scores = [
            float(
                np.sqrt(
                    np.mean(
                        (np.log(fit(x[fitted], y[fitted]).predict(x[held])) - np.log(y[held])) ** 2
                    )
                )
            )
            for fit in (fit_power, fit_power_offset)
        ]
        assert 0.006 < scores[0] < 0.018
        assert scores[1] < scores[0] / 5
