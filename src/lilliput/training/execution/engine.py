"""Take one step: compute the gradient of a global batch, clip it and apply AdamW."""

from __future__ import annotations

import torch
from torch import Tensor

from lilliput.core.seeding import stream_key
from lilliput.models import LanguageModel
from lilliput.training.config import TrainingConfig
from lilliput.training.data.batches import GlobalBatch
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.optimizer import FlatAdamW
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.execution.replicas import Replicas
from lilliput.training.objectives.base import Objective
from lilliput.training.run_config import RunConfig


class Engine:
    """Train a model with its optimizer, one global batch at a time.

    Args:
        model: On the plan's device.
        objective: The loss of a micro-batch.
        config: Optimizer settings and seed.
        plan: Precision and device.
        interrupts: What may cut a step short; weights and moments are then as they were.
    """

    def __init__(
        self,
        model: LanguageModel,
        objective: Objective,
        config: RunConfig,
        plan: ExecutionPlan,
        interrupts: Interrupts | None = None,
    ) -> None:
        training = config.training
        self.model = model
        # A batch uses few of the rows: their gradients are added, no matrix of zeros is filled with them.
        model.embeddings.word.sparse = plan.device == "cpu"
        self.optimizer = make_optimizer(model, training)
        self._replicas = Replicas(model, objective, plan, interrupts)
        self._max_grad_norm = training.switches.max_grad_norm
        self._seed = config.seed
        self._has_dropout = config.has_dropout

    def step(self, batch: GlobalBatch, learning_rate: float, step: int) -> Tensor:
        """Take step number `step`; its training loss in nats, a scalar still on the device."""
        self.seed_dropout(step)
        loss = self.accumulate(batch)
        self.optimizer.set_learning_rate(learning_rate)
        self.apply()
        return loss

    def seed_dropout(self, step: int) -> None:
        """Have the draws of dropout follow from the run's seed and the step; a replayed graph reads this seed too."""
        if self._has_dropout:
            torch.manual_seed(stream_key(self._seed, "dropout", step) >> 1)

    def apply(self) -> None:
        """Clip the gradient in the buffer, and let AdamW use it at the rate that is set."""
        self.optimizer.clip(self._max_grad_norm)
        self.optimizer.step()

    def accumulate(self, batch: GlobalBatch) -> Tensor:
        """Leave the gradient of the batch's loss in the optimizer's buffer; the loss."""
        self.optimizer.zero_grad()
        return self._replicas.add_gradients(batch.micro_batches)


def make_optimizer(
    model: LanguageModel, training: TrainingConfig, buffers: tuple[Tensor, Tensor] | None = None
) -> FlatAdamW:
    """Return the optimizer that a recipe asks for, over the parameters of `model`."""
    return FlatAdamW(
        model,
        weight_decay=training.weight_decay,
        betas=(training.adam_beta1, training.adam_beta2),
        eps=training.adam_epsilon,
        decay_all=training.switches.decay_all_parameters,
        buffers=buffers,
    )
