"""Memory and disk of one run, estimated by arithmetic: a value and a range."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lilliput.architecture import activation_floats, count_parameters
from lilliput.training.run_config import RunConfig

_FLOAT_BYTES = 4
# Weights, gradients, two moments, and the copies that evaluation and checkpoints make.
_COPIES_IN_TRAINING = 5
_COPIES_A_REPLICA = 2  # Gradients of its own, and weights cast for its products.
_WEIGHT_FILES_PER_RUN = 2  # The untrained and the trained weights are kept.
_RESUME_COPIES = 3  # Weights and two moments: to go on from, or for branches.
_OTHER_BYTES_PER_RUN = 200_000
# A worker that has little to do, measured with torch 2.13: built for processors, and what a build for NVIDIA,
# which is what PyPI gives on Linux, holds beyond it without touching a device.
_IDLE_BYTES = 350e6
_CUDA_BUILD_BYTES = 300e6
_LOGIT_COPIES = 3  # Logits, their exponentials, their gradient.
_MEMORY_SPREAD = 2.0
_DISK_SPREAD = 1.15


@dataclass(frozen=True)
class ResourceEstimate:
    """An estimated number with the range that the true one may lie in."""

    value: float
    low: float
    high: float

    @classmethod
    def within(cls, value: float, factor: float) -> ResourceEstimate:
        """`value`, give or take a factor."""
        return cls(value, value / factor, value * factor)


def estimate_memory(config: RunConfig, threads: int | None = None) -> ResourceEstimate:
    """Return bytes that a worker needs to train the run, the interpreter and torch included.

    Args:
        config: The run.
        threads: Of the processor that trains it, unless the recipe fixes them; None: a GPU trains it.
    """
    model, training = config.built_model(), config.training
    replicas = 1
    rows = config.max_gpu_rows()
    if threads is not None:
        replicas = min(training.threads or threads, config.most_replicas)
        rows = min(training.global_batch_size, replicas * config.max_cpu_rows())
    positions = rows * training.max_seq_length
    logits = positions * config.objective().predicted_share * model.vocab_size * _LOGIT_COPIES
    activations = positions * activation_floats(model, training.max_seq_length)
    copies = _COPIES_IN_TRAINING + (replicas - 1) * _COPIES_A_REPLICA
    state = count_parameters(model).total * copies
    work = ResourceEstimate.within((state + activations + logits) * _FLOAT_BYTES, _MEMORY_SPREAD)
    return ResourceEstimate(*(_idle_bytes() + part for part in (work.value, work.low, work.high)))


@cache
def _idle_bytes() -> float:
    """Return what a worker holds with torch loaded, by the files of torch: a plan does not import it."""
    found = find_spec("torch")
    folders = (found and found.submodule_search_locations) or ()
    built_for_cuda = any(
        library for folder in folders for library in Path(folder, "lib").glob("*torch_cuda.*")
    )
    return _IDLE_BYTES + (_CUDA_BUILD_BYTES if built_for_cuda else 0.0)


def estimate_disk(config: RunConfig, kept_states: int = 0) -> ResourceEstimate:
    """Return bytes that the finished run takes; the upper end counts the checkpoints of one still under way.

    Args:
        config: The run.
        kept_states: Whole states that it keeps for shorter runs to start from.
    """
    weights = count_parameters(config.built_model()).total * _FLOAT_BYTES
    kept = weights * (_WEIGHT_FILES_PER_RUN + len(config.training.save_steps))
    kept += weights * _RESUME_COPIES * kept_states
    resume = weights * _RESUME_COPIES * config.training.save_total_limit
    value = kept + _OTHER_BYTES_PER_RUN
    return ResourceEstimate(value, kept / _DISK_SPREAD, value * _DISK_SPREAD + resume)
