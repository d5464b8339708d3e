"""Many small runs at once: one after another, in processes, as one stack, and as a stack in each process.

The runs are seeds x learning rates of one shape on the text and the token store of `training.py`. All ways
take turns in every round; workers are started and warm before the clock runs, and what is timed is the
whole of each way: building, updates, the two evaluations, checkpoints. Ratios are those of medians. No round is begun
that would not end within `--minutes` a batch size. On a GPU each way is run once more under torch's profiler, which tells
for how much of the time no kernel ran: the device waited for launches and the host.

    python benchmarks/fleet.py
    python benchmarks/fleet.py --members 16 --batch 16 --updates 6 --rounds 3 --json
    python benchmarks/fleet.py --device cuda --members 64 --batch 256 16 --updates 200 --rounds 2 --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lilliput.core.executors import ProcessExecutor
from lilliput.training import RunConfig, TrainingConfig
from training import mean_length, model_config, prepare

SEEDS = 4


def configs_of(options: argparse.Namespace, batch: int, threads: int) -> list[RunConfig]:
    """Seeds x learning rates of one shape."""
    return [
        RunConfig(
            model=model_config(options.shape),
            training=TrainingConfig(
                global_batch_size=batch,
                per_device_train_batch_size=batch if options.device == "cuda" else 64,
                max_steps=options.updates,
                learning_rate=5e-4 * 16 ** (number // SEEDS / max(1, options.members // SEEDS)),
                eval_sequences=8,
                eval_points_per_decade=0,
                device=options.device,
                dtype=options.dtype,
                threads=threads,
            ),
            seed=number % SEEDS,
        )
        for number in range(options.members)
    ]


def train_some(work: tuple[str, list[dict[str, Any]], bool]) -> float:
    """Some runs one after another, or as one stack; the seconds of processor time they took."""
    from lilliput.core.settings import parse_settings
    from lilliput.training import train
    from lilliput.training.fleet import FleetMember, train_fleet

    tokens, records, stacked = Path(work[0]), work[1], work[2]
    configs = [parse_settings(RunConfig, record) for record in records]
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / str(number) for number in range(len(configs))]
        if stacked:
            results = train_fleet(list(map(FleetMember, configs, outs)), tokens)
            failed = [result for result in results if isinstance(result, Exception)]
            if failed:
                raise failed[0]
        else:
            for config, out in zip(configs, outs, strict=True):
                train(config, tokens, out)
    return time.process_time() - started


def ways_of(
    options: argparse.Namespace, batch: int, tokens: Path, pool: ProcessExecutor
) -> dict[str, Callable[[], list[float]]]:
    """Each way of training all members, by name; it gives the processor time of its parts."""

    def work(threads: int, stacked: bool, parts: int = 1) -> list[tuple[str, list[Any], bool]]:
        records = [c.model_dump(mode="json") for c in configs_of(options, batch, threads)]
        return [(str(tokens), records[part::parts], stacked) for part in range(parts)]

    def here(threads: int, stacked: bool) -> Callable[[], list[float]]:
        return lambda: [train_some(item) for item in work(threads, stacked)]

    def apart(stacked: bool) -> Callable[[], list[float]]:
        parts = work(1, stacked, pool.workers)
        return lambda: [seconds for _, seconds in pool.map(train_some, parts)]

    ways: dict[str, Callable[[], list[float]]] = {"sequential_1_thread": here(1, stacked=False)}
    if options.device == "cpu":
        ways["sequential_2_threads"] = here(2, stacked=False)
        ways["processes"] = apart(stacked=False)
        ways["stacked_in_processes"] = apart(stacked=True)
    ways["stacked"] = here(1, stacked=True)
    return {name: way for name, way in ways.items() if name in (options.ways or ways)}


def idle_shares(
    options: argparse.Namespace, batch: int, tokens: Path, pool: ProcessExecutor
) -> dict[str, float]:
    """Of each way, with few runs and updates: a profiler keeps every kernel, and drops some when there are millions."""
    few = argparse.Namespace(**vars(options) | {"members": SEEDS, "updates": 20})
    return {name: idle_share(way) for name, way in ways_of(few, batch, tokens, pool).items()}


def idle_share(way: Callable[[], list[float]]) -> float:
    """The share of a way's wall time in which no kernel or copy was on the GPU."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as found:
        started = time.perf_counter()
        way()
        torch.cuda.synchronize()
        wall = time.perf_counter() - started
    events = found.events() or ()
    busy = [e.time_range.elapsed_us() for e in events if e.device_type.name == "CUDA"]
    return max(0.0, 1 - sum(busy) / 1e6 / wall)


