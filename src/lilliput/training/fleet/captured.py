"""One step of all members of a fleet as a CUDA graph (see `training.execution.captured`).

Shapes: K members, S streams of data, G sequences of a global batch, N places for predicted positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lilliput.training.data.batches import GlobalBatch
from lilliput.training.execution.captured import Recording, Recordings, device_split
from lilliput.training.execution.device_batches import (
    DeviceMicroBatch,
    DeviceSplit,
    StepTable,
    device_micro_batches,
    expected_counts,
)
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.fleet.batches import StackedMicroBatch, streams_of
from lilliput.training.fleet.stack import Stack
from lilliput.training.run_schedule import RunSchedule


def captured_fleet(
    stack: Stack,
    planned: Sequence[RunSchedule],
    plan: ExecutionPlan,
    interrupts: Interrupts,
    say: Callable[[str], object],
) -> CapturedFleetStep | None:
    """Return a captured step of the fleet, where that is possible: on a GPU that holds the tokens."""
    data = planned[0].data
    split = device_split(data.train, data.rules, plan, say)
    return (
        None if split is None else CapturedFleetStep(stack, planned, split, plan, interrupts, say)
    )


class CapturedFleetStep:
    """A step that is recorded when another set of members first takes part, and replayed from then on.

    Order, masks and arithmetic are those of `Stack.step`; sums run in another order.

    Args:
        stack: Of all members of the plan.
        planned: Their schedules.
        split: The train split on the device.
        plan: Precision and rows of a micro-batch.
        interrupts: They wait while the step is recorded.
        say: Receives a message when the step cannot be captured.
    """

    def __init__(
        self,
        stack: Stack,
        planned: Sequence[RunSchedule],
        split: DeviceSplit,
        plan: ExecutionPlan,
        interrupts: Interrupts,
        say: Callable[[str], object],
    ) -> None:
        self._stack, self._planned, self._split, self._plan = stack, planned, split, plan
        self._rules = planned[0].data.rules
        self._streams, self._stream_K = streams_of(planned)
        device = split.tokens.device
        self._take_K = torch.tensor(self._stream_K).to(device)
        self._table = StepTable(self._streams, plan.max_rows, device)
        self._losses_K = torch.zeros(len(planned), device=device)
        self._recordings = Recordings(interrupts, say)

    def __call__(
        self, step: int, learning_rates: Mapping[int, float]
    ) -> tuple[Tensor, list[GlobalBatch]]:
        """Take step `step` of the members that have a rate.

        Returns:
            The losses of all members, in a buffer that the next step overwrites, and what each read.
        """
        recording = self.prepare(step, tuple(learning_rates))
        batches = self.read(step)
        for member, learning_rate in learning_rates.items():
            self._stack.optimizers[member].set_learning_rate(learning_rate)
        recording.replay()
        return self._losses_K, batches

    def prepare(self, step: int, members: tuple[int, ...]) -> Recording:
        """Return the recording of these members, made at their first step; weights and moments stay as they are."""
        self._table.read(step)
        # Who has left does not come back: one recording is kept.
        optimizers = [self._stack.optimizers[member] for member in members]
        key = members, self._table.tokens_a_row
        return self._recordings.of(key, lambda: self.compute(members), optimizers)

    def serves(self, step: int) -> bool:
        """Return whether the batches of step `step` have the recorded size; the last one of an epoch may not."""
        return self._table.serves(step)

    def read(self, step: int) -> list[GlobalBatch]:
        """Have `compute` read step `step`, and return what each member's batch holds."""
        chosen_SG = self._table.read(step)
        counts = expected_counts(self._planned[0].data.train, chosen_SG, self._rules)
        return [counts[stream] for stream in self._stream_K]

    def compute(self, members: Sequence[int]) -> None:
        """Compute one step of `members` from what lies in the buffers; this is what is recorded."""
        chosen_SG, keys_S2 = self._table.batch()
        micro_batches = device_micro_batches(
            self._split,
            chosen_SG,
            keys_S2,
            self._rules,
            self._plan.max_rows,
            tokens_a_row=self._table.tokens_a_row,
        )
        self._losses_K.copy_(self._stack.accumulate([self._stacked(one) for one in micro_batches]))
        self._stack.apply(members)

    def _stacked(self, one: DeviceMicroBatch) -> StackedMicroBatch:
        """Return the micro-batch with a row for each member, or one for all where they read the same."""
        mask_SBL, positions_SN = one.attention_mask_SBL, one.positions_SN
        take = self._take_K if len(self._streams) > 1 else slice(None)
        return StackedMicroBatch(
            one.input_ids_SBL[take],
            None if mask_SBL is None else mask_SBL[take],
            None,
            positions_SN[take],
            one.targets_SN[take],
            one.weights_SN[take],
            (positions_SN.shape[1],) * len(self._stream_K),
        )
