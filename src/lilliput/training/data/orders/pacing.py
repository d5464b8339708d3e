"""Pacing: the share of the sorted data that a curriculum offers, as a function of the share of the run that is done."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

PacingName = Literal["linear", "quadratic", "root", "exponential", "logarithmic"]

# Each rises from about 0 at the beginning of the run to 1 at its end.
_SHAPES: dict[PacingName, Callable[[float], float]] = {
    "linear": lambda done: done,
    "quadratic": lambda done: done**2,
    "root": math.sqrt,
    "exponential": lambda done: math.expm1(10.0 * done) / math.expm1(10.0),
    "logarithmic": lambda done: 1.0 + 0.1 * math.log(done + math.exp(-10.0)),
}


def offered_share(pacing: PacingName, done: float, start: float) -> float:
    """Return the share of the data, easiest first, that is offered when `done` of the run is done.

    It is b + (1 - b) f(x) and at most 1, with b = `start`, x = `done`, and f(x) by name: x, x^2, sqrt(x),
    (e^(10x) - 1) / (e^10 - 1), and 1 + 0.1 ln(x + e^-10). For example root pacing from b = 0.2 offers
    0.2, 0.6, 0.766 and 1 at x = 0, 1/4, 1/2 and 1.

    Args:
        pacing: Name of the shape.
        done: Share of the run, from 0 to 1.
        start: Share that is offered at the beginning, above 0 and at most 1.

    Source: the pacing functions of CLIMB (arXiv 2311.08886), after Wu et al. (arXiv 2012.03107).
    """
    return min(1.0, start + (1.0 - start) * _SHAPES[pacing](done))
