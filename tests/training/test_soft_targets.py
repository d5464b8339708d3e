"""The loss of distillation against the formula, written out, and against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lilliput.training import soft_targets
from lilliput.training.execution.vocabulary_head import VocabularyHead
from lilliput.training.soft_targets import (
    Tempered,
    TemperedHead,
    add_distillation_gradients,
    likeliest_of,
)

ROWS, WIDTH, WORDS = 70, 8, 50


class Case:
    """A student's head and a teacher's logits, at random."""

    def __init__(self, dtype: torch.dtype = torch.float32, *, has_bias: bool = True) -> None:
        draw = torch.Generator().manual_seed(3)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=draw)

        self.z, self.weight = normal(ROWS, WIDTH).to(dtype), normal(WORDS, WIDTH)
        self.bias = normal(WORDS) if has_bias else None
        self.teacher = 3 * normal(ROWS, WORDS)
        self.targets = torch.randint(WORDS, (ROWS,), generator=draw)
        self.row_weights = torch.rand(ROWS, generator=draw) / ROWS

    def run(self, weight: float, temperature: float, top_k: int | None = None, teacher=None):
        """Loss and gradients by what the decoder multiplies, by the decoder and by its bias."""
        teacher = self.teacher if teacher is None else teacher
        head = VocabularyHead(self.weight, self.bias, self.z.dtype)
        grads = torch.zeros_like(self.weight), torch.zeros(WORDS) if self.bias is not None else None

        def logits(rows: slice) -> Tempered:
            return Tempered((teacher[rows] / temperature).to(self.z.dtype))

        def kept(rows: slice):
            return likeliest_of(teacher[rows] / temperature, top_k or WORDS)

        given = {"logits": logits} if top_k is None else {"likeliest": kept}
        loss, grad_z = add_distillation_gradients(
            head, self.z, self.targets, self.row_weights, *grads,
            weight=weight, temperature=temperature, **given,
        )  # fmt: skip
        return loss, grad_z, *grads

    def by_autograd(self, weight: float, temperature: float):
        """The same by the formula, in double precision."""
        z, decoder = (part.double().requires_grad_() for part in (self.z, self.weight))
        bias = None if self.bias is None else self.bias.double().requires_grad_()
        student = functional.linear(z, decoder, bias)
        hard = functional.cross_entropy(student, self.targets, reduction="none")
        log_q = functional.log_softmax(student / temperature, 1)
        log_p = functional.log_softmax(self.teacher.double() / temperature, 1)
        soft = (log_p.exp() * (log_p - log_q)).sum(1)
        each = (1 - weight) * hard + weight * temperature**2 * soft
        loss = (each * self.row_weights.double()).sum()
        loss.backward()
        return loss.detach(), z.grad, decoder.grad, None if bias is None else bias.grad


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(soft_targets, "_CHUNK_BYTES_CPU", 1)  # Three chunks, the last one short.


@pytest.mark.parametrize("weight", [0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("has_bias", [True, False])
def test_loss_and_gradients_are_those_of_the_formula(weight, temperature, has_bias):
    case = Case(has_bias=has_bias)
    for found, expected in zip(
        case.run(weight, temperature), case.by_autograd(weight, temperature), strict=True
    ):
        if expected is not None:
            # Sums of 70 x 50 float32 numbers of order one.
            torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_gradient_by_logits_is_what_finite_differences_show(temperature):
    case, weight, step = Case(), 0.7, 1e-4
    case.weight, case.z = torch.eye(WORDS).double(), torch.randn(4, WORDS).double()
    case.bias, case.targets, case.row_weights = None, torch.arange(4), torch.full((4,), 0.25)
    case.weight, case.z = case.weight.float(), case.z.float()
    teacher = case.teacher[:4]
    q = torch.softmax(case.z / temperature, 1)
    p = torch.softmax(teacher / temperature, 1)
    expected = weight * temperature * (q - p) / 4
    expected += (1 - weight) * (torch.softmax(case.z, 1) - torch.eye(WORDS)[:4]) / 4
    _, grad_z, *_ = case.run(weight, temperature, teacher=teacher)
    torch.testing.assert_close(grad_z, expected, rtol=1e-5, atol=1e-7)

    def loss_at(z: Tensor) -> float:
        log_q, log_p = (torch.log_softmax(x.double() / temperature, 1) for x in (z, teacher))
        soft = (log_p.exp() * (log_p - log_q)).sum(1)
        hard = functional.cross_entropy(z.double(), case.targets, reduction="none")
        return float((weight * temperature**2 * soft + (1 - weight) * hard).mean())

    for row, word in ((0, 0), (1, 7), (3, 49)):
        shifted = [case.z.double().clone() for _ in range(2)]
        for z, sign in zip(shifted, (1, -1), strict=True):
            z[row, word] += sign * step
        slope = (loss_at(shifted[0]) - loss_at(shifted[1])) / (2 * step)
        assert float(grad_z[row, word]) == pytest.approx(slope, abs=1e-7)


def test_a_teacher_that_is_sure_of_the_target_gives_cross_entropy():
    case = Case()
    sure = torch.full((ROWS, WORDS), -1e4)
    sure[torch.arange(ROWS), case.targets] = 0.0
    losses = functional.cross_entropy(
        functional.linear(case.z, case.weight, case.bias), case.targets, reduction="none"
    )
    for weight in (0.5, 1.0):
        loss, *_ = case.run(weight, 1.0, teacher=sure)
        assert float(loss) == pytest.approx(float(losses @ case.row_weights), abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_teacher_equal_to_the_student_teaches_nothing(temperature):
    case = Case()
    own = functional.linear(case.z, case.weight, case.bias)
    loss, *grads = case.run(1.0, temperature, teacher=own)
    assert abs(float(loss)) < 1e-6
    assert all(float(grad.abs().max()) < 1e-7 for grad in grads)


@pytest.mark.parametrize("weight", [0.4, 1.0])
def test_the_likeliest_words_bound_the_loss_from_below_and_are_exact_at_the_whole_vocabulary(
    weight,
):
    case, temperature = Case(), 2.0
    whole = case.run(weight, temperature)
    losses = [float(case.run(weight, temperature, k)[0]) for k in (1, 2, 5, 20, 40, WORDS)]
    assert losses == sorted(losses)
    assert losses[0] < losses[-2]
    for found, expected in zip(case.run(weight, temperature, WORDS), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_the_likeliest_words_is_that_of_their_loss():
    case, temperature, top_k = Case(has_bias=False), 1.5, 6
    _, grad_z, grad_weight, _ = case.run(1.0, temperature, top_k)
    z, decoder = case.z.double().requires_grad_(), case.weight.double().requires_grad_()
    q = torch.softmax(z @ decoder.t() / temperature, 1)
    p = torch.softmax(case.teacher.double() / temperature, 1)
    p_top, ids = p.topk(top_k, dim=1)
    q_top = q.gather(1, ids)
    tail_p, tail_q = 1 - p_top.sum(1), 1 - q_top.sum(1)
    soft = (p_top * (p_top / q_top).log()).sum(1) + tail_p * (tail_p / tail_q).log()
    (temperature**2 * soft @ case.row_weights.double()).backward()
    torch.testing.assert_close(grad_z.double(), z.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(grad_weight.double(), decoder.grad, rtol=1e-4, atol=1e-6)


def test_in_bfloat16_it_agrees_to_its_rounding():
    exact, case = Case().by_autograd(0.5, 2.0), Case(torch.bfloat16)
    loss, grad_z, *_ = case.run(0.5, 2.0)
    # Eight bits of a logit of ten are 0.04; means over rows and words are closer.
    assert float(loss) == pytest.approx(float(exact[0]), rel=0.02)
    assert float((grad_z.double() - exact[1]).norm() / exact[1].norm()) < 0.03


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_logits_need_no_shift_and_large_ones_overflow_nothing(dtype):
    draw = torch.Generator().manual_seed(0)
    z, weight = (torch.randn(5, 40, 8, generator=draw)[0].to(dtype) for _ in range(2))
    for scale, are_small in ((0.1, True), (1e4, False)):
        tempered = TemperedHead.of(weight, None, 2.0).logits(z * scale)
        assert tempered.are_small == are_small
        expected = torch.logsumexp(tempered.logits_CV.float(), 1)
        e_CV, shift_C1 = tempered.exponentials()
        assert torch.isfinite(e_CV).all()
        found = soft_targets._log(soft_targets._row_sums(e_CV), shift_C1)
        torch.testing.assert_close(
            found, expected, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-2
        )
