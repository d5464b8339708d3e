"""AdamW over one flat buffer: a step costs the same few calls however many tensors a model has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

# Every tensor begins on a 64-byte line of the buffer, as separately allocated ones would.
_ALIGNMENT = 16


@dataclass(frozen=True)
class _Group:
    """Hold a part of the buffers with a decay of its own; the names of its state are torch's."""

    weights: Tensor
    gradients: Tensor
    weight_decay: float
    exp_avg: Tensor
    exp_avg_sq: Tensor
    step: Tensor

    @classmethod
    def of(cls, weights: Tensor, gradients: Tensor, weight_decay: float) -> _Group:
        moments = torch.zeros_like(weights), torch.zeros_like(weights)
        step = torch.zeros((), device=weights.device)
        return cls(weights, gradients, weight_decay, *moments, step)

    def state(self) -> dict[str, Tensor]:
        return {"step": self.step, "exp_avg": self.exp_avg, "exp_avg_sq": self.exp_avg_sq}


class FlatAdamW:
    """AdamW whose weights, gradients and moments are flat float32 buffers.

    The parameters of `model` become views of one buffer, and their gradients views of another;
    `zero_grad` fills that with zeros and `backward` adds to it. Matrices come first and are decayed;
    vectors (biases, norms) follow and are decayed only when asked (S:B33). The step is torch's function,
    not its class: that loads the compiler when the first one is made, 1.4 s of every worker's start.

    A layer with a 2 x 3 matrix and a bias of 2 takes two lines of 16 floats each:

        weights    w w w w w w . . . . . . . . . .   b b . . . . . . . . . . . . . .
        places     weight: 0 to 5                    bias: 16 to 17
        groups     decayed: 0 to 15                  not decayed: 16 to 31

    The spare floats (.) are zero, have no gradient, and stay zero.

    Args:
        model: Its parameters are moved into the buffer.
        weight_decay: Decoupled decay per unit of learning rate.
        betas: Decay of the first and second moments.
        eps: Added to the root of the second moment.
        decay_all: Decay vectors too.
        buffers: Weights and gradients to use, each of `flat_size(model)` floats; made when absent.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        weight_decay: float,
        betas: tuple[float, float],
        eps: float,
        decay_all: bool = False,
        buffers: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        decayed = [(name, p) for name, p in named if decay_all or p.ndim >= 2]
        others = [(name, p) for name, p in named if not (decay_all or p.ndim >= 2)]
        self.decayed_names = [name for name, _ in decayed]
        border = sum(_room(p) for _, p in decayed)
        total = border + sum(_room(p) for _, p in others)
        device = named[0][1].device
        self.weights, self.gradients = buffers or (
            torch.zeros(total, device=device),
            torch.zeros(total, device=device),
        )
        self.places = _move_into(self.weights, self.gradients, dict(decayed + others))
        parts = ((slice(0, border), weight_decay), (slice(border, total), 0.0))
        self._groups = [
            _Group.of(self.weights[part], self.gradients[part], decay)
            for part, decay in parts
            if part.stop > part.start
        ]
        self._betas, self._eps = betas, eps
        # On a GPU a tensor, which a captured graph reads from memory.
        self._is_captured = device.type == "cuda"
        self._learning_rate: float | Tensor = (
            torch.zeros((), device=device) if self._is_captured else 0.0
        )

    def zero_grad(self) -> None:
        """Set all gradients to zero; they stay the same tensors."""
        self.gradients.zero_()

    def clip(self, max_norm: float) -> None:
        """Scale the gradients so that their norm is at most `max_norm`; 0 leaves them alone."""
        if max_norm > 0:
            norm = torch.linalg.vector_norm(self.gradients)
            self.gradients.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the rate of the steps to come."""
        if isinstance(self._learning_rate, Tensor):
            self._learning_rate.fill_(learning_rate)
        else:
            self._learning_rate = learning_rate

    def step(self) -> None:
        """Take one step."""
        self.step_together([self])

    @torch.no_grad()
    def step_together(self, members: Sequence[FlatAdamW]) -> None:
        """Take one step of several optimizers at the rate and with the settings of this one, by one call a group."""
        beta1, beta2 = self._betas
        for number, group in enumerate(self._groups):
            stepped = [member._groups[number] for member in members]
            adamw(
                [one.weights for one in stepped],
                [one.gradients for one in stepped],
                [one.exp_avg for one in stepped],
                [one.exp_avg_sq for one in stepped],
                [],
                [one.step for one in stepped],
                fused=True,
                capturable=self._is_captured,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=self._learning_rate,
                weight_decay=group.weight_decay,
                eps=self._eps,
                maximize=False,
            )

    def snapshot(self) -> dict[str, Tensor]:
        """Return copies of weights and moments."""
        copies = {name: tensor.clone() for name, tensor in self.state().items()}
        return copies | {"weights": self.weights.clone()}

    def restore(self, before: Mapping[str, Tensor]) -> None:
        """Go back to a `snapshot`, in place: tensors that a captured graph uses stay where they are."""
        self.weights.copy_(before["weights"])
        self.load_state({name: before[name] for name in self.state()})

    def state(self) -> dict[str, Tensor]:
        """Return both moments, flat, and the number of steps, for a checkpoint."""
        return {
            f"{number}.{name}": tensor
            for number, group in enumerate(self._groups)
            for name, tensor in group.state().items()
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the moments of a checkpoint; those of one before the first step are zero."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name]) if name in tensors else tensor.zero_()


def flat_size(model: nn.Module) -> int:
    """Return floats that the parameters of `model` take in a flat buffer."""
    return sum(_room(p) for p in model.parameters() if p.requires_grad)


def _room(parameter: Tensor) -> int:
    return -(-parameter.numel() // _ALIGNMENT) * _ALIGNMENT


def member_views(
    buffer_KP: Tensor, model: nn.Module, places: Mapping[str, slice]
) -> dict[str, Tensor]:
    """Return each parameter of all members of a stack, as views of their buffer.

    Args:
        buffer_KP: Weights or gradients, a row a member.
        model: Any member, for the shapes.
        places: Of a member's `FlatAdamW`.
    """
    members = len(buffer_KP)
    return {
        name: buffer_KP[:, places[name]].view(members, *parameter.shape).detach()
        for name, parameter in model.named_parameters()
    }


def _move_into(
    weights: Tensor, gradients: Tensor, parameters: Mapping[str, nn.Parameter]
) -> dict[str, slice]:
    """Make the parameters views of the buffers; the place of each."""
    start = 0
    places: dict[str, slice] = {}
    for name, parameter in parameters.items():
        part = places[name] = slice(start, start + parameter.numel())
        weights[part] = parameter.detach().reshape(-1)
        parameter.data = weights[part].view(parameter.shape)
        parameter.grad = gradients[part].view(parameter.shape)
        start += _room(parameter)
    return places
