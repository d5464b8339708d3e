"""The loop of one run: steps, and what may interrupt them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from lilliput.core.progress import Reporter, Task
from lilliput.training.data.batches import GlobalBatch, MicroBatch
from lilliput.training.data.token_data import RunData
from lilliput.training.execution.captured import captured_step
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.interrupts import InterruptedWork, Interrupts
from lilliput.training.execution.plan import (
    ExecutionPlan,
    load_or_make_plan,
    make_plan,
    wait_for_device,
)
from lilliput.training.execution.replicas import Replicas
from lilliput.training.recorder import BudgetBranching, RunRecorder
from lilliput.training.run_config import PLAN, RunConfig
from lilliput.training.run_folder import load_model
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.weights import build_run_model, build_start


class TrainingLoop:
    """One run in its folder, from wherever it stands to its end.

    Args:
        config: Model, recipe and seed.
        data: Splits, and how they become batches.
        folder: Of the run.
        reporter: Where progress goes.
        branching: Its place in a family of budgets.
        weights_from: Hugging Face folder with the weights that `config.initial_weights` names.
    """

    def __init__(
        self,
        config: RunConfig,
        data: RunData,
        folder: Path,
        reporter: Reporter,
        branching: BudgetBranching,
        weights_from: Path | None = None,
    ) -> None:
        self._reporter = reporter
        self.schedule = RunSchedule.of(config, data)
        objective = data.rules.objective
        objective.prepare(load_model)
        self.plan = load_or_make_plan(folder / PLAN, lambda: plan_for(self.schedule))
        self.plan.apply()
        initial = folder / "checkpoints" / "initial"
        model = build_start(
            config, self.plan.attention_kernel, initial, weights_from, data.train.tokens
        )
        self._interrupts = Interrupts()
        self.engine = Engine(
            model.to(self.plan.device), objective, config, self.plan, self._interrupts
        )
        self._captured = captured_step(
            self.engine, self.schedule, self.plan, self._interrupts, reporter.say
        )
        self.recorder = RunRecorder(
            self.schedule,
            folder,
            self.engine.model,
            self.engine.optimizer,
            self.plan,
            reporter,
            branching,
            self._interrupts,
        )

    @property
    def checkpoints(self) -> Path:
        """Return folder of the run's checkpoints."""
        return self.recorder.checkpoints

    def run(self) -> None:
        """Train to the end.

        Raises:
            NonFiniteLossError: The loss is not a number.
            KeyboardInterrupt: The run was asked to stop and has saved itself.
        """
        recorder, total = self.recorder, self.schedule.stream.max_steps
        with self._interrupts, self._reporter.task("train", total, "steps") as task:
            try:
                recorder.open()
                task.found(recorder.step)
                while not recorder.is_finished:
                    self._interrupts.check()
                    self._advance(task)
            except InterruptedWork:
                recorder.save()
                raise KeyboardInterrupt from None
        recorder.close()

    def summary(self) -> dict[str, Any]:
        """Return the figures of the last evaluation, and of the whole run."""
        return self.recorder.summary()

    def _advance(self, task: Task) -> None:
        """Take one step, and do what falls due after it."""
        step = self.recorder.step + 1
        self._record(step)
        started = time.perf_counter()
        loss, batch = self._take(step)
        if self.recorder.looks_next:
            wait_for_device(self.plan)
        evaluated = self.recorder.enter(loss, batch, time.perf_counter() - started)
        self.recorder.settle()
        if self.recorder.is_save_due:
            self.recorder.save()
        task.advance(note=f"loss {self.recorder.last_loss:.3f}" if evaluated else "")

    def _record(self, step: int) -> None:
        """Record the step where it will be replayed and is not yet: the time of steps leaves that out."""
        if self._captured is not None and self._captured.serves(step):
            self._captured.prepare(step)

    def _take(self, step: int) -> tuple[Tensor, GlobalBatch]:
        """Take a step by the fastest way this device has; its loss, and what it read."""
        learning_rate = self.schedule.rates.learning_rate(step)
        if self._captured is not None and self._captured.serves(step):
            return self._captured(step, learning_rate)
        batch = self.batch(step)
        return self.engine.step(batch, learning_rate, step), batch

    def batch(self, step: int) -> GlobalBatch:
        """Return the global batch of step `step`, cut as the plan says."""
        return self.schedule.batch(step, self.plan.max_rows, multiple_of=self.plan.replicas)


def plan_for(schedule: RunSchedule, *, may_replicate: bool = True) -> ExecutionPlan:
    """Return the plan of a run on this machine; a few micro-batches are timed where the threads are left open.

    Args:
        schedule: Of the run.
        may_replicate: Whether micro-batches may be computed side by side where the run allows it.
    """
    config = schedule.config

    @lru_cache(maxsize=1)  # Replicas of a plan that was tried are not kept beside the next one's.
    def prepared(plan: ExecutionPlan) -> tuple[Replicas, Sequence[MicroBatch]]:
        model = build_run_model(config, plan.attention_kernel)
        batch = schedule.batch(1, plan.max_rows, multiple_of=plan.replicas)
        return Replicas(model, schedule.data.rules.objective, plan), batch.micro_batches

    def probe(plan: ExecutionPlan) -> int:
        replicas, micro_batches = prepared(plan)
        replicas.add_gradients(micro_batches[-plan.replicas :])
        return -(-len(micro_batches) // plan.replicas)

    most_replicas = config.most_replicas if may_replicate else 1
    return make_plan(
        config.training,
        config.max_cpu_rows(),
        probe,
        most_replicas=most_replicas,
        max_gpu_rows=config.max_gpu_rows(),
    )
