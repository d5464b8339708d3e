"""The execution plan of a run on this machine: it is chosen once, written beside the run and followed from then on.

Nothing here changes results beyond rounding; on a processor, runs under one plan are bitwise equal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from lilliput.core.errors import ArtefactError, ConfigurationError
from lilliput.core.files import write_json
from lilliput.core.reader import read_record
from lilliput.core.settings import parse_settings
from lilliput.models import AttentionKernel
from lilliput.training.config import TrainingConfig
from lilliput.training.execution.allocator import keep_freed_memory
from lilliput.training.run_config import MOST_REPLICAS


@dataclass(frozen=True)
class ExecutionPlan:
    """Hold choices that may change rounding, and nothing else.

    Attributes:
        device: "cpu" or "cuda".
        threads: Of the processor.
        dtype: "float32" or "bfloat16", of matrix products; weights and moments stay float32.
        attention_kernel: "plain" or "fused", see `models.Transformer`.
        max_rows: Rows in one forward pass at most.
        keeps_memory: Whether the allocator keeps freed buffers.
        torch_version: For the record.
        fleet: Identities of the runs that are trained as one stack, this one among them; empty: alone.
        replicas: Micro-batches computed side by side, each on its share of the threads; 1: one after another, each
            on all.
    """

    device: str
    threads: int
    dtype: str
    attention_kernel: AttentionKernel
    max_rows: int
    keeps_memory: bool
    torch_version: str
    fleet: tuple[str, ...] = ()
    replicas: int = 1

    @property
    def torch_dtype(self) -> torch.dtype:
        """Return `dtype` as torch names it."""
        return torch.bfloat16 if self.dtype == "bfloat16" else torch.float32

    @property
    def threads_a_replica(self) -> int:
        """Return threads that a micro-batch is computed on."""
        return self.threads // self.replicas

    def apply(self) -> None:
        """Make this process obey the plan."""
        # OpenMP's threads spin for a while after each product, in the way of the replicas'.
        torch.set_num_threads(self.threads_a_replica)
        if self.keeps_memory:
            keep_freed_memory()
        if self.device == "cuda":
            # By default cuBLAS may add the parts of a long sum in bfloat16.
            torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def wait_for_device(plan: ExecutionPlan) -> None:
    """Wait until a GPU has done what it was given: before that, a stopwatch measures launches alone."""
    if plan.device == "cuda":
        torch.cuda.synchronize()


@contextmanager
def threads_given_back() -> Generator[None]:
    """Give the process back, after the block, the threads that it had before."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_plan(
    training: TrainingConfig,
    max_cpu_rows: int,
    probe: Callable[[ExecutionPlan], int],
    *,
    most_replicas: int = 1,
    max_gpu_rows: int = 64,
) -> ExecutionPlan:
    """Return the plan for this machine.

    Args:
        training: Explicit choices win.
        max_cpu_rows: Rows of a forward pass at most, on a processor.
        probe: Computes the micro-batches that a plan has side by side, and says how many times over a step
            does so; called a few times for all threads, half of them and so on where the recipe leaves the choice.
        most_replicas: Micro-batches that may be computed side by side, on a processor.
        max_gpu_rows: Rows of a forward pass on a GPU.

    Raises:
        ConfigurationError: A GPU is asked for and there is none.
    """
    device = _device(training.device)
    dtype = _dtype(training.dtype, device)
    threads = training.threads or torch.get_num_threads()
    widest = ExecutionPlan(
        device=device,
        threads=threads,
        dtype=dtype,
        attention_kernel=_attention_kernel(device, dtype),
        max_rows=max_cpu_rows if device == "cpu" else max_gpu_rows,
        keeps_memory=keep_freed_memory(),
        torch_version=torch.__version__,
        replicas=min(threads, most_replicas) if device == "cpu" else 1,
    )
    if training.threads or threads == 1 or device != "cpu":
        return widest
    candidates = [
        replace(widest, threads=fewer, replicas=min(fewer, most_replicas))
        for fewer in _halvings(threads)
    ]
    return min(candidates, key=lambda candidate: _seconds_a_step(candidate, probe))


def _halvings(threads: int) -> list[int]:
    """Return all threads, half of them and so on, down to one."""
    counts = [threads]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return counts


def widest_plan() -> ExecutionPlan:
    """Return the plan of a run with the default recipe, on all the threads that its probe would try."""
    recipe = parse_settings(TrainingConfig, {"threads": torch.get_num_threads()})
    return make_plan(
        recipe,
        recipe.micro_batch_rows,
        lambda _: 1,
        most_replicas=MOST_REPLICAS,
        max_gpu_rows=recipe.global_batch_size,
    )


def load_or_make_plan(path: Path, make: Callable[[], ExecutionPlan]) -> ExecutionPlan:
    """Return the plan written at `path`, or a new one written there.

    Raises:
        ArtefactError: The file is not a plan of this version.
        ConfigurationError: The run was begun on a GPU, and there is none.
    """
    if not path.is_file():
        plan = make()
        write_json(path, asdict(plan))
        return plan
    plan = read_plan(path)
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(
            f"a run begun on a GPU goes on there, as {path} says", got="no GPU", remedy=_ANEW
        )
    return plan


def read_plan(path: Path) -> ExecutionPlan:
    """Return the plan written at `path`.

    Raises:
        ArtefactError: The file is not a plan of this version.
    """
    record = read_record(path)
    try:
        plan = _PLAN.validate_python(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        got = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ArtefactError(f"{path} must be an execution plan", got=got, remedy=_ANEW) from None
    unknown = sorted(record.keys() - {field.name for field in fields(ExecutionPlan)})
    if unknown:
        raise ArtefactError(
            f"{path} must be an execution plan of this version",
            got=f"the key {unknown[0]!r}",
            remedy=_ANEW,
        )
    return plan


_PLAN = TypeAdapter(ExecutionPlan)
_ANEW = "Delete the file to plan anew: the run then agrees to rounding, not bitwise."


def _seconds_a_step(plan: ExecutionPlan, probe: Callable[[ExecutionPlan], int]) -> float:
    plan.apply()
    times: list[float] = []
    for _ in range(4):
        started = time.perf_counter()
        repeats = probe(plan)
        times.append((time.perf_counter() - started) * repeats)
    # The median: the best case of two threads hides that they crawl when a core is taken.
    return sorted(times[1:])[1]


def _device(asked: str) -> str:
    available = torch.cuda.is_available()
    if asked == "cuda" and not available:
        raise ConfigurationError(
            "training.device = 'cuda' needs an NVIDIA GPU that torch can see",
            got="none",
            remedy="Use 'cpu' or 'auto', or install a CUDA build of torch.",
        )
    return "cuda" if available and asked != "cpu" else "cpu"


def _dtype(asked: str, device: str) -> str:
    if asked != "auto":
        return asked
    if device == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if has_bf16 else "float32"
    return "bfloat16" if has_bf16_products() else "float32"


def _attention_kernel(device: str, dtype: str) -> AttentionKernel:
    # torch's fused kernel keeps no attention matrix and is as fast or faster everywhere but in
    # bfloat16 on a processor, where its backward pass takes twice the time of the whole plain trunk.
    return "plain" if (device, dtype) == ("cpu", "bfloat16") else "fused"


def has_bf16_products() -> bool:
    """Return whether this processor has instructions that multiply bfloat16 matrices.

    Asked of the processor, not timed: a neighbour on a busy core once made one run of a study choose
    another dtype than its twins. A torch too old to know (before 2.10) means no.
    """
    ask = getattr(torch.cpu, "get_capabilities", dict[str, bool])
    capabilities = ask()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
