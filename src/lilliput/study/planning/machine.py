"""Examine the machine: what it can do, and what to install for more."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lilliput.core.executors.process import available_cpus
from lilliput.core.extras import EXTRAS, is_installed


@dataclass(frozen=True)
class MachineReport:
    """The answers of `lilliput doctor`.

    Attributes:
        python: Version of the interpreter.
        torch: Version, or None when it is not installed.
        device: "cuda" with the name of the card, or "cpu".
        bf16: Whether the device multiplies bfloat16 in hardware; None when unknown.
        compile: Whether torch.compile can be used (a C++ compiler is there).
        cpu_count: Processors this process may use.
        memory_gib: Main memory; None when the system does not say.
        disk_free_gib: Free space in the current folder.
        training: The execution plan of a run with the default recipe, were all processors used; None without
            torch.
        extras: Each optional part and whether it is installed.
        advice: What to do for more, one sentence each.
    """

    python: str
    torch: str | None
    device: str
    bf16: bool | None
    compile: bool
    cpu_count: int
    memory_gib: float | None
    disk_free_gib: float
    training: dict[str, Any] | None
    extras: dict[str, bool]
    advice: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**self.__dict__, "advice": list(self.advice)}

    def as_lines(self) -> Iterator[tuple[str, str]]:
        """Yield name and value of each finding, for people."""
        yield "python", self.python
        yield "torch", self.torch or "not installed"
        yield "device", self.device
        yield "bf16", {True: "in hardware", False: "not in hardware", None: "unknown"}[self.bf16]
        yield "compile", "possible" if self.compile else "no C++ compiler found"
        yield "processors", str(self.cpu_count)
        yield "memory", f"{self.memory_gib:.0f} GiB" if self.memory_gib else "unknown"
        yield "disk", f"{self.disk_free_gib:.0f} GiB free here"
        if self.training:
            yield "training", _in_words(self.training)
        for extra, present in self.extras.items():
            yield f"extra {extra}", "installed" if present else "not installed"


def examine_machine() -> MachineReport:
    """Look at the interpreter, the processor, the accelerator and the optional packages."""
    extras = {name: all(map(is_installed, modules)) for name, modules in EXTRAS.items()}
    torch_version, device, bf16, plan = (
        _examine_torch() if extras["train"] else (None, "cpu", None, None)
    )
    return MachineReport(
        python=platform.python_version(),
        torch=torch_version,
        device=device,
        bf16=bf16,
        compile=any(map(shutil.which, ("c++", "g++", "clang++"))),
        cpu_count=available_cpus(),
        memory_gib=_memory_gib(),
        disk_free_gib=round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
        training=plan,
        extras=extras,
        advice=tuple(_advice(extras, device, available_cpus())),
    )


def _examine_torch() -> tuple[str, str, bool | None, dict[str, Any]]:
    import torch

    from lilliput.training.execution.plan import has_bf16_products, widest_plan

    plan = asdict(widest_plan())
    if torch.cuda.is_available():
        card = torch.cuda.get_device_name()
        return torch.__version__, f"cuda ({card})", torch.cuda.is_bf16_supported(), plan
    return torch.__version__, "cpu", has_bf16_products(), plan


def _in_words(plan: Mapping[str, Any]) -> str:
    """Return how a run is executed, for people."""
    choices = [f"{plan['dtype']} products", f"{plan['attention_kernel']} attention"]
    if plan["device"] == "cuda":
        choices.append(
            "each step one captured graph where the tokens fit in half of the free GPU memory (the run says so where "
            "they do not), the global batch in one pass while its activations fit"
        )
    else:
        choices.append(f"passes of at most {plan['max_rows']} rows")
    if plan["replicas"] > 1:
        choices.append(f"{plan['replicas']} side by side, if a probe finds that faster than one")
    if plan["keeps_memory"]:
        choices.append("freed memory kept")
    return ", ".join(choices)


def _memory_gib() -> float | None:
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal:"):
            return round(int(line.split()[1]) / 2**20, 1)
    return None


def _advice(extras: dict[str, bool], device: str, cpus: int) -> Iterator[str]:
    gains = {
        "train": "train models",
        "quickstart": "run the built-in study",
        "hf": "export to and load from Hugging Face layouts",
        "cluster": "use a Ray cluster",
        "dedup": "remove near-duplicates",
        "sql": "query runs with SQL",
        "eval": "score causal models with lm-eval",
        "paper": "write figures as PDF and SVG",
    }
    for extra, present in extras.items():
        if not present:
            yield f"To {gains[extra]}: pip install 'lilliput[{extra}]'"
    if device == "cpu":
        yield f"No GPU found: {cpus} processors train models of up to about 10 million parameters."
