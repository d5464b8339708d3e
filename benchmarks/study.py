"""What the study machinery costs: planning, listing, the overhead of a run, Ray against processes.

    python benchmarks/study.py planning listing overhead ray
    python benchmarks/study.py overhead --runs 4 --steps 20 --rounds 1

Ratios are of medians over rounds in which both sides took turns in this very call. No round is begun that would not end
within `--minutes` a part.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from _study_recipe import write_recipe

# A worker trains one run at a time, as the plain calls here do.
ONE_BY_ONE = ["training.fleet_size=1"]


def spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f}, n={len(seconds)})"


def rounds_of(given: argparse.Namespace) -> Iterator[int]:
    """The numbers of the rounds, while there is time for another one."""
    begun = time.perf_counter()
    for turn in range(given.rounds):
        spent = time.perf_counter() - begun
        if turn and spent * (turn + 1) / turn > 60 * given.minutes:
            return
        yield turn


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def planning(folder: Path, given: argparse.Namespace) -> None:
    """A fresh process that plans the paper's 252 runs, and one that imports the package."""
    importing = "import lilliput.study, lilliput.architecture, lilliput.training"
    plan = (
        "from pathlib import Path; from lilliput.study import load_recipe; "
        "from lilliput.study.planning.plan import plan_grid; "
        "from lilliput.study.recipe.expansion import expand_recipe; "
        f"plan_grid(expand_recipe(load_recipe('paper')), Path({str(folder / 'none')!r}))"
    )
    sides: dict[str, list[float]] = {"import": [], "plan": []}
    for _ in range(given.rounds + 1):
        for name, code in (("import", importing), ("plan", plan)):
            command = [sys.executable, "-c", code]
            sides[name].append(timed(lambda c=command: subprocess.run(c, check=True)))
    warm = {name: seconds[1:] for name, seconds in sides.items()}
    ratio = statistics.median(warm["plan"]) / statistics.median(warm["import"])
    print(f"import the package   {spread(warm['import'])}")
    print(f"plan `paper`         {spread(warm['plan'])}, {ratio:.2f}x the import")


def listing(folder: Path, given: argparse.Namespace, runs: int = 10_000) -> None:
    """The first and the second listing of 10,000 runs."""
    from lilliput.core.artefacts import building
    from lilliput.core.files import write_json
    from lilliput.study import run_index

    out = folder / "many"
    config = {
        "model": {"layout": "mini-bert", "hidden_size": 32},
        "training": {"learning_rate": 1e-3},
    }
    for number in range(runs):
        run = out / "runs" / f"{number:016x}"
        record = {"config": config | {"seed": number}, "info": {"name": f"run {number}"}}
        with building(run, "run", 1, {"number": number}) as build:
            write_json(build.path("run.json"), record)
            write_json(build.path("result.json"), {"loss": float(number), "steps": 1})
    time.sleep(4)  # Folders younger than the index trusts would be read again.
    first = timed(lambda: run_index(out))
    later = [timed(lambda: run_index(out)) for _ in range(given.rounds)]
    print(f"{runs:,} runs: first listing {first:.2f} s, later ones {spread(later)}")


