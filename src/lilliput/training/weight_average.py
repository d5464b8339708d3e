"""The mean of a run's last weights, which takes their place at the end: a decay without lowering the rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_KEY = "average"


class WeightAverage:
    """A running mean of flat weights over the last steps of a run.

    Args:
        max_steps: Steps of the run.
        share: Share of them whose weights are averaged; 0 averages none, and costs nothing.
    """

    def __init__(self, max_steps: int, share: float) -> None:
        self._max_steps = max_steps
        self._first = max_steps - round(share * max_steps) + 1
        self._last = self._first - 1  # The last step whose weights are in the mean.
        self._mean: Tensor | None = None
        self._is_applied = False

    def take(self, step: int, weights: Tensor) -> None:
        """Add the weights after `step`, once; after the last step the mean takes their place.

        Args:
            step: Steps done.
            weights: Flat float32 weights, changed in place after the last step.
        """
        if step < self._first or self._is_applied:
            return
        if step > self._last:
            count = step - self._first + 1
            if self._mean is None:
                self._mean = weights.detach().clone()
            else:
                self._mean += (weights - self._mean) / count
            self._last = step
        if step == self._max_steps and self._mean is not None:
            weights.copy_(self._mean)
            self._is_applied = True

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps of it; nothing before the first of the last steps."""
        return {} if self._mean is None else {_KEY: self._mean}

    def record(self) -> dict[str, Any]:
        """Return the counters for a checkpoint; nothing before the first of the last steps."""
        if self._mean is None:
            return {}
        return {_KEY: {"last": self._last, "is_applied": self._is_applied}}

    def restore(
        self, tensors: Mapping[str, Tensor], record: Mapping[str, Any], device: torch.device
    ) -> None:
        """Go on from a checkpoint, with the mean on the device of the weights."""
        if _KEY in record:
            self._mean = tensors[_KEY].to(device)
            self._last, self._is_applied = record[_KEY]["last"], record[_KEY]["is_applied"]
