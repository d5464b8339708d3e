r"""Write a fitted law as an equation: in plain text, in LaTeX, and as Python that evaluates it.

Example, a power law:

    text     L = 40 C^-0.1
    latex    L = 40\,C^{-0.1}
    python   def loss(C):
                 return 40.0 * C ** -0.1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_DIGITS = 4


@dataclass(frozen=True)
class Equation:
    """Hold a fitted law in three forms; text and LaTeX are rounded to four digits, Python is exact.

    Attributes:
        text: One line.
        latex: The same for a paper, without dollar signs.
        python: A function `loss` of cost, or of size and tokens, that needs nothing but numpy.
    """

    text: str
    latex: str
    python: str

    def as_record(self) -> dict[str, str]:
        """Return plain data for JSON."""
        return {"text": self.text, "latex": self.latex, "python": self.python}


def short(value: float) -> str:
    """Return a number with four digits, such as 40, 0.1003 or 2.2e+15."""
    return f"{value:.{_DIGITS}g}"


def latex_number(value: float) -> str:
    """Return a number with four digits as LaTeX: 2.2e+15 becomes 2.2 times 10 to the 15."""
    mantissa, _, exponent = short(value).partition("e")
    return mantissa if not exponent else f"{mantissa} \\times 10^{{{int(exponent)}}}"


def function(arguments: str, lines: Sequence[str]) -> str:
    """Return the code of a function `loss` with these arguments and lines."""
    body = "\n".join(f"    {line}" for line in lines)
    needs_numpy = any("np." in line for line in lines)
    return f"{'import numpy as np' + chr(10) * 3 if needs_numpy else ''}def loss({arguments}):\n{body}\n"


def power_equation(coefficient: float, exponent: float, offset: float | None = None) -> Equation:
    """Return the equation of a power law, above a floor where there is one."""
    before = "" if offset is None else f"{short(offset)} + "
    latex_before = "" if offset is None else f"{latex_number(offset)} + "
    exact = "" if offset is None else f"{offset!r} + "
    return Equation(
        f"L = {before}{short(coefficient)} C^{short(-exponent)}",
        f"L = {latex_before}{latex_number(coefficient)}\\,C^{{{latex_number(-exponent)}}}",
        function("C", [f"return {exact}{coefficient!r} * C ** {-exponent!r}"]),
    )


def pieces_equation(
    coefficients: Sequence[float], exponents: Sequence[float], breaks: Sequence[float]
) -> Equation:
    """Return the equation of power laws one after another."""
    pairs = list(zip(coefficients, exponents, strict=True))
    where = [f"C <= {short(place)}" for place in breaks]
    where.append(f"C > {short(breaks[-1])}")
    texts = [f"{short(k)} C^{short(-a)} ({w})" for (k, a), w in zip(pairs, where, strict=True)]
    conditions = [f"C \\le {latex_number(place)}" for place in breaks] + ["\\text{above}"]
    rows = [
        f"{latex_number(k)}\\,C^{{{latex_number(-a)}}} & {condition}"
        for (k, a), condition in zip(pairs, conditions, strict=True)
    ]
    lines = [
        f"if C <= {place!r}: return {k!r} * C ** {-a!r}"
        for (k, a), place in zip(pairs, breaks, strict=False)
    ]
    last_k, last_a = pairs[-1]
    return Equation(
        "L = " + "; ".join(texts),
        "L = \\begin{cases} " + " \\\\ ".join(rows) + " \\end{cases}",
        function("C", [*lines, f"return {last_k!r} * C ** {-last_a!r}"]),
    )
