"""What a plan estimates, and that the estimates come true."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.study.conftest import StudyCommand

from lilliput.architecture import count_parameters
from lilliput.cli import study as study_verbs
from lilliput.core.artefacts import building, read_manifest
from lilliput.core.errors import RunsFailedError
from lilliput.core.files import read_json, write_json
from lilliput.core.settings import parse_settings
from lilliput.study import Recipe, load_recipe, plan_study
from lilliput.study.pipeline.live_progress import sparkline
from lilliput.study.planning.estimates import run_flops, run_tokens
from lilliput.study.planning.packing import DeviceSharing, pack_runs
from lilliput.study.planning.probe import MeasuredSpeed, cached_probe, probe_key, probe_shapes
from lilliput.study.planning.resources import estimate_disk, estimate_memory
from lilliput.study.recipe.expansion import expand_recipe
from lilliput.training import RunConfig, train


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lilliput" / "probes"


def test_a_probe_is_made_once_and_narrows_the_plan(
    recipe_file: Path, cache: Path, tmp_path: Path
) -> None:
    study = StudyCommand(recipe_file, tmp_path / "study")
    _, guess = study.finish("--workers", "1", verb="plan")
    code, probed = study.finish("--workers", "1", "--probe", verb="plan")
    assert code == 0
    assert len(list(cache.glob("*.json"))) == 2  # Two shapes; their seeds share a measurement.
    assert "2 probes" in probed["basis"]
    assert probed["hours"]["high"] / probed["hours"]["low"] < 3
    assert guess["hours"]["high"] / guess["hours"]["low"] > 50
    before = {path: path.stat().st_mtime_ns for path in cache.glob("*.json")}
    _, again = study.finish("--workers", "1", verb="plan")
    assert again["hours"] == probed["hours"]
    assert before == {path: path.stat().st_mtime_ns for path in cache.glob("*.json")}
    assert not (tmp_path / "study").exists()
    for path in before:
        measured = MeasuredSpeed(**read_json(path))
        assert measured.tokens_per_s > 0
        assert measured.memory_bytes > 1e8  # An interpreter with torch.


def test_memory_is_estimated_within_its_range(recipe_file: Path, cache: Path) -> None:
    config = expand_recipe(load_recipe(str(recipe_file))).runs[0].config(300)
    ((_, measured),) = probe_shapes([config], 1).items()
    estimate = estimate_memory(config, 1)
    assert estimate.low / 1.5 < measured.memory_bytes < estimate.high * 1.5
    assert cached_probe(config, 1) == measured
    assert cached_probe(config, 2) is None  # Neighbours change what a core gives.


def test_each_thread_is_estimated_to_take_the_memory_of_a_replica(recipe_file: Path) -> None:
    base = expand_recipe(load_recipe(str(recipe_file))).runs[0].config(300)

    def beside_idle(worker_threads: int, **changes: Any) -> float:
        training = base.training.model_copy(update={"threads": None} | changes)
        found = estimate_memory(base.model_copy(update={"training": training}), worker_threads)
        return 2 * (found.value - found.low)

    # A small batch is only cut finer: what is added is gradients, and weights cast for the products.
    parameters = count_parameters(base.built_model()).total
    added = beside_idle(4, global_batch_size=4) - beside_idle(1, global_batch_size=4)
    assert added == pytest.approx(4 * 3 * 2 * parameters, abs=1)
    one = beside_idle(1, global_batch_size=1024, per_device_train_batch_size=64)
    assert beside_idle(4, global_batch_size=1024) == pytest.approx(4 * one, rel=0.1)
    assert beside_idle(4, global_batch_size=1024, threads=1) == one


def test_a_longer_run_is_the_same_probe_and_a_wider_batch_is_not(recipe_file: Path) -> None:
    config = expand_recipe(load_recipe(str(recipe_file))).runs[0].config(300)

    def key(**changes: Any) -> str:
        training = config.training.model_copy(update=changes)
        return probe_key(config.model_copy(update={"training": training}), 1)

    assert key(max_steps=999, learning_rate=0.5) == key()
    assert key(global_batch_size=8) != key()
    assert key(threads=2) != key()


def test_disk_is_estimated_within_its_range(finished_study: Path, recipe_file: Path) -> None:
    for run in expand_recipe(load_recipe(str(recipe_file))).runs:
        (folder,) = (
            path.parent
            for path in finished_study.glob("runs/*/run.json")
            if read_json(path)["info"]["name"] == run.name
        )
        taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        estimate = estimate_disk(run.config(300))
        assert estimate.low <= taken <= estimate.high


def test_a_plan_says_how_many_runs_share_a_device(recipe_file: Path, tmp_path: Path) -> None:
    plan = plan_study(load_recipe(str(recipe_file)), tmp_path / "none", 2, pack=True)
    assert plan.packing is not None
    assert plan.packing.runs_per_device >= 1
    assert plan_study(load_recipe(str(recipe_file)), tmp_path / "none").packing is None


def test_packing_follows_the_memory_of_the_device(
    recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [run.config(300) for run in expand_recipe(load_recipe(str(recipe_file))).runs]
    sizes = [(4e9, "small"), (80e9, "large")]
    monkeypatch.setattr("lilliput.study.planning.packing._gpus", lambda: sizes)
    small = pack_runs(configs, 1)
    assert small.device == "small"  # A run may land on any device.
    assert 1 <= small.runs_per_device < 8
    monkeypatch.setattr("lilliput.study.planning.packing._gpus", lambda: sizes[1:])
    assert pack_runs(configs, 1) == DeviceSharing("large", 16)
    assert DeviceSharing("large", 16).num_gpus == 1 / 16
    monkeypatch.setattr("lilliput.study.planning.packing._gpus", lambda: [(1e8, "tiny")])
    assert pack_runs(configs, 1).num_gpus == 1.0


def test_a_sparkline_falls_as_the_loss_does() -> None:
    assert sparkline([4.0, 3.0, 2.0, 1.0]) == "█▆▃▁"
    assert sparkline([]) == ""
    assert len(sparkline([float(i) for i in range(1000)])) == 12
    assert sparkline([2.0, float("inf"), 2.0]) == "▁▁"


SHAPE, LARGER = "8/8/16/1/1", "8/16/32/2/1"


def grid_of(recipe_file: Path, block: str, *more: str) -> Recipe:
    return load_recipe(str(recipe_file), [f"grid=[{{languages=['invented'],{block}}}]", *more])


def hours_of(recipe: Recipe, out: Path, workers: int) -> tuple[float, ...]:
    """Value, lower and upper end."""
    hours = plan_study(recipe, out, workers).hours
    assert hours is not None
    return hours.value, hours.low, hours.high


def test_no_run_is_shared_by_workers(recipe_file: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "none"
    one = grid_of(recipe_file, f"seeds=[0],shapes=['{SHAPE}']")
    alone = hours_of(one, out, 1)
    assert hours_of(one, out, 16) == pytest.approx(alone)
    four = grid_of(recipe_file, f"seeds=[0,1,2,3],shapes=['{SHAPE}']")
    assert hours_of(four, out, 2) == pytest.approx([2 * hours for hours in alone])
    assert hours_of(four, out, 16) == pytest.approx(alone)
    # The larger run takes longer than half of both.
    both = grid_of(recipe_file, f"seeds=[0],shapes=['{SHAPE}','{LARGER}']")
    larger = hours_of(grid_of(recipe_file, f"seeds=[0],shapes=['{LARGER}']"), out, 1)
    assert hours_of(both, out, 2) == pytest.approx(larger)
    assert hours_of(both, out, 1) == pytest.approx(
        [a + b for a, b in zip(alone, larger, strict=True)]
    )


def test_runs_trained_as_one_are_not_shared_by_workers(
    recipe_file: Path, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "none"
    seeds = f"seeds=[0,1,2,3],shapes=['{SHAPE}']"
    fleets = grid_of(recipe_file, seeds, "training.fleet_size=3")
    # Four runs in fleets of at most three are two fleets of two.
    assert hours_of(fleets, out, 16) == pytest.approx(
        [2 * hours for hours in hours_of(grid_of(recipe_file, seeds), out, 16)]
    )
    decaying = ("training.lr_scheduler_type='warmup_stable_decay'", "training.warmup_steps=4")
    trunk = grid_of(recipe_file, f"seeds=[0],budgets=[40,80],shapes=['{SHAPE}']", *decaying)
    assert hours_of(trunk, out, 16) == pytest.approx(hours_of(trunk, out, 1))


SEARCH = ("search.learning_rates=[1e-4,1e-3,1e-2]", "search.max_steps=20")


def test_the_search_is_counted_until_it_is_done(
    recipe_file: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    given = f"seeds=[0],shapes=['{SHAPE}','{LARGER}']"
    searched = grid_of(recipe_file, f"{given},learning_rates='search'", *SEARCH)
    plain, whole = plan_study(grid_of(recipe_file, given), out, 16), plan_study(searched, out, 16)
    # Three trials of 20 steps a shape, beside a run of 300.
    assert (whole.runs, whole.search_runs) == (2, 6)
    assert plain.tokens is not None
    assert whole.tokens == pytest.approx(plain.tokens * (1 + 3 * 20 / 300))
    for name, flops in plain.flops.items():
        assert whole.flops[name] == pytest.approx(flops * (1 + 3 * 20 / 300))
    assert whole.disk.value == pytest.approx(4 * plain.disk.value)
    # All trials at once, and then all runs.
    longest = hours_of(grid_of(recipe_file, f"seeds=[0],shapes=['{LARGER}']"), out, 1)
    expected = [hours * (1 + 20 / 300) for hours in longest]
    assert hours_of(searched, out, 16) == pytest.approx(expected)

    assignments = [f"grid=[{{languages=['invented'],{given},learning_rates='search'}}]", *SEARCH]
    study_verbs.plan(str(recipe_file), out, assignments, workers=1)
    printed = capsys.readouterr().out
    assert "before them, to search learning rates: 6 short runs" in printed
    assert "time of training: " in printed
    assert "scoring is not counted" in printed

    with building(out / "search", "search", 1, {}):
        write_json(
            out / "search" / "found.json",
            {"rates": [{"language": "invented", "profile": "corrected", "variant": "", "shape": shape,
                        "learning_rate": 1e-3} for shape in (SHAPE, LARGER)]},
        )  # fmt: skip
    after = plan_study(searched, out, 16)
    assert (after.search_runs, after.tokens, after.flops) == (0, plain.tokens, plain.flops)
    assert (after.hours, after.disk) == (plain.hours, plain.disk)


def test_a_plan_names_the_command_that_runs_it(
    recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_run = "grid=[{languages=['invented'],shapes=['8/8/16/1/1']}]"
    out = tmp_path / "a study"
    study_verbs.plan(str(recipe_file), out, [one_run, "training.max_steps=7"], workers=1)
    printed = capsys.readouterr().out
    assert "1 run, 0 done, 0 failed" in printed
    command = printed.splitlines()[-1].removeprefix("Next: ")
    assert shlex.split(command) == [
        "lilliput", "study", "run", str(recipe_file), "--out", str(out), "--set", one_run,
        "--set", "training.max_steps=7", "--workers", "1",
    ]  # fmt: skip


def test_a_failed_study_names_the_command_that_takes_it_again(
    recipe_file: Path, tmp_path: Path
) -> None:
    wild = [
        "training.learning_rate=1e30",
        "training.switches.max_grad_norm=0",
        "training.max_steps=20",
    ]
    with pytest.raises(RunsFailedError) as caught:
        study_verbs.run(str(recipe_file), tmp_path / "study", wild, "inline", as_json=True)
    assert f"lilliput study retry {recipe_file} " in caught.value.remedy
    assert f" --set {wild[0]}" in caught.value.remedy


@pytest.mark.parametrize("scores_padding", [False, True])
def test_the_planned_operations_are_those_that_a_run_executes(
    finished_study: Path, tmp_path: Path, scores_padding: bool
) -> None:
    # A run that scores its pads executes several times what one without them does.
    tokens = next((finished_study / "tokens").iterdir())
    run = read_json(next((finished_study / "runs").glob("*/run.json")))
    config = parse_settings(RunConfig, run["config"])
    switches = config.training.switches.model_copy(update={"score_padding": scores_padding})
    training = {"max_seq_length": 128, "max_steps": 60, "max_tokens": None, "switches": switches}
    config = config.model_copy(
        update={
            "model": config.model.model_copy(update={"max_position_embeddings": 160}),
            "training": config.training.model_copy(update=training),
        }
    )
    train(config, tokens, tmp_path / "run")

    facts = read_manifest(tokens).facts
    budget = run_tokens(config, facts)
    assert budget is not None
    executed = read_json(tmp_path / "run" / "result.json")
    estimate = run_flops(config, budget, facts)["flops_executed_masked"]
    # Predicted from the mean length of a sequence.
    assert estimate == pytest.approx(executed["flops_executed_masked"], rel=0.08)


def test_a_plan_says_that_there_is_too_little_text(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(recipe_file))
    (remark,) = plan_study(recipe, tmp_path / "none").remarks
    size = (recipe_file.parent / "text.jsonl").stat().st_size
    assert remark.startswith("languages.invented: about ")
    assert (
        f"about {round(size / 6, -2 if size < 60_000 else -3):,.0f} words at most in 1 file; 50,000"
        in remark
    )
    more = tmp_path / "more.txt"
    more.write_text("a word " * 60_000)
    enough = load_recipe(str(recipe_file), [f"languages.invented.sources=['{more}']"])
    assert plan_study(enough, tmp_path / "none").remarks == ()
