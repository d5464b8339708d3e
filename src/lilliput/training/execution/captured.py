"""Run one step as a CUDA graph: batch, forward, backward, clipping and AdamW in a single launch.

At these sizes a GPU waits for Python. A replayed graph costs one launch for the some hundred kernels of a
step; what changes between steps (sequence numbers, mask key, learning rate, the seed of dropout) lies in buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lilliput.training.data.batches import BatchRules, GlobalBatch
from lilliput.training.data.sequences import Sequences
from lilliput.training.execution.device_batches import (
    DeviceSplit,
    StepTable,
    device_batch,
    expected_counts,
)
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.gradients import add_gradients
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.optimizer import FlatAdamW
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.run_schedule import RunSchedule

_WARM_UP_STEPS = 3
_BYTES_PER_TOKEN = 4
_BYTES_PER_SEQUENCE = 16
# Of the free memory, for tokens; the rest is the model's.
_MEMORY_SHARE = 0.5


def why_not_resident(train: Sequences, plan: ExecutionPlan) -> str | None:
    """Return why the steps of a run are made on the host; None where its tokens lie on the plan's GPU."""
    if plan.device != "cuda":
        return "there is no GPU"
    needed = _BYTES_PER_TOKEN * len(train.tokens) + _BYTES_PER_SEQUENCE * len(train)
    free = torch.cuda.mem_get_info()[0]
    if needed > _MEMORY_SHARE * free:
        return (
            f"the train split takes {needed / 2**20:,.0f} MiB there, more than half of the "
            f"{free / 2**20:,.0f} MiB that are free"
        )
    return None


def device_split(
    train: Sequences, rules: BatchRules, plan: ExecutionPlan, say: Callable[[str], object]
) -> DeviceSplit | None:
    """Return the train split on the plan's GPU; None on a processor, or, with a message, where it does not fit."""
    reason = why_not_resident(train, plan)
    if reason is None:
        return DeviceSplit.of(train, rules, plan.device)
    if plan.device == "cuda":
        say(
            f"Batches are made on the host, which takes longer than the steps of a small model: {reason}."
        )
    return None


def captured_step(
    engine: Engine,
    schedule: RunSchedule,
    plan: ExecutionPlan,
    interrupts: Interrupts,
    say: Callable[[str], object],
) -> CapturedStep | None:
    """Return a captured step, where that is possible: on a GPU that holds the tokens."""
    split = device_split(schedule.data.train, schedule.data.rules, plan, say)
    if split is None:
        return None
    return CapturedStep(engine, split, schedule, plan, interrupts, say)


class Recording:
    """A computation that is run again and again: as a CUDA graph, or eagerly where it cannot be captured.

    Making one leaves weights and moments as they were, whatever happens meanwhile.

    Args:
        compute: Nothing in it may wait for the device or change a shape.
        optimizers: Those that it steps.
        interrupts: They wait until the recording is made.

    Attributes:
        failure: Why it cannot be captured; None where it was.
    """

    def __init__(
        self,
        compute: Callable[[], None],
        optimizers: Sequence[FlatAdamW],
        interrupts: Interrupts,
    ) -> None:
        self.failure: str | None = None
        self._replay = compute
        before = [optimizer.snapshot() for optimizer in optimizers]
        try:
            with interrupts.held():
                for optimizer in optimizers:
                    optimizer.set_learning_rate(0.0)
                self._replay = capture_graph(compute)
        except RuntimeError as error:
            self.failure = str(error).strip().split("\n", 1)[0]
        finally:
            for optimizer, state in zip(optimizers, before, strict=True):
                optimizer.restore(state)

    def replay(self) -> None:
        """Run the computation on what lies in its buffers now."""
        self._replay()


