"""The loop of a fleet: one step of all members at once, and each member's own curve and fate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from lilliput.core.errors import LilliputError
from lilliput.core.progress import Reporter, Task
from lilliput.training.data.batches import GlobalBatch
from lilliput.training.execution.interrupts import InterruptedWork, Interrupts
from lilliput.training.execution.plan import ExecutionPlan, wait_for_device
from lilliput.training.fleet.batches import stacked_batch
from lilliput.training.fleet.captured import captured_fleet
from lilliput.training.fleet.stack import Stack
from lilliput.training.recorder import BudgetBranching, RunRecorder
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.validation import Validation
from lilliput.training.weights import build_run_model


class FleetLoop:
    """Members of one fleet, from wherever each stands to its end or its failure.

    Those furthest behind advance; so members that were saved at different steps meet again. A member
    that is done or failed stays in the stack and is not updated: so what a step computes follows from
    the plan and the step's number, never from who else is still running.

    Args:
        planned: The schedule of every run of the plan's fleet, finished or not.
        folders: Of the members to train, by their position in `planned`.
        lineages: Identity of each without its budget.
        plan: How they are executed.
        reporter: Where progress goes.
    """

    def __init__(
        self,
        planned: Sequence[RunSchedule],
        folders: Mapping[int, Path],
        lineages: Mapping[int, str],
        plan: ExecutionPlan,
        reporter: Reporter,
    ) -> None:
        self._planned, self._reporter, self._interrupts = planned, reporter, Interrupts()
        self._plan, self._max_rows = plan, plan.max_rows
        models = [
            build_run_model(schedule.config, plan.attention_kernel).to(plan.device)
            for schedule in planned
        ]
        # Always all of the plan: how products are batched decides their rounding.
        recipes = [schedule.config.training for schedule in planned]
        self._stack = Stack(models, recipes, plan, self._interrupts)
        self._captured = captured_fleet(self._stack, planned, plan, self._interrupts, reporter.say)
        validations = Validation.of_members(planned, plan.max_rows)
        self.recorders = {
            position: RunRecorder(
                planned[position],
                folder,
                models[position],
                self._stack.optimizers[position],
                plan,
                reporter,
                BudgetBranching(lineages[position]),
                self._interrupts,
                validations[position],
            )
            for position, folder in folders.items()
        }
        self.failures: dict[int, LilliputError] = {}

    def run(self) -> None:
        """Train every member to its end; `failures` says who did not get there, and why.

        Raises:
            KeyboardInterrupt: The fleet was asked to stop; all members have saved themselves.
        """
        total = sum(recorder.schedule.stream.max_steps for recorder in self.recorders.values())
        with self._interrupts, self._reporter.task("fleet", total, "steps") as task:
            try:
                for position in list(self.recorders):
                    self._try(position, self.recorders[position].open)
                task.found(sum(recorder.step for recorder in self.recorders.values()))
                while active := self._furthest_behind():
                    self._interrupts.check()
                    self._advance(active, task)
                    if any(recorder.is_save_due for recorder in self._running().values()):
                        self._save()
            except InterruptedWork:
                self._save()
                raise KeyboardInterrupt from None
        for position, recorder in list(self.recorders.items()):
            if position not in self.failures:
                self._try(position, recorder.close)

    def _running(self) -> dict[int, RunRecorder]:
        return {
            position: recorder
            for position, recorder in self.recorders.items()
            if position not in self.failures and not recorder.is_finished
        }

    def _furthest_behind(self) -> tuple[int, ...]:
        running = self._running()
        first = min((recorder.step for recorder in running.values()), default=0)
        return tuple(position for position, recorder in running.items() if recorder.step == first)

    def _advance(self, active: tuple[int, ...], task: Task) -> None:
        """Take one step of the members `active`, and do what falls due after it."""
        step = self.recorders[active[0]].step + 1
        if self._captured is not None and self._captured.serves(step):
            self._captured.prepare(step, active)
        started = time.perf_counter()
        losses_K, batches = self._take(active, step)
        if any(self.recorders[position].looks_next for position in active):
            wait_for_device(self._plan)
        # Each member's share of the time: rates add up to what the machine does.
        seconds = (time.perf_counter() - started) / len(active)
        for position in active:
            recorder, loss, read = self.recorders[position], losses_K[position], batches[position]
            self._try(position, lambda b=recorder, x=loss, r=read: b.enter(x, r, seconds))
        # When all are counted: an interrupt may cut an evaluation short, and every member is saved as it is then.
        for position in active:
            if position not in self.failures:
                self._try(position, self.recorders[position].settle)
        task.advance(len(active))

    def _take(self, active: tuple[int, ...], step: int) -> tuple[Tensor, list[GlobalBatch]]:
        """Step `active` by the fastest way this device has; all members' losses, and what each read."""
        rates = {p: self._planned[p].rates.learning_rate(step) for p in active}
        if self._captured is not None and self._captured.serves(step):
            return self._captured(step, rates)
        batch = stacked_batch(self._planned, step, self._max_rows)
        return self._stack.step(batch.micro_batches, rates), batch.batches

    def _save(self) -> None:
        for position, recorder in self.recorders.items():
            if position not in self.failures and not recorder.is_saved:
                self._try(position, recorder.save)

    def _try(self, position: int, work: Callable[[], object]) -> None:
        """Do a member's own work; if that fails, the member is out and the others go on."""
        try:
            work()
        except LilliputError as error:
            self.failures[position] = error
            self._reporter.say(f"{self.recorders[position].checkpoints.parent.name}: {error}")
