"""Micro-batches of one step side by side, each on its share of the processor's threads.

Two threads in every product wait for each other at its end, thousands of times a step, and crawl when
somebody else holds a core. Replicas of the model, each with gradients of its own, meet once a step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import torch
from torch import Tensor

from lilliput.models import LanguageModel
from lilliput.training.data.batches import MicroBatch
from lilliput.training.execution.gradients import add_gradients, gradient_of
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.objectives.base import Objective


class Replicas:
    """A model and as many replicas that share its weights as the plan asks for.

    Which replica takes which micro-batch, and the order in which their gradients are added, are fixed: the sum
    is bitwise the same whenever it is made.

    Args:
        model: On the plan's device; the gradients are added to its.
        objective: The loss of a micro-batch.
        plan: Replicas and precision.
        interrupts: What may cut them short; gradients are worth nothing then.
    """

    def __init__(
        self,
        model: LanguageModel,
        objective: Objective,
        plan: ExecutionPlan,
        interrupts: Interrupts | None = None,
    ) -> None:
        self._objective = objective
        self._plan, self._interrupts = plan, interrupts or Interrupts()
        self._is_ended = False
        self._models = [model, *(_replica(model) for _ in range(1, plan.replicas))]
        self._pool = replica_threads(plan) if plan.replicas > 1 else None

    def add_gradients(self, micro_batches: Sequence[MicroBatch]) -> Tensor:
        """Add the gradients of the micro-batches' weighted losses to the model's; the loss in nats."""
        model, *others = self._models
        if self._pool is None:
            return self._add(model, self._share(micro_batches, 0))
        futures = [
            self._pool.submit(self._add, replica, self._share(micro_batches, place))
            for place, replica in enumerate(self._models)
        ]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            self._is_ended = True  # By an error or an interrupt.
            raise
        loss = torch.stack([future.result() for future in futures]).sum()
        for other in others:
            for parameter, replica in zip(model.parameters(), other.parameters(), strict=True):
                gradient = gradient_of(replica)
                gradient_of(parameter).add_(gradient)
                gradient.zero_()
        return loss

    def _add(self, model: LanguageModel, micro_batches: Iterator[MicroBatch]) -> Tensor:
        return add_gradients(model, self._objective, micro_batches, self._plan)

    def _share(self, micro_batches: Sequence[MicroBatch], place: int) -> Iterator[MicroBatch]:
        """Return the micro-batches of one replica; no more of them once the step has ended."""
        for micro in micro_batches[place :: len(self._models)]:
            if self._is_ended:
                return
            self._interrupts.check()
            yield micro


def replica_threads(plan: ExecutionPlan) -> ThreadPoolExecutor:
    """Return a thread for each of the plan's replicas, which computes on its share of the processor's."""
    share = plan.threads_a_replica
    return ThreadPoolExecutor(plan.replicas, "replica", torch.set_num_threads, (share,))


def _replica(model: LanguageModel) -> LanguageModel:
    """Return the same weights, with gradients of its own."""
    replica = copy.deepcopy(model)
    for mine, shared in zip(replica.parameters(), model.parameters(), strict=True):
        mine.data = shared.data
    return replica
