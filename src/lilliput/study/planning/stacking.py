"""Trials of stacks: does it pay to train runs of one shape as one? They are short, and kept in the user's cache.

A trial trains one run alone and a stack of such runs in turns, on invented tokens. Its outcome changes
rounding and nothing else.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lilliput.core.errors import LilliputError
from lilliput.core.files import write_json
from lilliput.core.hashing import content_id
from lilliput.core.progress import Reporter
from lilliput.core.reader import read_cached
from lilliput.core.settings import parse_settings
from lilliput.study.planning.probe import (
    MeasuredSpeed,
    cache_folder,
    invented_store,
    map_in_fresh_processes,
    peak_memory,
    peak_on_device,
    probe_key,
    shortened,
)
from lilliput.training.run_config import RunConfig

_SCHEMA = 1
# Beyond sixteen, stacks pay on a GPU alone; there up to this many.
_SIZES = (4, 16, 64)
_ROUNDS = 5
_TRIAL_S = 0.4
_FEWEST_STEPS, _MOST_STEPS = 3, 200
# A trial of a second is not more exact than this.
_PAYS = 1.15


@dataclass(frozen=True)
class MeasuredStack:
    """Holds what a trial showed.

    Attributes:
        size: Runs in the stack.
        tokens_per_s: Tokens a second of all of them together, in steps; 0 where they did not fit in memory.
        speedup: How many times as fast as one after another: the median over rounds that both took in turns.
        memory_bytes: Most that the worker held, interpreter included.
        device_bytes: Most that it held on the GPU; 0 without one.
    """

    size: int
    tokens_per_s: float
    speedup: float
    memory_bytes: float
    device_bytes: float

    def as_measured(self) -> MeasuredSpeed:
        """Return what it shows about one of its runs: its share of the time, and the memory of all."""
        return MeasuredSpeed(self.tokens_per_s, self.memory_bytes, self.device_bytes)


# The dump of a run's configuration, and how many such runs to stack.
StackTrial = tuple[Mapping[str, Any], int]


def best_stack(config: RunConfig, count: int, workers: int) -> MeasuredStack | None:
    """Return the fastest stack among the cached trials; None where none pays or none was made.

    Args:
        config: One of `count` runs that may share a stack.
        count: How many there are.
        workers: Runs or stacks trained at once.
    """
    sizes = _candidates(count, workers)
    found = [stack for size in sizes if (stack := cached_stack(config, size, workers))]
    paying = [stack for stack in found if stack.speedup >= _PAYS]
    return max(paying, key=lambda stack: stack.speedup, default=None)


def missing_trials(config: RunConfig, count: int, workers: int) -> list[StackTrial]:
    """Return the trials that would decide how such runs are stacked and that are not in the cache."""
    dump = config.model_dump(mode="json")
    sizes = _candidates(count, workers)
    return [(dump, size) for size in sizes if cached_stack(config, size, workers) is None]


def _candidates(count: int, workers: int) -> tuple[int, ...]:
    """Return sizes to try: no stack may leave another worker idle."""
    most = -(-count // workers)
    return tuple(sorted({min(size, most) for size in _SIZES} - {1}))


def cached_stack(config: RunConfig, size: int, workers: int) -> MeasuredStack | None:
    """Return the trial made of this shape and size before, if there is one."""
    path = _path(config, size, workers)
    return read_cached(path, MeasuredStack)


def make_trials(
    trials: Sequence[StackTrial],
    workers: int,
    run: Callable[
        [Callable[[StackTrial], dict[str, Any]], Sequence[StackTrial]], Iterable[tuple[int, Any]]
    ],
) -> None:
    """Make the trials, and keep what they show.

    Args:
        trials: What to try.
        workers: Trials at once: the workers that the study will have.
        run: The `map` of an executor, or what does the same.
    """
    for position, record in run(measure_stack, trials):
        dump, size = trials[position]
        write_json(_path(parse_settings(RunConfig, dump), size, workers), record)


def make_missing_trials(
    shapes: Sequence[tuple[RunConfig, int]], workers: int, reporter: Reporter
) -> None:
    """Make the trials that are not in the cache, in fresh processes.

    Args:
        shapes: One run of each shape, and how many runs there are that may share a stack.
        workers: Trials at once.
        reporter: Where progress goes.
    """
    trials = [trial for config, count in shapes for trial in missing_trials(config, count, workers)]
    with reporter.task("trials of stacks", total=len(trials)) as task:

        def run(
            function: Callable[[StackTrial], Any], items: Sequence[StackTrial]
        ) -> Iterator[tuple[int, Any]]:
            for result in map_in_fresh_processes(function, items, workers):
                task.advance()
                yield result

        make_trials(trials, workers, run)


def _path(config: RunConfig, size: int, workers: int) -> Path:
    name = content_id({"schema": _SCHEMA, "probe": probe_key(config, workers), "stack": size})
    return cache_folder("stacks") / f"{name}.json"


def measure_stack(trial: StackTrial) -> dict[str, Any]:
    """Train one run, and a stack of them, in turns in this process; the record of a `MeasuredStack`."""
    config, size = parse_settings(RunConfig, trial[0]), trial[1]
    with tempfile.TemporaryDirectory(prefix="lilliput-trial-") as folder:
        bench = _Bench(config, Path(folder))
        rate, speedup = _compare(bench, size)
    return asdict(MeasuredStack(size, rate, speedup, peak_memory(), peak_on_device()))


def _compare(bench: _Bench, size: int) -> tuple[float, float]:
    """Return tokens a second of a stack, and how many times those of a run alone: medians over rounds in turns."""
    first = bench.alone(_FEWEST_STEPS)
    seconds = bench.tokens_per_step / first
    if seconds > _TRIAL_S:
        # What a stack saves is the start of each operation: nothing, next to steps as long as these.
        return first, 1.0
    steps = _within(_TRIAL_S / seconds)
    rates: list[tuple[float, float]] = []
    try:
        bench.stacked(size, _FEWEST_STEPS)
        for _ in range(_ROUNDS):
            rates.append((bench.stacked(size, _within(steps / size)), bench.alone(steps)))
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return 0.0, 0.0
    return (
        statistics.median(together for together, _ in rates),
        statistics.median(together / alone for together, alone in rates),
    )


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether torch or Python found no memory; torch's error for a processor has no type of its own."""
    is_torchs = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return is_torchs or isinstance(error, MemoryError)


