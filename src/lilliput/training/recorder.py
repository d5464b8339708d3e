"""The recorder of a run: it keeps counters, curve and checkpoints, and does what falls due after a step."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lilliput.core.errors import ArtefactError, NonFiniteLossError
from lilliput.core.files import write_json_lines
from lilliput.core.progress import Reporter
from lilliput.models import LanguageModel
from lilliput.training.checkpoints import (
    Checkpoint,
    newest_resume_point,
    read_checkpoint,
    write_checkpoint,
    write_resume_point,
)
from lilliput.training.data.batches import GlobalBatch
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.optimizer import FlatAdamW
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.validation import Validation
from lilliput.training.weight_average import WeightAverage
from lilliput.training.weights import load_weights, named_weights

# On a GPU the loss is looked at every so many steps: reading it waits for the device.
_GPU_CHECK_INTERVAL = 50


@dataclass(frozen=True)
class Counters:
    """Count what a run has done; all counters go into its checkpoints.

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

    def after(self, batch: GlobalBatch, seconds: float) -> Counters:
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


@dataclass(frozen=True)
class BudgetBranching:
    """Say how a run takes part in a family of budgets (see `branches`).

    Attributes:
        lineage: Identity of the run without its budget.
        keep_states_at: Steps after which the whole state is kept for branches.
        start_from: State of a longer run of the same lineage to start from, if it is there.
    """

    lineage: str
    keep_states_at: Collection[int] = ()
    start_from: Path | None = None