def measure(
    options: argparse.Namespace, batch: int, tokens: Path, pool: ProcessExecutor
) -> dict[str, Any]:
    """Seconds of each way, and how often faster it is than one after another."""
    ways = ways_of(options, batch, tokens, pool)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    begun = time.perf_counter()
    for turn in range(options.rounds):
        spent = time.perf_counter() - begun
        if turn and spent * (turn + 1) / turn > 60 * options.minutes:
            break
        for name, way in ways.items():
            started = time.perf_counter()
            processor[name].append(sum(way()))
            seconds[name].append(time.perf_counter() - started)
            wall, busy = seconds[name][-1], processor[name][-1]
            print(f"{batch}: {name} {wall:.1f} s, {busy:.1f} s busy", file=sys.stderr)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    read = options.members * options.updates * batch * mean_length(tokens.parent)
    return {
        "shape": options.shape,
        "members": options.members,
        "batch": batch,
        "updates": options.updates,
        "dtype": options.dtype,
        "device": options.device,
        "seconds": seconds,
        "processor_seconds": processor,
        "rounds": len(seconds["sequential_1_thread"]),
        "gpu_idle_share": idle_shares(options, batch, tokens, pool)
        if options.device == "cuda"
        else {},
        "tokens_per_s": {name: read / value for name, value in median.items()},
        "ratio_to_sequential_1_thread": _ratios(median),
        "processor_ratio_to_sequential_1_thread": _ratios(
            {name: statistics.median(values) for name, values in processor.items()}
        ),
    }


def _ratios(median: dict[str, float]) -> dict[str, float]:
    base = median["sequential_1_thread"]
    return {name: base / value for name, value in median.items()}


def warm(_: int) -> None:
    """Import what a worker needs."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", default="32/32/128/2/2")
    parser.add_argument("--members", type=int, default=16)
    parser.add_argument("--batch", type=int, nargs="+", default=[64], help="sequences per update")
    parser.add_argument("--updates", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=8.0, help="per batch size")
    parser.add_argument("--ways", nargs="+", default=None, help="names of the ways; all of them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "lilliput-bench"
    )
    parser.add_argument("--json", action="store_true", dest="as_json")
    return parser.parse_args()


def main() -> None:
    options = parse()
    prepare(options.folder)
    with ProcessExecutor(options.workers) as pool:
        list(pool.map(warm, range(2 * options.workers)))
        rows = [measure(options, batch, options.folder / "tokens", pool) for batch in options.batch]
    if options.as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f"{row['members']} runs of {row['shape']}, {row['batch']} sequences an update, "
            f"{row['updates']} updates, n={row['rounds']}"
        )
        for name, ratio in row["ratio_to_sequential_1_thread"].items():
            low, high = min(row["seconds"][name]), max(row["seconds"][name])
            rate = row["tokens_per_s"][name]
            busy = row["processor_ratio_to_sequential_1_thread"][name]
            idle = row["gpu_idle_share"].get(name)
            print(
                f"  {name:22} {rate:10,.0f} tokens/s  {ratio:5.2f}x  ({low:.1f} to {high:.1f} s)  "
                f"{busy:5.2f}x by processor time" + (f"  GPU idle {idle:.0%}" if idle else "")
            )


if __name__ == "__main__":
    main()
