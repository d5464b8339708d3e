"""The NVIDIA GPUs of this machine, asked of their driver: no torch is loaded for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_ANSWER_S = 20
_MIB = 2**20
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Gpu:
    """Describe one GPU.

    Attributes:
        index: What `CUDA_VISIBLE_DEVICES` calls it.
        memory_bytes: All that it has.
        name: Of the product.
    """

    index: str
    memory_bytes: float
    name: str


def list_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use; none where there is no driver or it does not answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    question = ["--query-gpu=index,uuid,memory.total,name", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            [tool, *question], capture_output=True, text=True, timeout=_ANSWER_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return _allowed(answer.stdout, os.environ.get(_VISIBLE))


def _allowed(answer: str, visible: str | None) -> list[Gpu]:
    """Return the GPUs in the driver's answer that the variable names, in its order; all where it is not set."""
    found: dict[str, Gpu] = {}
    for line in answer.splitlines():
        fields = [field.strip() for field in line.split(",", 3)]
        if len(fields) == 4 and fields[2].isdigit():
            index, uuid, mib, name = fields
            found[index] = found[uuid] = Gpu(index, float(mib) * _MIB, name)
    if visible is None:
        return list(dict.fromkeys(found.values()))
    return [found[name] for name in map(str.strip, visible.split(",")) if name in found]


def show_gpu(index: str) -> None:
    """Let this process see only one GPU. Call it before torch is loaded."""
    # The driver counts by place on the bus, CUDA by speed unless it is set otherwise.
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ[_VISIBLE] = index


def is_shared_by_mps() -> bool:
    """Return whether NVIDIA's Multi-Process Service runs, under which processes share a GPU at the same time."""
    folder = os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")
    return (Path(folder) / "control").exists()