def overhead(folder: Path, given: argparse.Namespace) -> None:
    """A study's runs, against the same runs trained by plain calls in one process."""
    from lilliput.core.executors import InlineExecutor
    from lilliput.core.progress import SILENT
    from lilliput.core.settings import parse_settings
    from lilliput.study import load_recipe, run_study
    from lilliput.study.pipeline.context import StudyContext
    from lilliput.study.pipeline.stages.training import run_tasks
    from lilliput.study.recipe.expansion import expand_recipe
    from lilliput.study.store.layout import StudyLayout
    from lilliput.training import RunConfig, train

    runs = given.runs or 20
    recipe = load_recipe(str(write_recipe(folder, runs=runs, steps=given.steps or 150)), ONE_BY_ONE)
    # The texts and the first import of everything, for one run of one update.
    data = folder / "data"
    run_study(
        load_recipe(str(write_recipe(folder, runs=1, steps=1)), ONE_BY_ONE), data, executor="inline"
    )
    tasks = run_tasks(
        StudyContext(expand_recipe(recipe), StudyLayout(data), InlineExecutor(), SILENT)
    )
    configs = [parse_settings(RunConfig, task.config) for task in tasks]
    sides: dict[str, list[float]] = {"study": [], "plain": []}
    for turn in rounds_of(given):
        out = folder / f"study-{turn}"
        for part in ("vocabulary", "corpora", "tokenizers", "tokens"):
            shutil.copytree(data / part, out / part)
        sides["study"].append(timed(lambda place=out: _training_of(recipe, place)))

        def train_all(place: Path = folder / f"plain-{turn}") -> None:
            for number, (config, task) in enumerate(zip(configs, tasks, strict=True)):
                train(config, task.tokens, place / str(number))

        sides["plain"].append(timed(train_all))
    study, plain = (statistics.median(sides[name]) for name in ("study", "plain"))
    print(f"{len(tasks)} runs in a study        {spread(sides['study'])}")
    print(f"{len(tasks)} runs by plain calls    {spread(sides['plain'])}")
    extra = (study - plain) / len(tasks)
    print(f"overhead                {(study - plain) / study:.2%}, {extra:.3f} s a run")
    print("               of which machinery alone, a finished study again:")
    again = [timed(lambda: _training_of(recipe, folder / "study-0")) for _ in range(3)]
    print(
        f"                        {spread(again)}, {statistics.median(again) / study:.2%}, {statistics.median(again) / len(tasks):.3f} s a run"
    )


def _training_of(recipe: object, out: Path) -> None:
    """All that a study does for its runs, with every stage before them done."""
    from lilliput.core.executors import InlineExecutor
    from lilliput.core.progress import SILENT
    from lilliput.study.pipeline.context import StudyContext
    from lilliput.study.pipeline.stages.tokenizers import build_tokenizers
    from lilliput.study.pipeline.stages.training import train_runs
    from lilliput.study.planning.plan import plan_grid
    from lilliput.study.recipe.expansion import expand_recipe
    from lilliput.study.store.layout import StudyLayout

    grid = expand_recipe(recipe)  # pyright: ignore
    context = StudyContext(grid, StudyLayout(out), InlineExecutor(), SILENT)
    build_tokenizers(context)
    train_runs(context)
    plan_grid(grid, out)


def ray(folder: Path, given: argparse.Namespace) -> None:
    """Corpus and a 12-run sweep with two workers: processes, and a Ray cluster already started."""
    import ray as ray_library

    from lilliput.study import load_recipe, run_study

    ray_library.init(
        address="local",
        num_cpus=2,
        object_store_memory=80_000_000,
        include_dashboard=False,
        log_to_driver=False,
    )
    recipe = load_recipe(
        str(write_recipe(folder, runs=given.runs or 12, steps=given.steps or 300)), ONE_BY_ONE
    )
    sides: dict[str, list[float]] = {"process": [], "ray": []}
    for turn in rounds_of(given):
        for name, seconds in sides.items():
            out = folder / f"{name}-{turn}"
            seconds.append(timed(lambda n=name, o=out: run_study(recipe, o, executor=n, workers=2)))
    ray_library.shutdown()
    ratio = statistics.median(sides["process"]) / statistics.median(sides["ray"])
    for name, seconds in sides.items():
        print(f"{given.runs or 12} runs, {name:<8} {spread(seconds)}")
    print(f"Ray reaches {ratio:.2f}x the speed of processes")


def main() -> None:
    parts = {"planning": planning, "listing": listing, "overhead": overhead, "ray": ray}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts), choices=list(parts))
    parser.add_argument("--runs", type=int, help="of a study; 20 for overhead, 12 for ray")
    parser.add_argument("--steps", type=int, help="updates a run; 150 for overhead, 300 for ray")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=8.0, help="of the rounds of a part")
    given = parser.parse_args()
    for name in given.parts:
        with tempfile.TemporaryDirectory(prefix="lilliput-bench-") as folder:
            parts[name](Path(folder), given)


if __name__ == "__main__":
    main()
