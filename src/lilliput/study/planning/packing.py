"""Packing: how many runs can share one device, from the memory of each and of the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lilliput.core.devices import list_gpus
from lilliput.core.executors.process import available_cpus, threads_for
from lilliput.study.planning.probe import cached_probe
from lilliput.study.planning.resources import estimate_memory
from lilliput.study.recipe.expansion import StudyGrid
from lilliput.training.run_config import RunConfig

_CONTEXT_BYTES = 600e6  # Of CUDA in each process, before anything is stored.
_USABLE_SHARE = 0.9
_PROBE_MARGIN = 1.25
# Beyond this many processes a device only swaps between them.
_MOST_RUNS = 16


@dataclass(frozen=True)
class DeviceSharing:
    """Runs on one device at once.

    Attributes:
        device: Its name, or "cpu" for the machine itself.
        runs_per_device: How many, at least 1.
    """

    device: str
    runs_per_device: int

    @property
    def num_gpus(self) -> float:
        """Return the share of a GPU that a run reserves; 0 on a processor."""
        return 0.0 if self.device == "cpu" else 1.0 / self.runs_per_device


def pack_runs(configs: Sequence[RunConfig], workers: int) -> DeviceSharing:
    """Return how many of the largest of these runs fit the smallest device here at once."""
    gpus = [] if all(c.training.device == "cpu" for c in configs) else _gpus()
    if not gpus:
        room, name = _machine_bytes(), "cpu"
        need = max(_host_bytes(config, workers) for config in configs)
        most = available_cpus()
    else:
        room, name = min(gpus)
        need = max(_device_bytes(config, workers) for config in configs)
        most = _MOST_RUNS
    fitting = int(_USABLE_SHARE * room / need) if room else most
    return DeviceSharing(name, max(1, min(most, fitting)))


def gpu_share(grid: StudyGrid, workers: int | None) -> float:
    """Return the share of a GPU that each run of the study reserves; 0 when it trains on processors.

    Where the driver sees no GPU of its own, a run gets a whole one wherever a cluster has them.
    """
    configs = grid.configs()
    if all(config.training.device == "cpu" for config in configs):
        return 0.0
    return pack_runs(configs, workers or available_cpus()).num_gpus or 1.0


def _host_bytes(config: RunConfig, workers: int) -> float:
    measured = cached_probe(config, workers)
    if measured:
        return measured.memory_bytes * _PROBE_MARGIN
    return estimate_memory(config, threads_for(workers)).value


def _device_bytes(config: RunConfig, workers: int) -> float:
    measured = cached_probe(config, workers)
    if measured and measured.device_bytes:
        return measured.device_bytes * _PROBE_MARGIN + _CONTEXT_BYTES
    return estimate_memory(config).high + _CONTEXT_BYTES


def _gpus() -> list[tuple[float, str]]:
    """Return memory in bytes and name of each GPU of this machine."""
    return [(gpu.memory_bytes, gpu.name) for gpu in list_gpus()]


def _machine_bytes() -> float:
    """Memory that is free on this machine; 0 when the system does not say."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return 0.0
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return float(line.split()[1]) * 1024
    return 0.0
