"""Does distillation beat supervised pre-training at equal compute, and when?

Each arm of students (one shape, one text, one teacher, one length) is compared with supervised runs of the same shape on the
same text, paired by seed: at equal tokens, at equal FLOPs with the teacher's forward passes counted, and, where the table
has such runs, at equal FLOPs with the teacher's training counted too. Losses are held-out cross-entropy for all.

    seed   student of a teacher   supervised, equal FLOPs   difference
    0      3.10                   3.05                      +0.05
    1      3.12                   3.06                      +0.06
    2      3.11                   3.07                      +0.04      mean +0.05: the arm loses

Supervised runs that read a small text again and again grow worse at some point. So the best supervised budget of at most
equal FLOPs stands beside the one of equal FLOPs: whoever stops in time has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from lilliput.analysis.findings.comparisons import mean_over_seeds
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.runs import rows_by_run
from lilliput.analysis.table.tidy import Table

TeachingVerdict = Literal["better", "worse", "unclear"]
WITH_TEACHER = "_and_teacher"
# Costs this close count as equal; budgets are whole steps, and texts differ in length.
_EQUAL = 0.03
_ONCE = 1.05  # Passes over the text up to which it counts as read once.
_NEEDED = ("run", "shape", "seed", "loss", "step", "teacher", "teacher_weights", "teacher_ratio")
_ALIKE = ("language", "profile", "layout", "shape")
_LARGER = 1.2  # A teacher this many times the student's FLOPs is a larger one; else it is the student's like.


def _unknown() -> Quantity:
    return Quantity(None)


@dataclass(frozen=True)
class TaughtArm:
    """Hold one arm of students beside the supervised runs that it is compared with.

    Attributes:
        text: Language and profile.
        shape: Of the students.
        arm: Variant of the students.
        steps: Steps of each.
        epochs: Passes over the text; None where the table does not say.
        ratio: FLOPs of the teacher over those of the student, on the same text.
        is_trained: Whether the teacher has learnt anything; False is the control.
        seeds: Students of the arm.
        loss: Mean held-out loss of the students, nats.
        flops: Mean FLOPs of a student, the teacher's forward passes among them.
        equal_tokens: Loss minus that of the supervised run of as many steps, paired by seed.
        equal_flops: Loss minus that of the supervised run of equal FLOPs, paired by seed.
        best_supervised: Loss minus that of the best supervised budget of at most equal FLOPs, paired by seed.
        best_steps: Steps of that budget; None where there is none.
        equal_total: Loss minus that of the supervised run of equal FLOPs with the teacher's training counted.
    """

    text: str
    shape: str
    arm: str
    steps: int
    epochs: float | None
    ratio: float
    is_trained: bool
    seeds: int
    loss: Quantity = field(default_factory=_unknown)
    flops: float = 0.0
    equal_tokens: Quantity = field(default_factory=_unknown)
    equal_flops: Quantity = field(default_factory=_unknown)
    best_supervised: Quantity = field(default_factory=_unknown)
    best_steps: int | None = None
    equal_total: Quantity = field(default_factory=_unknown)

    @property
    def kind(self) -> Literal["larger", "like", "untrained"]:
        """Return what the teacher is: larger than the student, the student's like, or without knowledge."""
        if not self.is_trained:
            return "untrained"
        return "larger" if self.ratio > _LARGER else "like"

    @property
    def is_read_once(self) -> bool:
        """Return whether the students read each text at most once."""
        return self.epochs is None or self.epochs <= _ONCE

    @property
    def verdict(self) -> TeachingVerdict | None:
        """Return whether the arm beats supervised runs of equal FLOPs; None where there are none to compare with."""
        return verdict_of(self.equal_flops) if self.equal_flops.is_known else None

    @property
    def verdict_against_best(self) -> TeachingVerdict | None:
        """Return the same against the best supervised budget of at most equal FLOPs."""
        return verdict_of(self.best_supervised) if self.best_supervised.is_known else None


def verdict_of(difference: Quantity) -> TeachingVerdict:
    """Return what an interval of a difference of losses says: below 0 is better, above 0 is worse."""
    if not difference.has_interval or not difference.excludes(0.0):
        return "unclear"
    return "better" if (difference.value or 0.0) < 0 else "worse"


@dataclass(frozen=True)
class _End:
    """One run where it ended."""

    alike: tuple[str, ...]
    variant: str
    seed: str
    steps: int
    loss: float
    flops: float
    total: float | None
    epochs: float | None
    teacher: str
    weights: str
    ratio: float


