"""The loop: updates, evaluation points, checkpoints, and what may interrupt them."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lilliput.architecture import training_flops
from lilliput.core.errors import ArtefactError, NonFiniteLossError
from lilliput.core.files import write_json_lines
from lilliput.core.progress import Reporter, Task
from lilliput.training.batches import Averaging, GlobalBatch, Grouping, make_batch
from lilliput.training.budget import evaluation_steps, plan_schedule, plan_stream
from lilliput.training.captured import captured_update
from lilliput.training.checkpoints import (
    Checkpoint,
    newest_resume_point,
    read_checkpoint,
    write_checkpoint,
    write_resume_point,
)
from lilliput.training.config import RunConfig
from lilliput.training.data import RunData
from lilliput.training.device_batches import expected_counts
from lilliput.training.engine import Engine, weighted_loss
from lilliput.training.interrupts import Interrupts
from lilliput.training.masking import MaskKey
from lilliput.training.order import DataOrder
from lilliput.training.plan import ExecutionPlan, load_or_make_plan, make_plan
from lilliput.training.progress import Progress
from lilliput.training.validation import Validation
from lilliput.training.weights import build_run_model, load_weights, named_weights

# On a GPU the loss is looked at every so many updates: reading it waits for the device.
_GPU_CHECK_INTERVAL = 50


@dataclass(frozen=True)
class Branching:
    """How a run takes part in a family of budgets (see `branches`).

    Attributes:
        lineage: Identity of the run without its budget.
        keep_states_at: Updates after which the whole state is kept for branches.
        start_from: State of a longer run of the same lineage to start from, if it is there.
    """

    lineage: str
    keep_states_at: Collection[int] = ()
    start_from: Path | None = None


class TrainingLoop:
    """One run in its folder, from wherever it stands to its end.

    Args:
        config: Model, recipe and seed.
        data: Splits and objective.
        folder: Of the run.
        reporter: Where progress goes.
        branching: Its place in a family of budgets.
    """

    def __init__(
        self,
        config: RunConfig,
        data: RunData,
        folder: Path,
        reporter: Reporter,
        branching: Branching,
    ) -> None:
        training = config.training
        self._branching = branching
        self._config, self._data, self._folder, self._reporter = config, data, folder, reporter
        self.checkpoints = folder / "checkpoints"
        self._stream = plan_stream(training, len(data.train), data.train.input_tokens)
        self._schedule = plan_schedule(training, self._stream.max_steps)
        self._evaluation_steps = evaluation_steps(training, self._stream.max_steps)
        self._order = DataOrder(len(data.train), config.seed, training.switches.shuffle)
        self._averaging = (
            Averaging(self._stream.later // training.micro_batches, training.micro_batches)
            if training.switches.accumulation_off_by_one
            else None
        )
        self._plan = load_or_make_plan(folder / "plan.json", self._make_plan)
        self._plan.apply()
        model = build_run_model(config, self._plan.attention_kernel).to(self._plan.device)
        self._engine = Engine(model, config, self._plan)
        self._captured = (
            captured_update(
                self._engine, data.train, data.objective, self._plan, self._stream.later
            )
            if self._averaging is None
            else None
        )
        self._validation = Validation(
            data.validation,
            data.objective,
            self._grouping(self._plan),
            data.token_bytes,
            count=training.eval_sequences,
            batch_size=training.eval_batch_size,
            batch_averaged=training.switches.eval_average == "batch",
            redraw_seed=config.seed if training.switches.redraw_evaluation_masks else None,
        )
        self._progress = Progress()
        self._records: list[dict[str, Any]] = []
        self._resumed_at = time.monotonic()
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Train to the end.

        Raises:
            NonFiniteLossError: The loss is not a number.
            KeyboardInterrupt: The run was asked to stop and has saved itself.
        """
        self._resume()
        total = self._stream.max_steps
        with Interrupts() as interrupts, self._reporter.task("train", total, "updates") as task:
            task.advance(self._progress.step)
            if self._progress.step == 0:
                write_checkpoint(self.checkpoints / "initial", self._weights_only())
                self._evaluate(learning_rate=0.0)
            while self._progress.step < total:
                self._advance(task)
                if interrupts.requested:
                    self._save_resume_point()
                    raise KeyboardInterrupt
        write_checkpoint(self.checkpoints / "final", self._weights_only())

    def summary(self) -> dict[str, Any]:
        """The figures of the last evaluation, and of the whole run."""
        last = {key: value for key, value in self._records[-1].items() if key != "learning_rate"}
        steps = last.pop("step")
        seconds = max(self._progress.update_time_s, 1e-9)
        return last | {"steps": steps, "tokens_per_s": self._progress.tokens / seconds}

    def _advance(self, task: Task) -> None:
        """One update, with what falls due after it."""
        started = time.perf_counter()
        step = self._progress.step + 1
        learning_rate = self._schedule.learning_rate(step)
        loss, batch = self._update(step, learning_rate)
        evaluates = step in self._evaluation_steps
        if evaluates or self._plan.device == "cpu" or step % _GPU_CHECK_INTERVAL == 0:
            self._require_finite(float(loss), step, learning_rate)
        self._progress = self._progress.after(batch, time.perf_counter() - started)
        if evaluates:
            self._evaluate(learning_rate)
            task.advance(0, note=f"loss {self._records[-1]['loss']:.3f}")
        if step in self._config.training.save_steps:
            write_checkpoint(self.checkpoints / f"step-{step}", self._weights_only())
        if step in self._branching.keep_states_at:
            write_checkpoint(self.checkpoints / f"state-{step}", self._whole_state())
        if time.monotonic() - self._saved_at > self._config.training.save_interval_s:
            self._save_resume_point()
        task.advance()

    def _update(self, step: int, learning_rate: float) -> tuple[Tensor, GlobalBatch]:
        """Take an update by the fastest way this device has; its loss, and what it read."""
        data = self._data
        chosen = self._order.sequences_at(*self._stream.places(step))
        if self._captured is not None and self._captured.serves(chosen):
            loss = self._captured(chosen, self._mask_key(step), learning_rate)
            return loss, expected_counts(data.train, chosen, data.objective)
        batch = self._batch(step)
        return self._engine.update(batch, learning_rate, step), batch

    def _batch(self, step: int) -> GlobalBatch:
        return make_batch(
            self._data.train,
            self._order.sequences_at(*self._stream.places(step)),
            self._mask_key(step),
            self._data.objective,
            self._grouping(self._plan),
            averaging=self._averaging,
        )

    def _mask_key(self, step: int) -> MaskKey:
        return MaskKey.of(self._config.seed, "train", step)

    def _grouping(self, plan: ExecutionPlan) -> Grouping:
        return Grouping(plan.max_rows, plan.overhead_tokens)

    def _make_plan(self) -> ExecutionPlan:
        model = build_run_model(self._config)

        def probe(plan: ExecutionPlan) -> None:
            chosen = self._order.sequences_at(*self._stream.places(1))
            objective, grouping = self._data.objective, self._grouping(plan)
            batch = make_batch(self._data.train, chosen, self._mask_key(1), objective, grouping)
            model.attention_kernel = plan.attention_kernel
            weighted_loss(model, batch.micro_batches[-1], plan).backward()

        return make_plan(self._config.built_model(), self._config.training, probe)

    def _evaluate(self, learning_rate: float) -> None:
        """Measure the validation loss, and write all records of the run anew."""
        progress = self._progress
        measured = self._validation.measure(self._engine.model, self._plan, progress.evaluations)
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
        progress, training = self._progress, self._config.training
        return training_flops(
            self._config.model,
            seq_length=training.max_seq_length,
            sequences=progress.sequences,
            tokens=progress.tokens,
            squared_lengths=progress.squared_lengths,
            mlm_probability=training.mlm_probability,
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
        return Checkpoint(self._progress.step, named_weights(self._engine.model), {}, {})

    def _save_resume_point(self) -> None:
        """Write a checkpoint to resume from, unless the weights are already lost."""
        self._saved_at = time.monotonic()
        if not bool(torch.isfinite(self._engine.optimizer.weights).all()):
            return
        write_resume_point(
            self.checkpoints, self._whole_state(), self._config.training.save_total_limit
        )

    def _whole_state(self) -> Checkpoint:
        progress = replace(self._progress, wall_time_s=self._wall_time())
        state = {
            "progress": asdict(progress),
            "records": self._records,
            "lineage": self._branching.lineage,
        }
        return Checkpoint(
            progress.step,
            named_weights(self._engine.model),
            self._engine.optimizer.state(),
            state,
        )

    def _resume(self) -> None:
        """Go on from the newest whole checkpoint, or from the trunk, if there is one."""
        checkpoint, faults = newest_resume_point(self.checkpoints)
        for fault in faults:
            self._reporter.say(fault)
        checkpoint = checkpoint or self._trunk_state()
        if checkpoint is None:
            return
        load_weights(self._engine.model, checkpoint.weights, where=f"step {checkpoint.step}")
        self._engine.optimizer.load_state(dict(checkpoint.optimizer))
        self._progress = Progress(**checkpoint.state["progress"])
        self._records = list(checkpoint.state["records"])

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
