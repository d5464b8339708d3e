"""K classifiers of one shape as one computation: one batch of all their rows, one buffer of weights.

K members, B rows of all members, L length, C outputs, P parameters of a member.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lilliput.evaluation.fine_tuning.classifier import Classifier
from lilliput.evaluation.fine_tuning.stack.dropout import DropoutKeys
from lilliput.evaluation.fine_tuning.stack.modules import stack_parts
from lilliput.evaluation.settings import FineTuningSettings
from lilliput.training.execution.optimizer import FlatAdamW, flat_size, member_views

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class ClassifierStack:
    """Classifiers with their optimizers, trained and read together.

    Each member's parameters become views of its row of one float32 buffer. With bfloat16 the products
    read a rounded copy of that buffer, made once a step, and activations are bfloat16 too.

    Args:
        models: Of one shape, on one device, in training mode or not.
        seeds: Of each member's dropout.
        settings: Optimizer, clipping and dtype.

    Attributes:
        gradients: Of the last step, clipped, float32, shape (K, P).
    """

    def __init__(
        self, models: Sequence[Classifier], seeds: Sequence[int], settings: FineTuningSettings
    ) -> None:
        first, device = models[0], models[0].out.weight.device
        self._settings = settings
        self._draws = DropoutKeys(tuple(seeds))
        self._model = copy.deepcopy(first)
        stack_parts(self._model, self._draws, settings.encoder_dropout)
        self._weights_KP = torch.zeros(len(models), flat_size(first), device=device)
        self.gradients = torch.zeros_like(self._weights_KP)
        self._optimizers = [
            FlatAdamW(
                model,
                weight_decay=settings.weight_decay,
                betas=_BETAS,
                eps=_EPSILON,
                buffers=(weights_P, gradients_P),
            )
            for model, weights_P, gradients_P in zip(
                models, self._weights_KP, self.gradients, strict=True
            )
        ]
        dtype = torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
        places = self._optimizers[0].places
        self._weights = list(member_views(self._weights_KP, first, places).values())
        self._gradients = list(member_views(self.gradients, first, places).values())
        # Batched products copy what lies apart, as the rows of a buffer do: they read these instead.
        self._leaves = [
            torch.empty(view.shape, dtype=dtype, device=device, requires_grad=True)
            for view in self._weights
        ]
        self._refresh()
        names = [name for name, _ in first.named_parameters()]
        for name, leaf in zip(names, self._leaves, strict=True):
            path, _, last = name.rpartition(".")
            setattr(self._model.get_submodule(path), last, leaf)

    def __len__(self) -> int:
        return len(self._optimizers)

    @property
    def outputs(self) -> int:
        """Width of a member's result."""
        return self._model.out.weight.shape[1]

    @property
    def device(self) -> torch.device:
        """Return the device on which it computes."""
        return self._weights_KP.device

    def step(
        self,
        step: int,
        ids_BL: Tensor,
        is_token_BL: Tensor | None,
        labels_B: Tensor,
        learning_rates: Sequence[float],
    ) -> Tensor:
        """Take optimizer step number `step` and return the members' mean losses, (K,).

        Args:
            step: From 0; dropout is a function of the member's seed and of it.
            ids_BL: The rows of member 0, then of member 1, and so on.
            is_token_BL: None where nothing is padding.
            labels_B: Class numbers (int64), or values (float32) where the task is a regression.
            learning_rates: Of each member.
        """
        self._draws.begin(step)
        self._model.train()
        losses_K = self._losses(self._model(ids_BL, is_token_BL).float(), labels_B)
        # Not `backward`: it would find fault with gradients that lie apart, as rows of a buffer.
        found = torch.autograd.grad(losses_K.sum(), self._leaves)
        for gradient, part in zip(self._gradients, found, strict=True):
            gradient.copy_(part)
        for optimizer, learning_rate in zip(self._optimizers, learning_rates, strict=True):
            optimizer.clip(self._settings.max_grad_norm or 0.0)
            optimizer.set_learning_rate(learning_rate)
            optimizer.step()
        self._refresh()
        return losses_K.detach()

    @torch.no_grad()
    def _refresh(self) -> None:
        for leaf, view in zip(self._leaves, self._weights, strict=True):
            leaf.copy_(view)

    def _losses(self, out_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats, or mean squared error, of each member, (K,)."""
        if labels_B.is_floating_point():
            losses_B = functional.mse_loss(out_BC[:, 0], labels_B, reduction="none")
        else:
            losses_B = functional.cross_entropy(out_BC, labels_B, reduction="none")
        return losses_B.view(len(self), -1).mean(1)

    @torch.no_grad()
    def read(self, ids_BL: Tensor, is_token_BL: Tensor | None) -> Tensor:
        """Return each member's float32 outputs (K, B, C) for the same rows, without dropout."""
        self._model.eval()
        members = len(self)
        is_token = None if is_token_BL is None else is_token_BL.repeat(members, 1)
        return self._model(ids_BL.repeat(members, 1), is_token).float().unflatten(0, (members, -1))
