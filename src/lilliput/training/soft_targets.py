"""Compute the distillation loss at predicted positions and its gradients, in chunks of rows.

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
# Logits of at most this size need no shift before they are exponentiated: squares and their sums stay below 1e31.
_LARGEST_LOGIT = 30.0
# bfloat16 is summed in so many parts: a sum of bfloat16 is rounded to 8 bits, and one in float32 takes five times as long.
_PARTS = 32


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


@dataclass(frozen=True)
class TemperedHead:
    """Hold a decoder whose logits are wanted divided by a temperature.

    Attributes:
        weight_VD: Decoder matrix.
        bias_V: Decoder bias, divided by the temperature.
        temperature: τ.
        norm: Largest norm of a row of the decoder.
        largest_bias: Largest bias, by size.
    """

    weight_VD: Tensor
    bias_V: Tensor
    temperature: float
    norm: Tensor
    largest_bias: Tensor

    @classmethod
    def of(cls, weight_VD: Tensor, bias_V: Tensor | None, temperature: float) -> TemperedHead:
        """Return the head of a decoder, whose tensors have the dtype of the products."""
        bias_V = weight_VD.new_zeros(len(weight_VD)) if bias_V is None else bias_V
        norm = torch.linalg.vector_norm(weight_VD, dim=1, dtype=torch.float32).max()
        tempered_V = bias_V if temperature == 1.0 else bias_V / temperature
        return cls(weight_VD, tempered_V, temperature, norm, tempered_V.abs().max().float())

    def logits(self, z_CD: Tensor) -> Tempered:
        """Return the logits of some rows over the temperature."""
        scaled_CD = z_CD if self.temperature == 1.0 else z_CD / self.temperature
        return Tempered(
            torch.addmm(self.bias_V, scaled_CD, self.weight_VD.t()), self._are_small(scaled_CD)
        )

    def _are_small(self, scaled_CD: Tensor) -> bool:
        """Return whether Cauchy-Schwarz shows that all logits are small; looking would make a GPU wait."""
        if scaled_CD.device.type != "cpu":
            return False
        norm = torch.linalg.vector_norm(scaled_CD, dim=1, dtype=torch.float32).max()
        return bool(norm * self.norm + self.largest_bias <= _LARGEST_LOGIT)


@dataclass(frozen=True)
class Tempered:
    """Hold logits over the temperature, (C, V), in a buffer that may be used up.

    Attributes:
        logits_CV: The logits.
        are_small: Whether they are known to be so small that their exponentials need no shift.
    """

    logits_CV: Tensor
    are_small: bool = False

    def exponentials(self) -> tuple[Tensor, Tensor | None]:
        """Return exponentials in place of the logits, and the shift of each row that was taken off before, (C, 1)."""
        if self.are_small:
            return self.logits_CV.exp_(), None
        most_C1 = self.logits_CV.amax(1, keepdim=True)
        return self.logits_CV.sub_(most_C1).exp_(), most_C1


# Gives the teacher's logits at some rows.
TeacherLogits = Callable[[slice], Tempered]
# Gives what is kept of the teacher's distribution at some rows.
TeacherLikeliest = Callable[[slice], Likeliest]


def likeliest_of(logits_CV: Tensor, count: int) -> Likeliest:
    """Return the `count` likeliest words of logits that are divided by the temperature already."""
    log_p_CV = torch.log_softmax(logits_CV.float(), 1)
    log_p_CK, ids_CK = log_p_CV.topk(min(count, log_p_CV.shape[1]), dim=1)
    tail_C = log_p_CV.exp_().scatter_(1, ids_CK, 0.0).sum(1)
    return Likeliest(ids_CK, log_p_CK, tail_C)


def mean_logits(parts: list[Tensor], temperature: float) -> Tempered:
    """Return the tempered logits of an ensemble, which predicts the mean of its members' probabilities.

    Args:
        parts: Logits of each member, (C, V), not tempered.
        temperature: The mean is tempered by it, as the logits of a single teacher are.
    """
    stacked = torch.stack([torch.log_softmax(part.float(), 1) for part in parts])
    return Tempered(torch.logsumexp(stacked, 0) / temperature)


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
    student_head = TemperedHead.of(head.weight_VD, head.bias_V, temperature)
    for rows in _row_chunks(z_ND, head.weight_VD.shape[0]):
        z_CD, targets_C, weights_C = z_ND[rows], targets_N[rows], row_weights_N[rows]
        student = student_head.logits(z_CD)
        if logits is not None:
            soft, hard, gradient_CV = _by_logits(
                student, logits(rows), targets_C, weights_C, weight, temperature
            )
        else:
            assert likeliest is not None
            soft, hard, gradient_CV = _by_likeliest(
                student, likeliest(rows), targets_C, weights_C, weight, temperature
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
    student: Tempered,
    teacher: Tempered,
    targets_C: Tensor,
    weights_C: Tensor,
    weight: float,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return KL and cross-entropy of each row, and the gradient by the student's logits; both inputs are used up."""
    teacher = Tempered(teacher.logits_CV.to(student.logits_CV.dtype), teacher.are_small)
    difference_CV = teacher.logits_CV - student.logits_CV
    p_CV, shift_C1 = teacher.exponentials()
    total_C = _row_sums(p_CV)
    log_total_C = _log(total_C, shift_C1)
    expected_C = _row_sums(difference_CV.mul_(p_CV)) / total_C
    pupil = _Student(student, targets_C, weights_C, weight, temperature, spare=difference_CV)
    soft_C = expected_C - log_total_C + pupil.log_total_C
    pull_C = weights_C * (weight * temperature) / total_C
    gradient_CV = pupil.gradient(weights_C * (weight * temperature) / pupil.total_C)
    gradient_CV.addcmul_(p_CV, pull_C[:, None].to(p_CV.dtype), value=-1.0)
    return soft_C, pupil.hard_C, pupil.minus_targets(gradient_CV)


