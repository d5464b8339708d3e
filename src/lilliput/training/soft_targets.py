"""The loss of distillation at the predicted positions, and its gradients, a chunk of rows at a time.

With s the student's logits, t the teacher's, both divided by the temperature τ, q = softmax(s) and
p = softmax(t), the loss of one position is

    (1 - λ) CE(target, softmax(τ s)) + λ τ² KL(p ‖ q)

and its gradient by the student's logits τ s is (1 - λ) (softmax(τ s) - onehot) + λ τ (q - p).

One row with λ = 1, τ = 1, student logits 0, 0 and teacher logits log 3, 0, in numbers:

    p         0.75   0.25
    q         0.5    0.5
    KL        0.75 log(0.75 / 0.5) + 0.25 log(0.25 / 0.5) = 0.131
    gradient  -0.25  0.25

A teacher may also be known by its k likeliest words alone. All others are then one word, the tail: KL of these
k + 1 words is a lower bound of KL over the vocabulary, it rises with k, and with k = V it is that KL.

Shapes: N predicted rows, C rows of a chunk, D width of the head, V vocabulary, K likeliest words.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lilliput.training.execution.vocabulary_head import VocabularyHead

# Three matrices of a chunk are read several times, so that they should lie in the cache together; measured on a
# core with 2 MiB of second-level cache, chunks of 0.5 to 4 MiB cost the same within 5 %.
_CHUNK_BYTES_CPU = 1 << 20
_CHUNK_BYTES_GPU = 1 << 28
_FEWEST_ROWS = 32
_TINY = 1e-30


@dataclass(frozen=True)
class Likeliest:
    """Hold what is kept of a teacher's distribution at C positions, at the temperature of the distillation.

    Attributes:
        ids_CK: The likeliest words, int64.
        log_p_CK: Their log-probabilities, float32.
        tail_C: Probability of all other words together, float32.
    """

    ids_CK: Tensor
    log_p_CK: Tensor
    tail_C: Tensor


# Gives, for some rows, the teacher's logits divided by the temperature, (C, V), in a buffer of the caller's own.
TeacherLogits = Callable[[slice], Tensor]
# Gives what is kept of the teacher's distribution at some rows.
TeacherLikeliest = Callable[[slice], Likeliest]


def likeliest_of(logits_CV: Tensor, count: int) -> Likeliest:
    """Return the `count` likeliest words of logits that are divided by the temperature already."""
    log_p_CV = torch.log_softmax(logits_CV.float(), 1)
    log_p_CK, ids_CK = log_p_CV.topk(min(count, log_p_CV.shape[1]), dim=1)
    tail_C = log_p_CV.exp_().scatter_(1, ids_CK, 0.0).sum(1)
    return Likeliest(ids_CK, log_p_CK, tail_C)


def mean_logits(parts: list[Tensor], temperature: float) -> Tensor:
    """Return the tempered logits of an ensemble, which predicts the mean of its members' probabilities.

    Args:
        parts: Logits of each member, (C, V), not tempered.
        temperature: The mean is tempered by it, as the logits of a single teacher are.
    """
    stacked = torch.stack([torch.log_softmax(part.float(), 1) for part in parts])
    return torch.logsumexp(stacked, 0) / temperature


def add_distillation_gradients(
    head: VocabularyHead,
    z_ND: Tensor,
    targets_N: Tensor,
    row_weights_N: Tensor,
    grad_weight_VD: Tensor,
    grad_bias_V: Tensor | None,
    *,
    weight: float,
    temperature: float,
    logits: TeacherLogits | None = None,
    likeliest: TeacherLikeliest | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the weighted sum over rows of the loss above, in nats, and its gradient by `z_ND`.

    Args:
        head: The student's decoder.
        z_ND: What it multiplies, of the head's dtype.
        targets_N: Target ids, int64.
        row_weights_N: Weight of each row, float32; 1/n for a mean over n rows.
        grad_weight_VD: The gradient by the decoder is added here, float32.
        grad_bias_V: The gradient by the decoder's bias is added here, float32; None where it has no bias.
        weight: λ, above 0.
        temperature: τ.
        logits: The teacher's logits; give either these or `likeliest`.
        likeliest: What is kept of the teacher's distribution.
    """
    grad_z_ND = torch.empty_like(z_ND)
    loss = z_ND.new_zeros((), dtype=torch.float32)
    scaled_bias_V = head.bias_V if temperature == 1.0 else head.bias_V / temperature
    for rows in _row_chunks(z_ND, head.weight_VD.shape[0]):
        z_CD, targets_C, weights_C = z_ND[rows], targets_N[rows], row_weights_N[rows]
        scaled_z_CD = z_CD if temperature == 1.0 else z_CD / temperature
        s_CV = torch.addmm(scaled_bias_V, scaled_z_CD, head.weight_VD.t())
        if logits is not None:
            soft, hard, gradient_CV = _by_logits(
                s_CV, logits(rows), targets_C, weights_C, weight, temperature
            )
        else:
            assert likeliest is not None
            soft, hard, gradient_CV = _by_likeliest(
                s_CV, likeliest(rows), targets_C, weights_C, weight, temperature
            )
        loss += (soft * (weight * temperature**2) + hard * (1.0 - weight)) @ weights_C
        grad_z_ND[rows] = gradient_CV @ head.weight_VD
        if gradient_CV.dtype == torch.float32:
            grad_weight_VD.addmm_(gradient_CV.t(), z_CD)
        else:
            grad_weight_VD += torch.mm(gradient_CV.t(), z_CD)
        if grad_bias_V is not None:
            grad_bias_V += gradient_CV.sum(0, dtype=torch.float32)
    return loss, grad_z_ND


