"""Make autograd accept fake CUDA tensors in a CPU build of torch: call `load` before torch is imported."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("device.cpp")


def torch_folder() -> Path:
    """Return the folder of the installed torch, without importing it."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def why_not() -> str | None:
    """Return the reason for which the device cannot be built here; None where it can."""
    if shutil.which("g++") is None:
        return "no C++ compiler (g++)"
    if not (torch_folder() / "include" / "ATen" / "detail" / "CUDAHooksInterface.h").is_file():
        return "torch was installed without its headers"
    if any((torch_folder() / "lib").glob("libtorch_cuda.so*")):
        return "torch is a CUDA build, which has a device of its own"
    return None


def build(library: Path) -> None:
    """Compile the device, in about three seconds."""
    command = [
        "g++",
        "-shared",
        "-fPIC",
        "-O0",
        "-std=c++20",
        "-w",
        f"-I{torch_folder() / 'include'}",
    ]
    subprocess.run([*command, str(SOURCE), "-o", str(library)], check=True)


def load(library: Path) -> None:
    """Load the device into this process."""
    assert "torch" not in sys.modules, "the device must be there before torch"
    for name in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(torch_folder() / "lib" / name), mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
