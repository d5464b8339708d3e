"""Learning rates searched per shape: the optimum is found, its doubt is told, and the study uses it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.study.conftest import StudyCommand

from lilliput.core.errors import ConfigurationError
from lilliput.core.verification import verify
from lilliput.study import load_recipe, plan_study, read_runs
from lilliput.study.planning.learning_rates import (
    FoundRate,
    RateTrial,
    drift_with_width,
    find_rates,
)

KEY = ("english", "corrected", "", "32/32/128/2/2")
RATES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3)


def trials(best: float, *, seeds: int = 1, noise: float = 0.0, draw: int = 0) -> list[RateTrial]:
    """Losses on a parabola in the logarithm of the rate, lowest at `best`."""
    rng = np.random.default_rng(draw)
    return [
        RateTrial(KEY, rate, seed, 3 + 0.2 * math.log(rate / best) ** 2 + noise * rng.normal())
        for seed in range(seeds)
        for rate in RATES
    ]


@pytest.mark.parametrize("best", [6e-4, 1.1e-3, 3.3e-3])
def test_the_optimum_between_the_rates_is_recovered(best: float) -> None:
    (found,) = find_rates(trials(best))
    assert found.learning_rate == pytest.approx(best, rel=2e-3)  # Three digits are kept.
    assert found.low < best < found.high
    assert not found.is_at_edge


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    best, repetitions, seeds = 1.3e-3, 120, 6
    covered = sum(
        one.low <= best <= one.high
        for draw in range(repetitions)
        for one in find_rates(trials(best, seeds=seeds, noise=0.02, draw=draw))
    )
    # A percentile bootstrap of six seeds is known to be too narrow: nominal 0.95, in truth near 0.87.
    assert covered / repetitions > 0.75
    assert covered < repetitions


def test_an_optimum_beyond_the_rates_says_so() -> None:
    (found,) = find_rates(trials(5e-2))
    assert found.is_at_edge
    assert found.learning_rate == max(RATES)


def test_rates_that_diverge_are_never_chosen() -> None:
    good = trials(8e-3)
    spoiled = [
        RateTrial(t.key, t.learning_rate, t.seed, math.inf if t.learning_rate > 3e-3 else t.loss)
        for t in good
    ]
    (found,) = find_rates(spoiled)
    assert found.learning_rate == 2e-3
    assert not found.is_at_edge


def test_the_drift_with_width_is_recovered() -> None:
    def found(width: int) -> FoundRate:
        key = ("english", "corrected", "", f"{width}/{width}/64/1/1")
        return FoundRate(key, 1e-2 * (width / 32) ** -0.7, 0, 0, 1, False)

    (drift,) = drift_with_width([found(width) for width in (16, 32, 64, 128)])
    assert drift["slope"] == pytest.approx(-0.7)
    assert drift["low"] <= drift["slope"] <= drift["high"]
    (none,) = drift_with_width([found(16), found(32)])
    assert none["slope"] is None


def test_a_study_finds_and_uses_a_rate_for_each_shape(recipe_file: Path, tmp_path: Path) -> None:
    text = recipe_file.read_text().replace(
        'shapes = ["8/8/16/1/1", "8/16/32/2/1"]',
        'shapes = ["8/8/16/1/1", "8/16/32/2/1"]\nlearning_rates = "search"',
    )
    # The sweep of a shape is one fleet.
    text = text.replace('dtype = "float32"', 'dtype = "float32"\nfleet_size = 3')
    text += "\n[search]\nlearning_rates = [1e-4, 1e-2, 1e30]\nmax_steps = 20\n"
    path = tmp_path / "search.toml"
    path.write_text(text)
    study = StudyCommand(path, tmp_path / "study")
    before = plan_study(load_recipe(str(path)), study.out)
    assert (before.runs, before.search_runs) == (4, 6)
    code, record = study.finish("--executor", "inline")
    assert (code, record["runs"], record["done"]) == (0, 4, 4)
    found = json.loads((study.out / "search" / "found.json").read_text())
    rates = {one["shape"]: one["learning_rate"] for one in found["rates"]}
    assert all(1e-4 <= rate <= 1e-2 for rate in rates.values())
    used = {
        (run.info["shape"], run.config["training"]["learning_rate"]) for run in read_runs(study.out)
    }
    assert used == set(rates.items())
    assert [t["loss"] for t in found["trials"] if t["learning_rate"] == 1e30] == [None, None]
    fleets = {
        len(json.loads(p.read_text())["fleet"]) for p in study.out.glob("search/runs/*/plan.json")
    }
    assert fleets == {3}
    # Of a trial its loss is wanted: no weights are kept.
    done = [path.parent for path in study.out.glob("search/runs/*/manifest.json")]
    assert len(done) == 4
    assert not [path for run in done for path in run.rglob("*.safetensors")]
    assert verify(study.out).mismatches == ()
    code, record = study.finish("--executor", "inline")
    assert (code, record["skipped"], record["search_runs"]) == (0, 4, 0)
    # Trials tell how fast a shape is before a run of the study does.
    shutil.rmtree(study.out / "runs")
    after = plan_study(load_recipe(str(path)), study.out)
    assert (after.search_runs, after.done) == (0, 0)
    assert "2 shapes measured" in after.basis


def test_a_search_needs_its_table_and_rising_rates(recipe_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    asked = recipe_file.read_text().replace("seeds = [0, 1]", 'learning_rates = "search"')
    path.write_text(asked)
    with pytest.raises(ConfigurationError, match=r"needs the table \[search\]"):
        load_recipe(str(path))
    path.write_text(asked + "\n[search]\nlearning_rates = [1e-3, 1e-4, 1e-2]\n")
    with pytest.raises(ConfigurationError, match="must rise"):
        load_recipe(str(path))
