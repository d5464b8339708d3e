"""The schedule of a run: what it reads and does at each step, as a function of configuration and data alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lilliput.training.budget import Stream, evaluation_steps, plan_schedule, plan_stream
from lilliput.training.data.batches import GlobalBatch, MicroBatchAveraging, make_batch
from lilliput.training.data.orders import DataOrder, OrderContext
from lilliput.training.data.packing import Packing
from lilliput.training.data.token_data import RunData
from lilliput.training.learning_rate import LearningRateSchedule
from lilliput.training.objectives.base import DrawKey
from lilliput.training.run_config import RunConfig


@dataclass(frozen=True)
class RunSchedule:
    """The steps of a run: what each reads, at which rate, and where the run is measured.

    Attributes:
        config: Model, recipe and seed.
        data: Splits, and how they become batches.
        stream: Steps, and the places of the data stream that each reads.
        rates: Learning rates.
        evaluation_steps: Steps after which to evaluate.
        order: Which sequence stands at which place.
        averaging: How micro-batches are averaged; None: all predicted positions alike.
    """

    config: RunConfig
    data: RunData
    stream: Stream
    rates: LearningRateSchedule
    evaluation_steps: frozenset[int]
    order: DataOrder
    averaging: MicroBatchAveraging | None

    @classmethod
    def of(cls, config: RunConfig, data: RunData) -> RunSchedule:
        """Return the schedule of the run `config` on `data`."""
        training = config.training
        stream = plan_stream(training, len(data.train), data.train.input_tokens)
        is_shifted = training.switches.accumulation_off_by_one
        parts = training.micro_batches
        return cls(
            config,
            data,
            stream,
            plan_schedule(training, stream.max_steps),
            evaluation_steps(training, stream.max_steps),
            config.order_type()(
                OrderContext(
                    settings=training.order,
                    seed=config.seed,
                    sequences=data.train,
                    max_steps=stream.max_steps,
                    places=stream.end,
                    shuffle=training.switches.shuffle,
                    store=data.store,
                )
            ),
            MicroBatchAveraging(stream.later // parts, parts) if is_shifted else None,
        )

    def chosen(self, step: int) -> NDArray[np.int64]:
        """Return the sequences of step `step`, counted from 1."""
        return self.order.sequences_at(step, *self.stream.places(step))

    def chosen_by_steps(self, step: int, most: int) -> NDArray[np.int64]:
        """Return the sequences of step `step` and of the steps after it that read as many, `most` steps at most.

        Returns:
            Numbers of sequences, int64 of shape (steps, sequences); at least one step.
        """
        first, count = self.stream.places(step)
        last, limit = step, min(step + most - 1, self.stream.max_steps)
        while last < limit and self.stream.places(last + 1)[1] == count:
            last += 1
        return self.order.sequences_of_steps(step, first, count, last - step + 1)

    def mask_key(self, step: int) -> DrawKey:
        """Return the key of its masks."""
        return DrawKey.of(self.config.seed, "train", step)

    def batch(
        self, step: int, max_rows: int, packing: Packing | None = None, *, multiple_of: int = 1
    ) -> GlobalBatch:
        """Return its global batch, cut and laid out as `make_batch` says."""
        return make_batch(
            self.data.train,
            self.chosen(step),
            self.mask_key(step),
            self.data.rules,
            max_rows,
            multiple_of=multiple_of,
            averaging=self.averaging,
            packing=packing,
        )