class RunRecorder:
    """The counters, the curve and the checkpoints of one run; alone or in a fleet, its steps are computed elsewhere.

    Args:
        schedule: What the run will do.
        folder: Folder of the run.
        model: Its weights, wherever they lie; the recorder reads them, and writes them on resume.
        optimizer: The optimizer, whose moments are saved and restored with the model.
        plan: Precision and device.
        reporter: Receives a message for each broken checkpoint that was skipped.
        branching: Its place in a family of budgets.
        interrupts: They may cut an evaluation short; the run repeats it when it goes on.
        validation: The validation sequences; made when absent.
    """

    def __init__(
        self,
        schedule: RunSchedule,
        folder: Path,
        model: LanguageModel,
        optimizer: FlatAdamW,
        plan: ExecutionPlan,
        reporter: Reporter,
        branching: BudgetBranching,
        interrupts: Interrupts,
        validation: Validation | None = None,
    ) -> None:
        self.schedule, self.model, self.optimizer = schedule, model, optimizer
        self.checkpoints = folder / "checkpoints"
        self._folder, self._plan, self._reporter = folder, plan, reporter
        self._branching, self._interrupts = branching, interrupts
        self.validation = validation or Validation.of(schedule, plan.max_rows)
        average_last = schedule.config.training.average_last
        self._average = WeightAverage(schedule.stream.max_steps, average_last)
        self._progress = Counters()
        self._records: list[dict[str, Any]] = []
        self._resumed_at = time.monotonic()
        self._saved_at = time.monotonic()
        self._saved = (0, 0)  # Steps and evaluations of the newest checkpoint to resume from.

    @property
    def step(self) -> int:
        """Return steps done."""
        return self._progress.step

    @property
    def is_finished(self) -> bool:
        """Return whether all steps are done."""
        return self._progress.step >= self.schedule.stream.max_steps

    @property
    def is_saved(self) -> bool:
        """Return whether the newest checkpoint to resume from holds all that there is."""
        return self._saved == (self.step, len(self._records))

    @property
    def last_loss(self) -> float:
        """Return validation loss at the last evaluation, in nats."""
        return float(self._records[-1]["loss"])

    def open(self) -> None:
        """Go on where the run stands, or write its untrained weights and their loss.

        Raises:
            NonFiniteLossError: The untrained model's loss is not a number.
            Stopped: An interrupt came during an evaluation.
        """
        self._resume()
        if self._records:
            self.settle()
        else:
            write_checkpoint(self.checkpoints / "initial", self._weights_only())
            self._evaluate(learning_rate=0.0)

    def enter(self, loss: Tensor, batch: GlobalBatch, seconds: float) -> bool:
        """Count one more step that gave `loss` and took `seconds`; whether it calls for an evaluation.

        Raises:
            NonFiniteLossError: The loss is not a number.
        """
        step = self.step + 1
        learning_rate = self.schedule.rates.learning_rate(step)
        if self.looks_next:
            self._require_finite(float(loss), step, learning_rate)
        self._progress = self._progress.after(batch, seconds)
        return step in self.schedule.evaluation_steps

    @property
    def looks_next(self) -> bool:
        """Return whether the loss of the next step will be looked at."""
        step = self.step + 1
        evaluates = step in self.schedule.evaluation_steps
        return evaluates or self._plan.device == "cpu" or step % _GPU_CHECK_INTERVAL == 0

    def settle(self) -> None:
        """Do what falls due after the last step: its evaluation, and checkpoints that were asked for.

        Raises:
            NonFiniteLossError: The loss is not a number.
            Stopped: An interrupt came during the evaluation; the next call makes up for it.
        """
        step = self.step
        self._average.take(step, self.optimizer.weights)
        if step in self.schedule.evaluation_steps and self._records[-1]["step"] != step:
            self._evaluate(self.schedule.rates.learning_rate(step))
        if step in self.schedule.config.training.save_steps:
            write_checkpoint(self.checkpoints / f"step-{step}", self._weights_only())
        if step in self._branching.keep_states_at:
            write_checkpoint(self.checkpoints / f"state-{step}", self._whole_state())

    @property
    def is_save_due(self) -> bool:
        """Return whether the last checkpoint to resume from is older than the recipe allows."""
        age = time.monotonic() - self._saved_at
        return age > self.schedule.config.training.save_interval_s

    def save(self) -> None:
        """Write a checkpoint to resume from, unless the weights are already lost."""
        self._saved_at = time.monotonic()
        if not bool(torch.isfinite(self.optimizer.weights).all()):
            return
        keep = self.schedule.config.training.save_total_limit
        write_resume_point(self.checkpoints, self._whole_state(), keep)
        self._saved = (self.step, len(self._records))

    def close(self) -> None:
        """Write the weights at the end."""
        write_checkpoint(self.checkpoints / "final", self._weights_only())

    def summary(self) -> dict[str, Any]:
        """Return the figures of the last evaluation, and of the whole run."""
        last = {key: value for key, value in self._records[-1].items() if key != "learning_rate"}
        steps = last.pop("step")
        seconds = max(self._progress.step_time_s, 1e-9)
        return last | {"steps": steps, "tokens_per_s": self._progress.tokens / seconds}

    def _evaluate(self, learning_rate: float) -> None:
        """Measure the validation loss, and write all records of the run anew."""
        progress = self._progress
        measured = self.validation.measure(
            self.model, self._plan, progress.evaluations, self._interrupts
        )
        self._require_finite(measured.loss, progress.step, learning_rate)
        self._progress = replace(progress, evaluations=progress.evaluations + 1)
        self._records.append(
            {
                "step": progress.step,
                "tokens_seen": progress.tokens,
                **asdict(measured),
                "perplexity": measured.perplexity,
                "learning_rate": learning_rate,
                **self._flops(),
                "wall_time_s": round(self._wall_time(), 3),
            }
        )
        write_json_lines(self._folder / "metrics.jsonl", self._records)

    def _flops(self) -> dict[str, float]:
        progress = self._progress
        return self.schedule.data.rules.objective.training_flops(
            sequences=progress.sequences,
            tokens=progress.tokens,
            squared_lengths=progress.squared_lengths,
            predicted_tokens=progress.predicted,
        )

    def _require_finite(self, loss: float, step: int, learning_rate: float) -> None:
        if math.isfinite(loss) and loss < math.log(torch.finfo(torch.float64).max):
            return
        saved = newest_resume_point(self.checkpoints)[0]
        name = f"resume-{saved.step}" if saved else "initial"
        raise NonFiniteLossError(
            f"the loss must be a finite number: step {step}, learning rate {learning_rate:.3g}",
            got=loss,
            remedy=f"Lower training.learning_rate or lengthen the warm-up; the last good checkpoint is {name}.",
        )

    def _wall_time(self) -> float:
        return self._progress.wall_time_s + time.monotonic() - self._resumed_at

    def _weights_only(self) -> Checkpoint:
        return Checkpoint(self.step, named_weights(self.model), {}, {})

    def _whole_state(self) -> Checkpoint:
        progress = replace(self._progress, wall_time_s=self._wall_time())
        state = {
            "progress": asdict(progress),
            "records": self._records,
            "lineage": self._branching.lineage,
            **self._average.record(),
        }
        tensors = self.optimizer.state() | self._average.tensors()
        return Checkpoint(progress.step, named_weights(self.model), tensors, state)

    def _resume(self) -> None:
        """Go on from the newest whole checkpoint, or from the trunk, if there is one."""
        checkpoint, faults = newest_resume_point(self.checkpoints)
        for fault in faults:
            self._reporter.say(fault)
        checkpoint = checkpoint or self._trunk_state()
        if checkpoint is None:
            return
        load_weights(self.model, checkpoint.weights, where=f"step {checkpoint.step}")
        self.optimizer.load_state(dict(checkpoint.optimizer))
        self._average.restore(checkpoint.optimizer, checkpoint.state, self.optimizer.weights.device)
        self._progress = Counters(**checkpoint.state["progress"])
        self._records = list(checkpoint.state["records"])
        self._saved = (self.step, len(self._records))

    def _trunk_state(self) -> Checkpoint | None:
        folder = self._branching.start_from
        if folder is None or not folder.is_dir():
            return None
        checkpoint = read_checkpoint(folder)
        if checkpoint.state["lineage"] != self._branching.lineage:
            raise ArtefactError(
                f"{folder} must be a state of the same recipe, seed and token store",
                got=checkpoint.state["lineage"],
            )
        # A branch has its own first checkpoint, as a run from scratch has.
        write_checkpoint(self.checkpoints / "initial", self._weights_only())
        return checkpoint