def find_taught_arms(table: Table, flops: Sequence[str]) -> tuple[TaughtArm, ...]:
    """Return every arm of distilled students, the shortest first; none where no run of the table has a teacher.

    Args:
        table: Measurements, with the columns about teachers that a study writes.
        flops: FLOPs columns, the one to compare under first.
    """
    if not flops or any(name not in table for name in _NEEDED):
        return ()
    ends = _ends(table, flops[0].removesuffix(WITH_TEACHER).removesuffix("_and_shared_teacher"))
    students = [end for end in ends if end.teacher]
    arms: dict[tuple[Any, ...], list[_End]] = {}
    for end in students:
        arms.setdefault((end.alike, end.variant, end.steps), []).append(end)
    found = [_compare(members, _supervised(ends, members[0])) for members in arms.values()]
    return tuple(sorted(found, key=lambda arm: (arm.text, arm.shape, arm.steps, arm.arm)))


def _ends(table: Table, flops: str) -> list[_End]:
    def text(name: str, row: int) -> str:
        return str(table.text(name)[row]) if name in table else ""

    def number(name: str, row: int) -> float | None:
        if name not in table:
            return None
        value = float(table.number(name)[row])
        return value if math.isfinite(value) else None

    ends: list[_End] = []
    for rows in rows_by_run(table).values():
        last = int(rows[-1])
        loss, cost = number("loss", last), number(flops, last)
        if loss is None or cost is None:
            continue
        ends.append(
            _End(
                alike=tuple(text(name, last) for name in _ALIKE),
                variant=text("variant", last),
                seed=text("seed", last),
                steps=int(number("step", last) or 0),
                loss=loss,
                flops=cost,
                total=number(flops + WITH_TEACHER, last),
                epochs=number("epochs", last),
                teacher=text("teacher", last),
                weights=text("teacher_weights", last),
                ratio=number("teacher_ratio", last) or 0.0,
            )
        )
    return ends


def _supervised(ends: Iterable[_End], student: _End) -> list[_End]:
    """Return the runs without a teacher that are otherwise like `student`: those of no variant, where there are such."""
    plain = [end for end in ends if not end.teacher and end.alike == student.alike]
    return [end for end in plain if not end.variant] or plain


def _compare(students: Sequence[_End], plain: Sequence[_End]) -> TaughtArm:
    first = students[0]
    cost = fmean(end.flops for end in students)

    def nearest(wanted: Callable[[_End], float | None]) -> Quantity:
        """The difference to the supervised run whose FLOPs are those that `wanted` says of each student."""
        pairs: list[tuple[_End, _End]] = []
        for student in students:
            flops = wanted(student)
            close = [
                end
                for end in plain
                if end.seed == student.seed and flops and abs(math.log(end.flops / flops)) <= _EQUAL
            ]
            if close and flops:
                gaps = [abs(end.flops - flops) for end in close]
                pairs.append((student, close[gaps.index(min(gaps))]))
        return _difference(pairs)

    equal_tokens = _difference(_paired(students, [e for e in plain if e.steps == first.steps]))
    best_steps = _best_budget(students, plain)
    best = [end for end in plain if end.steps == best_steps]
    text, shape = " ".join(filter(None, first.alike[:2])), first.alike[3]
    epochs = [end.epochs for end in students if end.epochs is not None]
    return TaughtArm(
        text=text,
        shape=shape,
        arm=first.variant,
        steps=first.steps,
        epochs=fmean(epochs) if epochs else None,
        ratio=first.ratio,
        is_trained=first.weights != "untrained",
        seeds=len(students),
        loss=mean_over_seeds([end.loss for end in students]),
        flops=cost,
        equal_tokens=equal_tokens,
        equal_flops=nearest(lambda end: end.flops),
        best_supervised=_difference(_paired(students, best)),
        best_steps=best_steps,
        equal_total=nearest(lambda end: end.total if end.total and end.total > end.flops else None),
    )


def _best_budget(students: Sequence[_End], plain: Sequence[_End]) -> int | None:
    """Return the steps at which supervised runs of at most the students' FLOPs end lowest, on the mean over seeds."""
    seeds = {student.seed for student in students}
    most = max(student.flops for student in students) * (1 + _EQUAL)
    budgets: dict[int, dict[str, float]] = {}
    for end in plain:
        if end.seed in seeds and end.flops <= most:
            budgets.setdefault(end.steps, {})[end.seed] = end.loss
    whole = {steps: fmean(by.values()) for steps, by in budgets.items() if by.keys() == seeds}
    return min(whole, key=lambda steps: whole[steps], default=None)


def _paired(students: Iterable[_End], others: Iterable[_End]) -> list[tuple[_End, _End]]:
    by_seed = {end.seed: end for end in others}
    return [(one, by_seed[one.seed]) for one in students if one.seed in by_seed]


def _difference(pairs: Sequence[tuple[_End, _End]]) -> Quantity:
    if not pairs:
        return _unknown()
    return mean_over_seeds([one.loss - other.loss for one, other in pairs])