def _by_logits(
    s_CV: Tensor,
    t_CV: Tensor,
    targets_C: Tensor,
    weights_C: Tensor,
    weight: float,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return KL and cross-entropy of each row, and the gradient by the student's logits; both inputs are used up."""
    t_CV = t_CV.to(s_CV.dtype)
    difference_CV = t_CV - s_CV
    most_C1 = t_CV.amax(1, keepdim=True)
    p_CV = t_CV.sub_(most_C1).exp_()
    total_C = p_CV.sum(1, dtype=torch.float32)
    log_total_C = total_C.log() + most_C1[:, 0].float()
    expected_C = difference_CV.mul_(p_CV).sum(1, dtype=torch.float32) / total_C
    student = _Student(s_CV, targets_C, weights_C, weight, temperature, spare=difference_CV)
    soft_C = expected_C - log_total_C + student.log_total_C
    pull_C = weights_C * (weight * temperature) / total_C
    gradient_CV = student.gradient(weights_C * (weight * temperature) / student.total_C)
    gradient_CV.addcmul_(p_CV, pull_C[:, None].to(p_CV.dtype), value=-1.0)
    return soft_C, student.hard_C, student.minus_targets(gradient_CV)


def _by_likeliest(
    s_CV: Tensor,
    kept: Likeliest,
    targets_C: Tensor,
    weights_C: Tensor,
    weight: float,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same where the teacher is known by its likeliest words, and the rest is one word."""
    ids_CK, log_p_CK, tail_C = kept.ids_CK, kept.log_p_CK, kept.tail_C
    kept_s_CK = s_CV.gather(1, ids_CK).float()
    student = _Student(s_CV, targets_C, weights_C, weight, temperature)
    log_q_CK = kept_s_CK - student.log_total_C[:, None]
    others_C = student.e_CV.scatter(1, ids_CK, 0.0).sum(1, dtype=torch.float32) / student.total_C
    has_tail_C = (tail_C > _TINY) & (others_C > _TINY)
    p_CK = log_p_CK.exp()
    soft_C = (p_CK * (log_p_CK - log_q_CK)).sum(1)
    tail_log_C = tail_C.clamp(min=_TINY).log() - others_C.clamp(min=_TINY).log()
    soft_C += torch.where(has_tail_C, tail_C * tail_log_C, 0.0)
    # In the tail the teacher is taken to share its mass out as the student does.
    push_C = weights_C * (weight * temperature)
    shrunk_C = torch.where(has_tail_C, tail_C / others_C.clamp(min=_TINY), 0.0)
    gradient_CV = student.gradient(push_C * (1.0 - shrunk_C) / student.total_C)
    # Of the kept words the full gradient: what the line above left out, less p.
    missing_CK = log_q_CK.exp() * shrunk_C[:, None] - p_CK
    gradient_CV.scatter_add_(1, ids_CK, (missing_CK * push_C[:, None]).to(gradient_CV.dtype))
    return soft_C, student.hard_C, student.minus_targets(gradient_CV)


class _Student:
    """The student's exponentials of one chunk, made in place of its tempered logits `s_CV`."""

    def __init__(
        self,
        s_CV: Tensor,
        targets_C: Tensor,
        weights_C: Tensor,
        weight: float,
        temperature: float,
        spare: Tensor | None = None,
    ) -> None:
        self._targets_C, self._weights_C, self._weight = targets_C, weights_C, weight
        self._is_tempered = temperature != 1.0
        most_C1 = s_CV.amax(1, keepdim=True)
        target_C = s_CV.gather(1, targets_C[:, None])[:, 0].float() * temperature
        shifted_CV = s_CV.sub_(most_C1)
        self.plain_CV: Tensor | None = None
        if weight < 1.0 and self._is_tempered and temperature != 2.0:
            self.plain_CV = torch.mul(shifted_CV, temperature, out=spare).exp_()
        self.e_CV = shifted_CV.exp_()
        self.total_C = self.e_CV.sum(1, dtype=torch.float32)
        most_C = most_C1[:, 0].float()
        self.log_total_C = self.total_C.log() + most_C
        self.plain_total_C, self.hard_C = self.total_C, torch.zeros_like(self.total_C)
        if weight < 1.0:
            if temperature == 2.0:  # A square is had for less than an exponential.
                self.plain_CV = torch.mul(self.e_CV, self.e_CV, out=spare)
            if self.plain_CV is not None:
                self.plain_total_C = self.plain_CV.sum(1, dtype=torch.float32)
            self.hard_C = self.plain_total_C.log() + most_C * temperature - target_C

    def gradient(self, share_C: Tensor) -> Tensor:
        """Return `share_C` times the tempered exponentials, plus the part of cross-entropy that needs no target."""
        if self._weight == 1.0:
            return self.e_CV.mul_(share_C[:, None].to(self.e_CV.dtype))
        plain_C = self._weights_C * (1.0 - self._weight) / self.plain_total_C
        if self.plain_CV is None:
            return self.e_CV.mul_((share_C + plain_C)[:, None].to(self.e_CV.dtype))
        gradient_CV = self.e_CV.mul_(share_C[:, None].to(self.e_CV.dtype))
        return gradient_CV.addcmul_(self.plain_CV, plain_C[:, None].to(self.e_CV.dtype))

    def minus_targets(self, gradient_CV: Tensor) -> Tensor:
        """Return the gradient with that of the targets' own logits."""
        if self._weight == 1.0:
            return gradient_CV
        pulled_C1 = (self._weights_C * (self._weight - 1.0))[:, None].to(gradient_CV.dtype)
        return gradient_CV.scatter_add_(1, self._targets_C[:, None], pulled_C1)


def _row_chunks(z_ND: Tensor, vocab_size: int) -> Generator[slice]:
    budget = _CHUNK_BYTES_CPU if z_ND.device.type == "cpu" else _CHUNK_BYTES_GPU
    rows = max(_FEWEST_ROWS, budget // (vocab_size * z_ND.element_size()))
    for start in range(0, z_ND.shape[0], rows):
        yield slice(start, start + rows)
