"""The equation of every law says the same as its curve: the Python is run, text and LaTeX are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lilliput.analysis import MUENNIGHOFF, CurveFit, LawForm, fit_form, law_named
from lilliput.analysis.laws.base import CurveLaw

COSTS = np.geomspace(1e14, 1e18, 40)


def losses() -> np.ndarray:
    bent = np.where(COSTS < 2e16, 60 * COSTS**-0.1, 60 * 2e16**0.1 * COSTS**-0.2)
    return bent * np.exp(np.random.default_rng(0).normal(0, 0.01, COSTS.size))


def function_of(code: str) -> Any:
    """Run the code as a reader would who pastes it."""
    names: dict[str, Any] = {}
    exec(code, names)
    return names["loss"]


@pytest.mark.parametrize(
    ("law", "breaks"),
    [("power", 0), ("power_offset", 0), ("log_quadratic", 0), ("segmented", 1), ("segmented", 2),
     ("segmented_jumps", 2), ("bnsl", 1)],
)  # fmt: skip
def test_the_python_is_the_curve(law: str, breaks: int) -> None:
    fit = fit_form(LawForm(law, breaks), COSTS, losses())
    assert isinstance(fit, CurveFit)
    found = law_named(law)
    assert isinstance(found, CurveLaw)
    equation = found.equation(fit.parameters, fit.breaks)
    assert equation is not None
    loss = function_of(equation.python)
    for cost in (*COSTS.tolist(), 1e20):
        assert loss(cost) == pytest.approx(float(fit.predict(cost)), rel=1e-9)
    assert equation.python.count("\n") <= 7
    assert equation.text.startswith("L = ")
    assert equation.latex.count("{") == equation.latex.count("}")


def test_laws_of_size_and_tokens() -> None:
    law = law_named("parametric")
    assert isinstance(law, CurveLaw)
    values = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    equation = law.equation(values, np.empty(0))
    assert equation is not None
    assert equation.text == "L = 1.69 + 406.4 N^-0.34 + 410.7 D^-0.28"
    assert equation.latex == "L = 1.69 + 406.4\\,N^{-0.34} + 410.7\\,D^{-0.28}"
    assert function_of(equation.python)(7e10, 1.4e12) == pytest.approx(
        1.69 + 406.4 / 7e10**0.34 + 410.7 / 1.4e12**0.28
    )
    repeated = law_named("repeated")
    assert isinstance(repeated, CurveLaw)
    names = ("E", "A", "B", "alpha", "beta", "repeat_tokens", "repeat_parameters")
    equation = repeated.equation(
        dict(zip(names, MUENNIGHOFF.values.tolist(), strict=True)), np.empty(0)
    )
    assert equation is not None
    loss = function_of(equation.python)
    for n, d, u in ((1e9, 4e10, 1e10), (1e8, 1e9, 1e10), (1e11, 3e10, 3e9)):
        assert loss(n, d, u) == pytest.approx(float(MUENNIGHOFF.predict(n, d, u)), rel=1e-9)