def capture_graph(compute: Callable[[], None]) -> Callable[[], None]:
    """Return a function that replays `compute` as a CUDA graph; it is run a few times for that.

    Raises:
        RuntimeError: Something in it cannot be captured.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP_STEPS):
            compute()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        compute()
    return graph.replay


class Recordings:
    """The recordings of a step, one at a time: another set of members, or larger buffers, ask for a new one.

    Args:
        interrupts: They wait while a recording is made.
        say: Receives one message when a step cannot be captured.
    """

    def __init__(self, interrupts: Interrupts, say: Callable[[str], object]) -> None:
        self._interrupts, self._say = interrupts, say
        self._key: object = None
        self._recording: Recording | None = None
        self._is_reported = False

    def has(self, key: object) -> bool:
        """Return whether the recording of `key` is there."""
        return self._recording is not None and self._key == key

    def of(
        self, key: object, compute: Callable[[], None], optimizers: Sequence[FlatAdamW]
    ) -> Recording:
        """Return the recording of `key`, made if it is not there."""
        if self._recording is None or self._key != key:
            if self._recording is not None and self._recording.failure is None:
                # The memory of a graph is given back before the next is made.
                torch.cuda.synchronize()
            self._recording = None
            self._recording = Recording(compute, optimizers, self._interrupts)
            self._key = key
            if self._recording.failure is not None and not self._is_reported:
                self._is_reported = True
                self._say(
                    "The step could not be recorded as a CUDA graph and is launched kernel by kernel, which is "
                    f"slower and gives the same numbers: {self._recording.failure}"
                )
        return self._recording


class CapturedStep:
    """A step of fixed batch size that is recorded at its first call and replayed from then on.

    The order, the masks and the arithmetic are those of `Engine.step`; sums run in another order. Dropout draws
    from the generator of the device, which is seeded before each step.

    Args:
        engine: Model and optimizer, on the GPU.
        split: The train split on the GPU.
        schedule: What each step reads.
        plan: Precision and rows of a micro-batch.
        interrupts: They wait while the step is recorded.
        say: Receives a message when the step cannot be captured.
    """

    def __init__(
        self,
        engine: Engine,
        split: DeviceSplit,
        schedule: RunSchedule,
        plan: ExecutionPlan,
        interrupts: Interrupts,
        say: Callable[[str], object],
    ) -> None:
        self._engine, self._split, self._schedule, self._plan = engine, split, schedule, plan
        device = split.tokens.device
        self._table = StepTable([schedule], plan.max_rows, device)
        self._loss = torch.zeros((), device=device)
        self._recordings = Recordings(interrupts, say)

    def __call__(self, step: int, learning_rate: float) -> tuple[Tensor, GlobalBatch]:
        """Take step `step`; its loss, in a buffer that the next step overwrites, and what it read."""
        recording = self.prepare(step)
        read = self.read(step)
        self._engine.seed_dropout(step)
        self._engine.optimizer.set_learning_rate(learning_rate)
        recording.replay()
        return self._loss, read

    def serves(self, step: int) -> bool:
        """Return whether the step has the recorded size; the first or last one may not."""
        return self._table.serves(step)

    def prepare(self, step: int) -> Recording:
        """Return the recording, made with this step if it is not there; weights and moments stay as they are."""
        self._table.read(step)
        return self._recordings.of(self._table.tokens_a_row, self.compute, [self._engine.optimizer])

    def read(self, step: int) -> GlobalBatch:
        """Have `compute` read step `step`, and return what its batch holds."""
        data = self._schedule.data
        return expected_counts(data.train, self._table.read(step), data.rules)[0]

    def compute(self) -> None:
        """Compute one step from what lies in the buffers; this is what is recorded."""
        self._engine.optimizer.zero_grad()
        chosen_1G, keys_12 = self._table.batch()
        rules = self._schedule.data.rules
        micro_batches = device_batch(
            self._split,
            chosen_1G[0],
            keys_12[0],
            rules,
            self._plan.max_rows,
            tokens_a_row=self._table.tokens_a_row,
            averaging=self._schedule.averaging,
        )
        self._loss.copy_(
            add_gradients(self._engine.model, rules.objective, micro_batches, self._plan)
        )
        self._engine.apply()
