"""The counters of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lilliput.training.data.batches import GlobalBatch


@dataclass(frozen=True)
class Progress:
    """Counters of a run; all of them go into its checkpoints.

    Attributes:
        step: Steps done.
        evaluations: Evaluations done.
        sequences: Sequences read.
        tokens: Input tokens read, without pads.
        squared_lengths: Sum of their sequences' squared lengths.
        predicted: Predicted positions.
        step_time_s: Spent in steps.
        wall_time_s: Spent in all.
    """

    step: int = 0
    evaluations: int = 0
    sequences: int = 0
    tokens: int = 0
    squared_lengths: int = 0
    predicted: int = 0
    step_time_s: float = 0.0
    wall_time_s: float = 0.0

    def after(self, batch: GlobalBatch, seconds: float) -> Progress:
        """Return the counters after one more step."""
        return replace(
            self,
            step=self.step + 1,
            sequences=self.sequences + batch.sequences,
            tokens=self.tokens + batch.tokens,
            squared_lengths=self.squared_lengths + batch.squared_lengths,
            predicted=self.predicted + batch.predicted,
            step_time_s=self.step_time_s + seconds,
        )
