"""Short measurements of shapes on this machine, from which hours and memory are estimated; kept in the user's cache.

A probe trains a run for about a second on invented tokens, in a worker of its own, and as many at once as the
study will have workers, since what a core gives depends on its neighbours.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lilliput.core.artefacts import building
from lilliput.core.devices import list_gpus, show_gpu
from lilliput.core.executors.process import (
    WorkerLostError,
    available_cpus,
    limit_threads,
    threads_for,
)
from lilliput.core.files import write_json
from lilliput.core.hashing import content_id
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.reader import read_cached
from lilliput.core.seeding import generator
from lilliput.core.settings import parse_settings
from lilliput.training.run_config import RunConfig

T = TypeVar("T")
R = TypeVar("R")

_SCHEMA = 1
_WARM_UP_STEPS = 4
_PROBE_S = 1.0
_MOST_STEPS = 400
_DOCUMENTS = {"train": 400, "validation": 8, "test": 8}
_SPECIAL = 5  # Ids below are special tokens.
_KIB = 1024


@dataclass(frozen=True)
class MeasuredSpeed:
    """Holds what a short run of one shape showed.

    Attributes:
        tokens_per_s: Input tokens a second of one worker, steps alone.
        memory_bytes: Most that the worker held, interpreter included.
        device_bytes: Most that it held on the GPU; 0 without one.
    """

    tokens_per_s: float
    memory_bytes: float
    device_bytes: float


def probe_key(config: RunConfig, workers: int) -> str:
    """Return the name of a measurement: what decides speed, on this machine, with so many neighbours."""
    settings = config.identity_settings()
    training: dict[str, Any] = settings["training"]
    for name in ("max_steps", "num_train_epochs", "max_tokens", "learning_rate", "eval_steps"):
        training.pop(name)
    return content_id(
        {
            "schema": _SCHEMA,
            "model": settings["model"],
            "training": training,
            "per_device": config.training.per_device_train_batch_size,
            "device": [config.training.device, config.training.dtype, config.training.threads],
            "workers": workers,
            "machine": [platform.node(), platform.machine(), available_cpus(), _torch_version()],
        }
    )


def cached_probe(config: RunConfig, workers: int) -> MeasuredSpeed | None:
    """Return the measurement made of this shape before, if there is one."""
    path = cache_folder("probes") / f"{probe_key(config, workers)}.json"
    return read_cached(path, MeasuredSpeed)


def probe_shapes(
    configs: Sequence[RunConfig], workers: int, *, reporter: Reporter = SILENT
) -> dict[str, MeasuredSpeed]:
    """Measure the shapes that are not in the cache yet; all of them by `probe_key`.

    Args:
        configs: One run of each shape.
        workers: Probes at once: the workers that the study will have.
        reporter: Where progress goes.
    """
    by_key = {probe_key(config, workers): config for config in configs}
    known = {key: found for key, c in by_key.items() if (found := cached_probe(c, workers))}
    missing = [key for key in by_key if key not in known]
    dumps = [by_key[key].model_dump(mode="json") for key in missing]
    with reporter.task("probe", total=len(missing), unit="shapes") as task:
        for position, record in map_in_fresh_processes(measure_run, dumps, workers):
            key = missing[position]
            write_json(cache_folder("probes") / f"{key}.json", record)
            known[key] = MeasuredSpeed(**record)
            task.advance(note=f"{known[key].tokens_per_s:,.0f} tokens a second")
    return known


def map_in_fresh_processes(
    function: Callable[[T], R], items: Sequence[T], workers: int
) -> Iterator[tuple[int, R]]:
    """Yield position and result of each item, each computed in a process of its own: a process never gives back its peak of memory.

    Where there are GPUs, each process sees one of them, in turns, and no more run at once than there are.

    Raises:
        WorkerLostError: A process was killed.
    """
    gpus = [gpu.index for gpu in list_gpus()]
    workers = min(workers, len(gpus)) if gpus else workers
    context = multiprocessing.get_context("spawn")
    started = context.Value("q", 0)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=context,
        max_tasks_per_child=1,
        initializer=_start_process,
        initargs=(threads_for(workers), gpus, started),
    )
    try:
        with pool:
            yield from enumerate(pool.map(function, items))
    except BrokenProcessPool:
        raise WorkerLostError(
            "a probe must live to its end", got=f"one of {workers} at once that was killed",
            remedy="The system may have killed it for memory: use fewer workers.",
        ) from None  # fmt: skip


def _start_process(threads: int, gpus: Sequence[str], started: Any) -> None:
    """Give this process its threads, and the next GPU in turn; `started` counts the processes before it."""
    limit_threads(threads)
    if gpus:
        with started.get_lock():
            place = int(started.value)
            started.value += 1
        show_gpu(gpus[place % len(gpus)])


def measure_run(dump: Mapping[str, Any]) -> dict[str, float]:
    """Train the run for about a second in this process and say how fast it was and what it held."""
    from lilliput.training import train

    config = parse_settings(RunConfig, dump)
    with tempfile.TemporaryDirectory(prefix="lilliput-probe-") as folder:
        store = invented_store(Path(folder) / "tokens", config)
        first = train(shortened(config, _WARM_UP_STEPS), store, Path(folder) / "first")
        per_step = first.tokens_seen / first.tokens_per_s / _WARM_UP_STEPS
        steps = min(_MOST_STEPS, max(_WARM_UP_STEPS + 1, round(_PROBE_S / per_step)))
        second = train(shortened(config, steps), store, Path(folder) / "second")
    return asdict(MeasuredSpeed(second.tokens_per_s, peak_memory(), peak_on_device()))


def shortened(config: RunConfig, steps: int) -> RunConfig:
    """Return the run with so many steps and as little evaluation as there can be."""
    budget = {
        "max_steps": steps, "max_tokens": None, "num_train_epochs": None, "warmup_steps": None,
        "eval_points_per_decade": 0, "eval_steps": (), "eval_sequences": 4, "save_steps": (),
        "objective": config.training.objective.rehearsed(),
    }  # fmt: skip
    return config.model_copy(update={"training": config.training.model_copy(update=budget)})


def invented_store(folder: Path, config: RunConfig) -> Path:
    """Return a token store of random ids, in documents of about a sequence, in the layout that `encode` writes."""
    from lilliput.tokenization.store import KIND, SCHEMA, offsets_file, token_dtype, tokens_file

    vocab_size, length = config.model.vocab_size, config.training.max_seq_length
    rng = generator(0, "probe")
    splits: dict[str, dict[str, int]] = {}
    with building(folder, KIND, SCHEMA, {}) as build:
        for split, documents in _DOCUMENTS.items():
            lengths = rng.integers(length // 2, length - 1, documents)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            ids = rng.integers(_SPECIAL, max(vocab_size, _SPECIAL + 1), offsets[-1])
            np.save(build.path(tokens_file(split)), ids.astype(token_dtype(vocab_size)))
            np.save(build.path(offsets_file(split)), offsets)
            splits[split] = {"tokens": int(offsets[-1]), "documents": documents}
        np.save(build.path("token_bytes.npy"), np.full(vocab_size, 4, np.int32))
        np.save(build.path("word_start.npy"), np.ones(vocab_size, bool))
        build.facts |= {"vocab_size": vocab_size, "splits": splits}
    return folder


def peak_memory() -> float:
    """Return the most bytes that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux hands `ru_maxrss` down from the process that started this one.
        return _KIB * float(status.read_text().split("VmHWM:")[1].split()[0])
    import resource

    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * _KIB


def peak_on_device() -> float:
    """Return the most bytes that this process ever held on a GPU; 0 without one."""
    import torch

    return float(torch.cuda.max_memory_reserved()) if torch.cuda.is_available() else 0.0


def cache_folder(kind: str) -> Path:
    """Return where measurements of one kind are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lilliput" / kind


@cache
def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