def _by_likeliest(
    logits: Tempered,
    kept: Likeliest,
    targets_C: Tensor,
    weights_C: Tensor,
    weight: float,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same where the teacher is known by its likeliest words, and the rest is one word."""
    ids_CK, log_p_CK, tail_C = kept.ids_CK, kept.log_p_CK, kept.tail_C
    kept_s_CK = logits.logits_CV.gather(1, ids_CK).float()
    student = _Student(logits, targets_C, weights_C, weight, temperature)
    log_q_CK = kept_s_CK - student.log_total_C[:, None]
    others_C = _row_sums(student.e_CV.scatter(1, ids_CK, 0.0)) / student.total_C
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
    """Hold the student's exponentials of one chunk, made in place of its tempered logits."""

    def __init__(
        self,
        logits: Tempered,
        targets_C: Tensor,
        weights_C: Tensor,
        weight: float,
        temperature: float,
        spare: Tensor | None = None,
    ) -> None:
        self._targets_C, self._weights_C, self._weight = targets_C, weights_C, weight
        target_C = logits.logits_CV.gather(1, targets_C[:, None])[:, 0].float() * temperature
        # The exponentials of the plain logits: a square is had for less than an exponential.
        self.plain_CV: Tensor | None = None
        plain_shift_C1: Tensor | None = None
        if weight < 1.0 and temperature not in (1.0, 2.0):
            plain = Tempered(torch.mul(logits.logits_CV, temperature, out=spare))
            self.plain_CV, plain_shift_C1 = plain.exponentials()
        self.e_CV, shift_C1 = logits.exponentials()
        self.total_C = _row_sums(self.e_CV)
        self.log_total_C = _log(self.total_C, shift_C1)
        self.plain_total_C, self.hard_C = self.total_C, torch.zeros_like(self.total_C)
        if weight == 1.0:
            return
        if temperature in (1.0, 2.0):
            plain_shift_C1 = None if shift_C1 is None else shift_C1 * temperature
        if temperature == 2.0:
            self.plain_CV = torch.mul(self.e_CV, self.e_CV, out=spare)
        if self.plain_CV is not None:
            self.plain_total_C = _row_sums(self.plain_CV)
        self.hard_C = _log(self.plain_total_C, plain_shift_C1) - target_C

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


def _row_sums(x_CV: Tensor) -> Tensor:
    """Return the sum of each row, float32."""
    if x_CV.dtype == torch.float32 or x_CV.device.type != "cpu":
        return x_CV.sum(1, dtype=torch.float32)
    rows, words = x_CV.shape
    whole = words - words % _PARTS
    sums_C = x_CV[:, :whole].view(rows, _PARTS, -1).sum(2).float().sum(1)
    return sums_C if whole == words else sums_C + x_CV[:, whole:].sum(1, dtype=torch.float32)


def _log(total_C: Tensor, shift_C1: Tensor | None) -> Tensor:
    """Return the logarithm of sums of exponentials from which a shift had been taken."""
    return total_C.log() if shift_C1 is None else total_C.log() + shift_C1[:, 0].float()


def _row_chunks(z_ND: Tensor, vocab_size: int) -> Generator[slice]:
    budget = _CHUNK_BYTES_CPU if z_ND.device.type == "cpu" else _CHUNK_BYTES_GPU
    rows = max(_FEWEST_ROWS, budget // (vocab_size * z_ND.element_size()))
    for start in range(0, z_ND.shape[0], rows):
        yield slice(start, start + rows)
