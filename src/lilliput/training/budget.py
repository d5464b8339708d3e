"""The budget of a run: its number of steps, and the places of the data stream that each of them reads."""

from __future__ import annotations

from dataclasses import dataclass

from lilliput.training.config import TrainingConfig
from lilliput.training.learning_rate import LearningRateSchedule, warmup_length


@dataclass(frozen=True)
class Stream:
    """Say which places of the data stream each step reads.

    Attributes:
        max_steps: Steps.
        first: Sequences of the first step.
        later: Sequences of every later one.
        total: Where the stream ends, so that the last step may be short; None: it does not.
    """

    max_steps: int
    first: int
    later: int
    total: int | None

    def places(self, step: int) -> tuple[int, int]:
        """Return first place and number of sequences of step `step`, counted from 1."""
        start = 0 if step == 1 else self.first + (step - 2) * self.later
        count = self.first if step == 1 else self.later
        return start, count if self.total is None else min(count, self.total - start)

    @property
    def end(self) -> int:
        """Return the number of places that the whole run reads."""
        first, count = self.places(self.max_steps)
        return first + count


def plan_stream(training: TrainingConfig, sequences: int, input_tokens: int) -> Stream:
    """Return the stream of a run over a split of so many sequences and input tokens.

    Under `accumulation_off_by_one` the first step has one micro-batch and a last partial one is added,
    whatever the budget: one epoch of 9,081,490 sequences at 128 x 2 has 35,476 steps, and so has
    `max_steps = 35475` (S:B5).
    """
    later = training.global_batch_size
    first = later // training.micro_batches if training.begins_with_a_part else later
    batches = training.max_steps
    if training.max_tokens is not None:
        per_step = input_tokens / sequences * later
        batches = max(1, round(training.max_tokens / per_step))
    if batches is not None:
        total = batches * later if training.begins_with_a_part else None
        return Stream(count_steps(training, batches), first, later, total)
    total = max(1, round((training.num_train_epochs or 1.0) * sequences))
    return Stream(1 + max(0, -(-(total - first) // later)), first, later, total)


def count_steps(training: TrainingConfig, batches: int) -> int:
    """Return steps that read as many sequences as so many global batches have."""
    return batches + training.begins_with_a_part


def plan_schedule(training: TrainingConfig, max_steps: int) -> LearningRateSchedule:
    """Return the learning rates of a run of `max_steps` steps."""
    warmup = warmup_length(max_steps, training.warmup_ratio, training.warmup_steps)
    return LearningRateSchedule(
        kind=training.lr_scheduler_type,
        peak=training.learning_rate,
        max_steps=max_steps,
        warmup_steps=warmup,
        decay_steps=max(0, min(round(training.decay_ratio * max_steps), max_steps - warmup)),
        min_ratio=training.min_lr_ratio,
        num_cycles=training.num_cycles,
    )


def evaluation_steps(training: TrainingConfig, max_steps: int) -> frozenset[int]:
    """Return steps after which to evaluate: none, the last, and log-spaced ones from the first on.

    The spacing does not depend on the length of the run, so that a longer run has a shorter one's
    points among its own.
    """
    points = {0, max_steps, *training.eval_steps}
    per_decade = training.eval_points_per_decade
    exponent = 0
    while per_decade and (step := round(10 ** (exponent / per_decade))) <= max_steps:
        points.add(step)
        exponent += 1
    return frozenset(point for point in points if point <= max_steps)
