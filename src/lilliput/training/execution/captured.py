"""One step as a CUDA graph: batch, forward, backward, clipping and AdamW in a single launch.

At these sizes a GPU waits for Python. A replayed graph costs one launch for the some hundred kernels of a
step; what changes between steps (sequence numbers, mask key, learning rate) lies in buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.training.data.batches import BatchRules
from lilliput.training.data.sequences import Sequences
from lilliput.training.execution.device_batches import DeviceSplit, device_batch
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.gradients import add_gradients
from lilliput.training.execution.optimizer import FlatAdamW
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.objectives.base import DrawKey
from lilliput.training.run_schedule import RunSchedule

_WARM_UP_STEPS = 3
_BYTES_PER_TOKEN = 4
_BYTES_PER_SEQUENCE = 16
# Of the free memory, for tokens; the rest is the model's.
_MEMORY_SHARE = 0.5


def device_split(train: Sequences, rules: BatchRules, plan: ExecutionPlan) -> DeviceSplit | None:
    """Return the train split on the plan's GPU; None on a processor, or where it does not fit."""
    if plan.device != "cuda":
        return None
    needed = _BYTES_PER_TOKEN * len(train.tokens) + _BYTES_PER_SEQUENCE * len(train)
    if needed > _MEMORY_SHARE * torch.cuda.mem_get_info()[0]:
        return None
    return DeviceSplit.of(train, rules, plan.device)


def captured_step(
    engine: Engine, schedule: RunSchedule, plan: ExecutionPlan
) -> CapturedStep | None:
    """Return a captured step, where that is possible: on a GPU that holds the tokens, without dropout."""
    if schedule.config.has_dropout or schedule.averaging is not None:
        return None
    data = schedule.data
    split = device_split(data.train, data.rules, plan)
    if split is None:
        return None
    return CapturedStep(engine, split, data.rules, plan, schedule.stream.later)


class Recording:
    """Record a computation as a CUDA graph; making it leaves weights and moments as they were.

    Args:
        compute: Nothing in it may wait for the device or change a shape.
        optimizers: Those that it steps.
    """

    def __init__(self, compute: Callable[[], None], optimizers: Sequence[FlatAdamW]) -> None:
        for optimizer in optimizers:
            optimizer.set_learning_rate(0.0)
        before = [optimizer.snapshot() for optimizer in optimizers]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_STEPS):
                compute()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            compute()
        for optimizer, state in zip(optimizers, before, strict=True):
            optimizer.restore(state)

    def replay(self) -> None:
        """Run the recorded computation on what lies in its buffers now."""
        self._graph.replay()


class CapturedStep:
    """A step of fixed batch size that is recorded at its first call and replayed from then on.

    The order, the masks and the arithmetic are those of `Engine.step`; sums run in another order.

    Args:
        engine: Model and optimizer, on the GPU, without dropout.
        split: The train split on the GPU.
        rules: Objective, pads and width.
        plan: Precision and rows of a micro-batch.
        batch_size: Sequences of every step.
    """

    def __init__(
        self,
        engine: Engine,
        split: DeviceSplit,
        rules: BatchRules,
        plan: ExecutionPlan,
        batch_size: int,
    ) -> None:
        self._engine, self._split, self._rules, self._plan = engine, split, rules, plan
        device = split.tokens.device
        self._chosen_G = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self._key_2 = torch.zeros(2, dtype=torch.int64, device=device)
        self._loss = torch.zeros((), device=device)
        self._recording: Recording | None = None

    def __call__(self, chosen: NDArray[np.int64], key: DrawKey, learning_rate: float) -> Tensor:
        """Take one step; its loss, in a buffer that the next step overwrites."""
        recording = self.prepare(chosen, key)
        self.read(chosen, key)
        self._engine.optimizer.set_learning_rate(learning_rate)
        recording.replay()
        return self._loss

    @property
    def is_recorded(self) -> bool:
        """Return whether steps are replayed from here on."""
        return self._recording is not None

    def prepare(self, chosen: NDArray[np.int64], key: DrawKey) -> Recording:
        """Return the recording, made with this batch at the first call; weights and moments stay as they are."""
        if self._recording is None:
            self.read(chosen, key)
            self._recording = Recording(self.compute, [self._engine.optimizer])
        return self._recording

    def serves(self, chosen: NDArray[np.int64]) -> bool:
        """Return whether the batch has the recorded size; the last one of an epoch may not."""
        return len(chosen) == len(self._chosen_G)

    def read(self, chosen: NDArray[np.int64], key: DrawKey) -> None:
        """Put the numbers of the sequences and the key of the masks where `compute` finds them."""
        self._chosen_G.copy_(torch.from_numpy(chosen), non_blocking=True)
        self._key_2.copy_(torch.tensor([key.select, key.replace]), non_blocking=True)

    def compute(self) -> None:
        """Compute one step from what lies in the buffers; this is what is recorded."""
        self._engine.optimizer.zero_grad()
        micro_batches = device_batch(
            self._split, self._chosen_G, self._key_2, self._rules, self._plan.max_rows
        )
        self._loss.copy_(
            add_gradients(self._engine.model, self._rules.objective, micro_batches, self._plan)
        )
        self._engine.apply()