def _within(steps: float) -> int:
    return min(_MOST_STEPS, max(_FEWEST_STEPS, round(steps)))


class _Bench:
    """Trains short runs of one shape on invented tokens, each in a folder of its own."""

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self._config, self._folder = config, folder
        self._store = invented_store(folder / "tokens", config)
        self._numbers = itertools.count()

    @property
    def tokens_per_step(self) -> float:
        """At most, in sequences of full length."""
        return self._config.training.global_batch_size * self._config.training.max_seq_length

    def alone(self, steps: int) -> float:
        """Return tokens a second of one run."""
        from lilliput.training import train

        return train(shortened(self._config, steps), self._store, self._place()).tokens_per_s

    def stacked(self, size: int, steps: int) -> float:
        """Return tokens a second of a stack: its members share the time of a step, so the rate of each is that of all."""
        from lilliput.training.fleet import FleetMember, train_fleet

        short = shortened(self._config, steps)
        members = [
            FleetMember(short.model_copy(update={"seed": seed}), self._place())
            for seed in range(size)
        ]
        rates: list[float] = []
        for result in train_fleet(members, self._store):
            if isinstance(result, LilliputError):
                raise result
            rates.append(result.tokens_per_s)
        return statistics.median(rates)

    def _place(self) -> Path:
        return self._folder / str(next(self._numbers))
