"""What the study machinery costs: planning, listing, the overhead of a run, Ray against processes.

    python benchmarks/study.py planning listing overhead ray

Ratios are of medians over rounds in which both sides took turns in this very call.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _study_recipe import write_recipe

ROUNDS = 5
# A worker trains one run at a time, as the plain calls here do.
ONE_BY_ONE = ["training.fleet_size=1"]


def spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f}, n={len(seconds)})"


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def planning(folder: Path) -> None:
    """A fresh process that plans the paper's 252 runs, and one that imports the package."""
    importing = "import lilliput.study, lilliput.architecture, lilliput.training"
    plan = (
        "from pathlib import Path; from lilliput.study import load_recipe, plan_study; "
        f"plan_study(load_recipe('paper'), Path({str(folder / 'none')!r}))"
    )
    sides: dict[str, list[float]] = {"import": [], "plan": []}
    for _ in range(ROUNDS + 1):
        for name, code in (("import", importing), ("plan", plan)):
            command = [sys.executable, "-c", code]
            sides[name].append(timed(lambda c=command: subprocess.run(c, check=True)))
    warm = {name: seconds[1:] for name, seconds in sides.items()}
    ratio = statistics.median(warm["plan"]) / statistics.median(warm["import"])
    print(f"import the package   {spread(warm['import'])}")
    print(f"plan `paper`         {spread(warm['plan'])}, {ratio:.2f}x the import")


def listing(folder: Path, runs: int = 10_000) -> None:
    """The first and the second listing of 10,000 runs."""
    from lilliput.study import run_index

    out = folder / "many"
    config = {
        "model": {"layout": "mini-bert", "hidden_size": 32},
        "training": {"learning_rate": 1e-3},
    }
    for number in range(runs):
        run = out / "runs" / f"{number:016x}"
        run.mkdir(parents=True)
        record = {"config": config | {"seed": number}, "info": {"name": f"run {number}"}}
        (run / "run.json").write_text(json.dumps(record))
        (run / "result.json").write_text(json.dumps({"loss": float(number), "steps": 1}))
        (run / "manifest.json").write_text("{}")
    time.sleep(4)  # Folders younger than the index trusts would be read again.
    first = timed(lambda: run_index(out))
    later = [timed(lambda: run_index(out)) for _ in range(ROUNDS)]
    print(f"{runs:,} runs: first listing {first:.2f} s, later ones {spread(later)}")


def overhead(folder: Path) -> None:
    """A 20-run study, against the same 20 runs trained by plain calls in one process."""
    from lilliput.core.executors import InlineExecutor
    from lilliput.core.progress import SILENT
    from lilliput.core.settings import parse_settings
    from lilliput.study import load_recipe, run_study
    from lilliput.study.context import StudyContext
    from lilliput.study.layout import StudyLayout
    from lilliput.study.stages.training import run_tasks
    from lilliput.training import RunConfig, train

    recipe = load_recipe(str(write_recipe(folder, runs=20, steps=250)), ONE_BY_ONE)
    out = folder / "study"
    run_study(recipe, out, executor="inline")
    tasks = run_tasks(StudyContext(recipe, StudyLayout(out), InlineExecutor(), SILENT))
    sides: dict[str, list[float]] = {"study": [], "plain": [], "again": []}

    def forget() -> None:
        for part in ("runs", "tables", "analysis"):
            shutil.rmtree(out / part)
        (out / "manifest.json").unlink()
        manifest = {"kind": "study", "id": claim}
        (out / "building.json").write_text(json.dumps(manifest))

    claim = json.loads((out / "manifest.json").read_text())["id"]
    configs = [parse_settings(RunConfig, task.config) for task in tasks]
    for turn in range(3):
        forget()
        sides["study"].append(timed(lambda: _training_of(recipe, out)))
        plain = folder / f"plain-{turn}"

        def train_all(place: Path = plain) -> None:
            for number, (config, task) in enumerate(zip(configs, tasks, strict=True)):
                train(config, task.tokens, place / str(number))

        sides["plain"].append(timed(train_all))
        run_study(recipe, out, executor="inline")
        sides["again"].append(timed(lambda: run_study(recipe, out, executor="inline")))
    study, plain_s = (statistics.median(sides[name]) for name in ("study", "plain"))
    print(f"20 runs in a study        {spread(sides['study'])}")
    print(f"20 runs by plain calls    {spread(sides['plain'])}")
    print(
        f"overhead                  {(study - plain_s) / study:.2%}, {(study - plain_s) / 20:.3f} s a run"
    )
    print(
        f"a finished study again    {spread(sides['again'])}, {statistics.median(sides['again']) / 20:.3f} s a run"
    )


def _training_of(recipe: object, out: Path) -> None:
    """All that a study does for its runs, with every stage before them done."""
    from lilliput.core.executors import InlineExecutor
    from lilliput.core.progress import SILENT
    from lilliput.study import plan_study
    from lilliput.study.context import StudyContext
    from lilliput.study.layout import StudyLayout
    from lilliput.study.stages.tokenizers import build_tokenizers
    from lilliput.study.stages.training import train_runs

    context = StudyContext(recipe, StudyLayout(out), InlineExecutor(), SILENT)  # pyright: ignore
    build_tokenizers(context)
    train_runs(context)
    plan_study(recipe, out)  # pyright: ignore


def ray(folder: Path) -> None:
    """Corpus and a 12-run sweep with two workers: processes, and a Ray cluster already started."""
    import ray as ray_library

    from lilliput.study import load_recipe, run_study

    ray_library.init(
        num_cpus=2, object_store_memory=80_000_000, include_dashboard=False, log_to_driver=False
    )
    recipe = load_recipe(str(write_recipe(folder, runs=12, steps=400)), ONE_BY_ONE)
    sides: dict[str, list[float]] = {"process": [], "ray": []}
    for turn in range(3):
        for name, seconds in sides.items():
            out = folder / f"{name}-{turn}"
            seconds.append(timed(lambda n=name, o=out: run_study(recipe, o, executor=n, workers=2)))
    ray_library.shutdown()
    ratio = statistics.median(sides["process"]) / statistics.median(sides["ray"])
    for name, seconds in sides.items():
        print(f"12 runs, {name:<8} {spread(seconds)}")
    print(f"Ray reaches {ratio:.2f}x the speed of processes")


def main() -> None:
    parts = {"planning": planning, "listing": listing, "overhead": overhead, "ray": ray}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(parts), choices=list(parts))
    for name in parser.parse_args().parts:
        with tempfile.TemporaryDirectory(prefix="lilliput-bench-") as folder:
            parts[name](Path(folder))


if __name__ == "__main__":
    main()
