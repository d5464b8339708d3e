"""A study whose workers and drivers are killed at random, against an undisturbed one.

    python benchmarks/study_chaos.py --runs 40 --minutes 60 [--executor ray]
    python benchmarks/study_chaos.py --runs 40 --minutes 60 --texts stories.parquet babylm_samples/*.parquet --vocabulary words.csv
    python benchmarks/study_chaos.py --runs 8 --minutes 5 --workers 1 --threads 2

The texts are filtered by the vocabulary; without them the text is invented. It takes about one and a half times the
minutes given. For so many minutes something is killed every few seconds: a worker (kill -9), the driver (kill -9), or the
driver is asked to end (SIGTERM); after the last two the same command is given again. In the end all runs must
be done, and every file but those that hold times must equal the undisturbed study's, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from _study_recipe import write_recipe

from lilliput.core.hashing import file_hash
from lilliput.core.verification import verify
from lilliput.study import load_recipe
from lilliput.study.planning.probe import probe_key, probe_shapes
from lilliput.study.recipe.expansion import expand_recipe

PARTS = ("vocabulary", "corpora", "tokenizers", "tokens", "runs", "evaluations")
TIMED = {"result.json", "metrics.jsonl", "plan.json", "manifest.json"}
BLOWS = {"worker": 0.8, "driver": 0.1, "sigterm": 0.1}
# Most blows wait until the study has moved since the last one: where a start takes longer than the time between
# blows, none would ever fall on a run.
PATIENT = 0.75


def contents(study: Path) -> dict[str, str]:
    """Path of every file that must not depend on what was killed, to its hash."""
    files = (p for part in PARTS for p in (study / part).rglob("*") if p.is_file())
    return {
        str(p.relative_to(study)): file_hash(p)
        for p in files
        if p.name not in TIMED and not p.name.startswith(".") and p.parent.name != "comparison"
    }


def start(recipe: Path, out: Path, given: argparse.Namespace) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "lilliput", "study", "run", str(recipe), "--out", str(out)]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(
            [*line, "--executor", given.executor, "--workers", str(given.workers)],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def workers_of(pid: int) -> list[int]:
    """Process ids of the workers below the driver."""
    parents: dict[int, int] = {}
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            )
            line = (folder / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if b"spawn_main" in line or line.startswith(b"ray::"):
            found.append(int(folder.name))

    def is_below(child: int) -> bool:
        while child not in (0, 1, pid):
            child = parents.get(child, 0)
        return child == pid

    return [worker for worker in found if is_below(worker)]


def strike(process: subprocess.Popen[bytes], rng: random.Random) -> str:
    """Kill something of the study; what it was, or nothing where there was nothing to kill."""
    blow = rng.choices(list(BLOWS), weights=list(BLOWS.values()))[0]
    if blow == "worker":
        workers = workers_of(process.pid)
        if not workers:
            return ""
        try:
            os.kill(rng.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            return ""
        return blow
    process.send_signal(signal.SIGKILL if blow == "driver" else signal.SIGTERM)
    process.wait()
    if blow == "driver":
        time.sleep(1)  # Orphaned workers look up at their parent.
    return blow


def disturb(recipe: Path, out: Path, given: argparse.Namespace) -> Counter[str]:
    """Run the study to its end, killing for so many minutes; how often each blow fell."""
    rng = random.Random(given.seed)
    blows: Counter[str] = Counter()
    until = time.monotonic() + given.minutes * 60
    process = start(recipe, out, given)
    while time.monotonic() < until:
        if rng.random() < PATIENT:
            wait_for_progress(process, out, until)
        time.sleep(rng.uniform(1, 10))
        if process.poll() is not None and process.returncode == 0:
            return blows
        if process.poll() is None:
            under_way = is_training(out)
            blow = strike(process, rng)
            blows[blow] += 1
            blows["while_training"] += bool(blow) and under_way
        if process.poll() is not None:
            process = start(recipe, out, given)
    if process.wait() != 0:  # The last blow ended the driver.
        require_end(start(recipe, out, given), out)
    return blows


def wait_for_progress(process: subprocess.Popen[bytes], out: Path, until: float) -> None:
    """Wait until the study has written something, or has ended."""
    since = time.time()
    while process.poll() is None and time.monotonic() < until and newest(out) < since:
        time.sleep(0.2)


def newest(out: Path) -> float:
    """When a file of the study was last written; 0 before the first."""
    times = [0.0]
    for path in out.rglob("*"):
        try:
            times.append(path.stat().st_mtime)
        except FileNotFoundError:  # Renamed while we looked.
            continue
    return max(times)


def is_training(out: Path) -> bool:
    """Whether some run has begun and is not done."""
    return any(not (p.parent / "manifest.json").exists() for p in out.glob("runs/*/run.json"))


def require_end(process: subprocess.Popen[bytes], out: Path) -> None:
    """Wait for a study that nothing disturbs any more."""
    if process.wait() != 0:
        log = (out.parent / f"{out.name}.log").read_text(errors="replace")
        raise SystemExit(f"the study {out.name} did not end well:\n{log[-2000:]}")


def steps_for(recipe: Path, workers: int, seconds: float) -> int:
    """Updates a run that keep the workers busy for about so many seconds, by a probe."""
    runs = expand_recipe(load_recipe(str(recipe))).runs
    configs = [run.config(1000) for run in runs]
    measured = probe_shapes(configs, workers)
    training = configs[0].training
    per_update = training.global_batch_size * training.max_seq_length
    rates = [measured[probe_key(config, workers)].tokens_per_s for config in configs]
    one_update_each = sum(per_update / rate for rate in rates) / workers
    return max(100, round(seconds / one_update_each))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, help="updates a run; by a probe when absent")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--executor", choices=["process", "ray"], default="process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--texts", type=Path, nargs="+", default=[], help="tables of a real corpus")
    parser.add_argument("--vocabulary", type=Path, help="the word list that filters them")
    parser.add_argument("--fleet-size", type=int, default=1, help="runs trained as one stack")
    parser.add_argument("--threads", type=int, default=1, help="of a run; two make two replicas")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lilliput-chaos-") as name:
        folder = Path(name)
        given_text = {
            "texts": given.texts,
            "vocabulary": given.vocabulary,
            "fleet_size": given.fleet_size,
            "threads": given.threads,
        }
        steps = given.steps
        if steps is None:
            # Kills cost restarts, so that about half of the time is left for work.
            probed = write_recipe(folder, runs=given.runs, steps=100, **given_text)
            steps = steps_for(probed, given.workers, given.minutes * 30)
        recipe = write_recipe(folder, runs=given.runs, steps=steps, **given_text)
        blows = disturb(recipe, folder / "killed", given)
        started = time.monotonic()
        require_end(start(recipe, folder / "calm", given), folder / "calm")
        calm_s = time.monotonic() - started
        killed, calm = contents(folder / "killed"), contents(folder / "calm")
        done = len(list((folder / "killed" / "runs").glob("*/manifest.json")))
        report = {
            "runs": given.runs, "done": done, "steps": steps, "executor": given.executor,
            "workers": given.workers, "blows": {k: v for k, v in blows.items() if k}, "calm_s": round(calm_s, 1),
            "files": len(calm), "different": sorted(k for k in calm.keys() | killed.keys() if calm.get(k) != killed.get(k)),
            "mismatches": list(verify(folder / "killed").mismatches),
        }  # fmt: skip
    print(json.dumps(report, indent=2))
    sys.exit(1 if report["different"] or report["mismatches"] or done != given.runs else 0)


if __name__ == "__main__":
    main()
