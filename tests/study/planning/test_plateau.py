"""Before a study runs: which families are likely to end on the plateau of token frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lilliput.core.artefacts import building
from lilliput.core.files import write_json, write_json_lines
from lilliput.study import load_recipe
from lilliput.study.planning.estimates import estimate_runs
from lilliput.study.planning.plateau import (
    PlateauForecast,
    forecast_plateaus,
    plateau_warnings,
)
from lilliput.study.recipe.expansion import expand_recipe
from lilliput.study.store.layout import StudyLayout

ENTROPY = 6.0


def forecasts(
    recipe: str, *changes: str, folder: Path = Path("none")
) -> dict[str, PlateauForecast]:
    grid, layout = expand_recipe(load_recipe(recipe, changes)), StudyLayout(folder)
    return {each.family: each for each in forecast_plateaus(estimate_runs(grid, layout), layout)}


def test_two_profiles_on_two_cores_would_have_been_warned():
    found = forecasts("two-profiles", "scale=cpu", "paths.data=data")
    stays = {family for family, each in found.items() if each.likely_to_stay}
    for frontier in ("reference", "corrected"):
        assert f"constrained {frontier}" in stays
    # All rotary frontiers with the larger start left; results/two-profiles has 70 runs with learned positions that did not.
    assert "constrained corrected rotary with start" not in stays
    assert "constrained corrected rotary" in {f for f, each in found.items() if each.left}
    warning = next(
        w for w in plateau_warnings(list(found.values())) if "constrained corrected;" in w
    )
    assert "likely to end on the plateau of token frequencies" in warning
    assert "1,200,000 tokens" in warning
    assert "had left within 1,102 steps" in warning


@pytest.mark.parametrize("scale", ["full", "afternoon"])
def test_break_is_not_warned_and_short_branches_do_not_count(scale: str):
    found = forecasts("break", *([] if scale == "full" else [f"scale={scale}"]))
    assert plateau_warnings(list(found.values())) == []
    rotary = found["constrained corrected rotary"]
    assert rotary.steps == (8000 if scale == "full" else 4000)
    assert rotary.likely_to_stay is False
    # Longer than any run with learned positions that is known to have stayed: nothing is said.
    assert found["constrained corrected learned"].likely_to_stay is None


def test_the_quickstart_is_not_warned():
    assert plateau_warnings(list(forecasts("quickstart").values())) == []


def test_causal_models_are_not_asked():
    assert forecasts("mini-gpt", "paths.data=data") == {}


def finished_run(
    folder: Path, name: str, rotary: bool, losses: Sequence[tuple[int, float]]
) -> None:
    """A finished run of 32 sequences a step, written by hand."""
    model: dict[str, Any] = {
        "position_embedding_type": "rotary" if rotary else "learned",
        "norm_position": "pre",
    }
    training = {
        "switches": {"initialization": "xavier" if rotary else "normal"},
        "profile": "corrected",
        "learning_rate": 4e-3 if rotary else 2e-3,
        "global_batch_size": 16,
    }
    with building(folder / "runs" / name, "run", 1, {"name": name}) as build:
        config = {"model": model, "training": training, "seed": 0}
        write_json(build.path("run.json"), {"config": config, "info": {}})
        write_json(build.path("result.json"), {"unigram_entropy": ENTROPY})
        points = [{"step": s, "tokens_seen": 500 * s, "loss": loss} for s, loss in losses]
        write_json_lines(build.path("metrics.jsonl"), points)


def test_finished_runs_of_the_study_speak_before_the_built_in_record(tmp_path: Path):
    finished_run(tmp_path, "slow", True, [(1000, 6.1), (4000, 5.9), (16000, 5.1), (20000, 5.0)])
    finished_run(tmp_path, "stuck", False, [(1000, 6.1), (50000, 5.9), (50001, 5.9)])
    found = forecasts("break", folder=tmp_path)
    rotary = found["constrained corrected rotary"]
    assert (rotary.comparable, rotary.left) == (1, 1)
    assert rotary.known_steps == pytest.approx(8000, rel=1e-6)  # Half-way, in the logarithm.
    assert rotary.likely_to_stay is False
    learned = found["constrained corrected learned"]
    assert (learned.known_steps, learned.likely_to_stay) == (50001, True)
    (warning,) = plateau_warnings(list(found.values()))
    assert "constrained corrected learned; constrained reference: the longest run has" in warning
    assert "the one comparable run had not left within 50,001 steps" in warning
    assert "(finished runs of this study)" in warning
    short = forecasts("break", "scale=afternoon", folder=tmp_path)
    assert short["constrained corrected rotary"].likely_to_stay is True
