"""Compute the learning rate of each step from its number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

SchedulerType = Literal["inverse_sqrt", "cosine", "linear", "constant", "warmup_stable_decay"]


@dataclass(frozen=True)
class LearningRateSchedule:
    """Compute each step's learning rate: a warm-up, then one of five shapes.

    Attributes:
        kind: Shape after the warm-up.
        peak: Highest learning rate.
        max_steps: Steps of the run.
        warmup_steps: Steps of the linear warm-up, at least 0.
        decay_steps: Steps of the final decay; read by "warmup_stable_decay" only.
        min_ratio: Share of the peak at the end, or where a cosine is lowest; read by "cosine", "linear",
            "warmup_stable_decay".
        num_cycles: Waves after the warm-up; read by "cosine" only.
    """

    kind: SchedulerType
    peak: float
    max_steps: int
    warmup_steps: int
    decay_steps: int = 0
    min_ratio: float = 0.0
    num_cycles: float = 0.5

    def learning_rate(self, step: int) -> float:
        """Return the rate of step number `step`, counted from 1.

        Source: inverse square root as in S:A5, lr(t) = peak * min(sqrt(w / t), t / w); cosine as in
        transformers' get_cosine_schedule_with_warmup.
        """
        if step < self.warmup_steps:
            return self.peak * step / self.warmup_steps
        return self.peak * self._share(step)

    def _share(self, step: int) -> float:
        if self.kind == "constant":
            return 1.0
        if self.kind == "inverse_sqrt":
            return math.sqrt(max(self.warmup_steps, 1) / step)
        fall = 1.0 - self.min_ratio
        if self.kind == "warmup_stable_decay":
            into_decay = step - self.decay_start
            return 1.0 - fall * min(1.0, max(0, into_decay) / max(self.decay_steps, 1))
        progress = min(1.0, (step - self.warmup_steps) / max(self.max_steps - self.warmup_steps, 1))
        if self.kind == "cosine":
            wave = math.cos(2.0 * math.pi * self.num_cycles * progress)
            return self.min_ratio + fall * 0.5 * (1.0 + wave)
        return 1.0 - fall * progress

    @property
    def decay_start(self) -> int:
        """Return the last step at the peak: up to here runs of different lengths are the same run."""
        return self.max_steps - self.decay_steps


def warmup_length(max_steps: int, warmup_ratio: float, warmup_steps: int | None) -> int:
    """Return steps of the warm-up; the ratio gives at most 4,000 and at least 1 (S:A5)."""
    if warmup_steps is not None:
        return warmup_steps
    return min(4000, max(1, int(warmup_ratio * max_steps)))
