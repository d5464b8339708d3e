"""Decide by a named rule whether one set of losses is lower than another.

Example, the rule of speed-runs: with the target 3.28 and eight runs of mean 3.2780, (3.28 - 3.2780) x sqrt(8) =
0.0057 is at least 0.004, so the runs are accepted. Four runs of the same mean (0.0040) just pass, and three fail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from lilliput.analysis.laws.curve import plain
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

RULES = ("paired-t", "welch", "speedrun")
SIGNIFICANCE = 0.05
# (target - mean) sqrt(n) from which a record counts: three standard deviations of 0.0013 nats.
SPEEDRUN_MARGIN = 0.004


@dataclass(frozen=True)
class Acceptance:
    """Say whether the losses of B are lower than those of A, under a rule.

    Attributes:
        rule: "paired-t", "welch" or "speedrun".
        difference: Mean of B minus mean of A, in nats.
        low: Lower bound of the difference at 95 %; None where the rule has none.
        high: Upper bound.
        statistic: Student's t, or the margin of the speed-run rule.
        degrees: Degrees of freedom; None for the speed-run rule.
        p: One-sided p-value of "B is not lower"; None for the speed-run rule.
        n: Losses of A and of B (pairs: the same number twice).
        accepted: Whether the rule takes B as lower.
    """

    rule: str
    difference: float
    low: float | None
    high: float | None
    statistic: float
    degrees: float | None
    p: float | None
    n: tuple[int, int]
    accepted: bool

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**plain(vars(self)), "n": list(self.n)}

    def sentence(self, a: str, b: str) -> str:
        """Return the result in a sentence, with the names of the two sides."""
        count = (
            f"{self.n[1]} pairs" if self.rule == "paired-t" else f"{self.n[0]} and {self.n[1]} runs"
        )
        found = f"Final losses, {b} minus {a}: {self.difference:+.4g}"
        if self.low is not None and self.high is not None and self.p is not None:
            found += f" ({self.low:+.4g} to {self.high:+.4g}; one-sided p {self.p:.2g})"
        verdict = "lower" if self.accepted else "not shown to be lower"
        return f"{found}, {count}; by the rule {self.rule}, {b} is {verdict}."


def compare_means(a: FloatArray, b: FloatArray, *, rule: str, level: float = 0.95) -> Acceptance:
    """Return whether the losses `b` are lower than the losses `a`.

    Args:
        a: Losses to beat, shape (runs,); for "speedrun" their mean is the target.
        b: Losses that are judged, shape (runs,); for "paired-t" in the order of `a`.
        rule: "paired-t" (Student's t of the differences), "welch" (two samples of unequal variance) or
            "speedrun" ((target - mean) sqrt(n) of at least 0.004).
        level: Coverage of the interval.

    Raises:
        InputError: There is no such rule, or there are too few losses for it.

    Source: the speed-run rule is that of track 3 of KellerJordan/modded-nanogpt.
    """
    if rule not in RULES:
        raise InputError(
            "a rule of acceptance must have a known name",
            got=rule,
            remedy=f"Choose {', '.join(RULES)}.",
        )
    if rule == "speedrun":
        if b.size < 1 or a.size < 1:
            raise InputError(
                "the speed-run rule needs a loss on each side", got=f"{a.size} and {b.size}"
            )
        difference = float(b.mean() - a.mean())
        margin = -difference * math.sqrt(b.size)
        return Acceptance(
            rule,
            difference,
            None,
            None,
            margin,
            None,
            None,
            (a.size, b.size),
            margin >= SPEEDRUN_MARGIN,
        )
    if rule == "paired-t":
        if a.size != b.size or a.size < 2:
            raise InputError(
                "a paired test needs the same two or more runs on both sides",
                got=f"{a.size} and {b.size}",
                remedy="Take --rule welch.",
            )
        each = b - a
        difference, degrees = float(each.mean()), float(each.size - 1)
        se = float(each.std(ddof=1)) / math.sqrt(each.size)
    else:
        if min(a.size, b.size) < 2:
            raise InputError(
                "Welch's test needs two runs on each side", got=f"{a.size} and {b.size}"
            )
        parts = [float(side.var(ddof=1)) / side.size for side in (a, b)]
        difference, se = float(b.mean() - a.mean()), math.sqrt(sum(parts))
        bottom = sum(part**2 / (side.size - 1) for part, side in zip(parts, (a, b), strict=True))
        degrees = sum(parts) ** 2 / bottom if bottom > 0 else float(a.size + b.size - 2)
    statistic = (
        difference / se if se > 0 else math.copysign(math.inf, difference) if difference else 0.0
    )
    half = float(stats.t.ppf((1 + level) / 2, degrees)) * se
    p = float(stats.t.cdf(statistic, degrees))
    return Acceptance(
        rule,
        difference,
        difference - half,
        difference + half,
        statistic,
        degrees,
        p,
        (a.size, b.size),
        p < SIGNIFICANCE,
    )


def against_target(losses: FloatArray, target: float, *, rule: str = "t") -> Acceptance:
    """Return whether losses are lower than a fixed target, by Student's t ("t") or the speed-run rule.

    Raises:
        InputError: There is no such rule, or fewer than two losses for a t-test.
    """
    same = np.full(losses.size, float(target))
    return compare_means(same, losses, rule="paired-t" if rule == "t" else rule)
