"""Which laws are compared, and which of them the points can carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.curved import fit_log_quadratic
from lilliput.analysis.laws.power import fit_power, fit_power_offset
from lilliput.analysis.laws.segmented import (
    FULL_SEARCH,
    MAX_BREAKS,
    QUICK_SEARCH,
    fit_jumps,
    fit_segmented,
)
from lilliput.analysis.laws.smoothly_broken import fit_bnsl
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

SizeLawName = Literal["isoflop", "minimum"]
Law = Literal[
    "auto",
    "power",
    "power_offset",
    "log_quadratic",
    "segmented",
    "segmented_jumps",
    "bnsl",
    "parametric",
    "repeated",
    SizeLawName,
]
SIZE_LAWS: tuple[SizeLawName, ...] = get_args(SizeLawName)
LAWS: tuple[Law, ...] = get_args(Law)
POINTS_PER_BREAK = 10
BNSL_BREAKS = 2


@dataclass(frozen=True)
class Form:
    """A law with its number of breaks."""

    law: str
    n_breaks: int = 0

    @property
    def n_free(self) -> int:
        """Free parameters, the variance included."""
        per_law = {
            "power": 3,
            "power_offset": 4,
            "log_quadratic": 4,
            "segmented": 3 + 2 * self.n_breaks,
            "segmented_jumps": 3 * (self.n_breaks + 1),
            "bnsl": 4 + 3 * self.n_breaks,
        }
        return per_law[self.law]

    @property
    def is_costly(self) -> bool:
        """Whether fitting it takes longer than all other laws together."""
        return self.law == "bnsl" and self.n_breaks > 1

    def __str__(self) -> str:
        if not self.n_breaks:
            return self.law
        return f"{self.law} with {self.n_breaks} break{'s' if self.n_breaks > 1 else ''}"


def forms_for(law: Law, breaks: int | None, n_points: int) -> list[Form]:
    """The forms to compare.

    Args:
        law: "auto" compares all; a broken law compares its numbers of breaks.
        breaks: Fixed number of breaks, where the user chose one.
        n_points: Distinct costs: without a choice, a break needs ten of them.

    Raises:
        InputError: `breaks` does not fit the law, or the points are fewer than the parameters.
    """
    check_breaks(law, breaks)
    most = n_points // POINTS_PER_BREAK
    numbers = range(1, min(MAX_BREAKS, max(most, 0 if law == "auto" else 1)) + 1)
    if breaks is not None:
        numbers = [breaks] if breaks else []
    single = [Form("power"), Form("power_offset")]
    single += [Form("log_quadratic")] if n_points >= POINTS_PER_BREAK else []
    joined = [Form("segmented", k) for k in numbers]
    jumping = [Form("segmented_jumps", k) for k in numbers]
    smooth = [Form("bnsl", k) for k in numbers if k <= BNSL_BREAKS]
    chosen = {
        "auto": [*(single if not breaks else []), *joined, *jumping, *smooth],
        "segmented": joined,
        "segmented_jumps": jumping,
        "bnsl": smooth,
    }.get(law, [Form(law)])
    possible = [form for form in chosen if n_points >= form.n_free]
    if not possible:
        fewest = min(chosen, key=lambda form: form.n_free)
        raise InputError(
            f"{fewest} has {fewest.n_free} parameters with the noise and needs as many distinct costs",
            got=n_points,
            remedy="Add runs, take --points all, or fit a simpler law.",
        )
    return possible


_BROKEN = ("auto", "segmented", "segmented_jumps", "bnsl")


def check_breaks(law: Law, breaks: int | None) -> None:
    """Raise where a law cannot have that many breaks.

    Raises:
        InputError: It cannot.
    """
    if breaks is None:
        return
    if law not in _BROKEN:
        raise InputError(
            f"law {law} has no breaks",
            got=breaks,
            remedy=f"Leave --breaks out, or take one of {', '.join(_BROKEN)}.",
        )
    most = BNSL_BREAKS if law == "bnsl" else MAX_BREAKS
    least = 0 if law == "auto" else 1
    if not least <= breaks <= most:
        raise InputError(f"law {law} takes {least} to {most} breaks", got=breaks)


def fit_form(
    form: Form,
    flops: FloatArray,
    loss: FloatArray,
    *,
    start: CurveFit | None = None,
) -> CurveFit | None:
    """The form fitted to points; None where it cannot be.

    Args:
        form: Law and number of breaks.
        flops: Shape (points,).
        loss: Shape (points,).
        start: A fit to similar data (a bootstrap draw's parent), which allows a quicker search.
    """
    if form.law == "power":
        return fit_power(flops, loss)
    if form.law == "power_offset":
        return fit_power_offset(flops, loss)
    if form.law == "log_quadratic":
        pivot = None if start is None else start.parameters["pivot"]
        return fit_log_quadratic(flops, loss, pivot=pivot)
    if form.law == "segmented":
        search, near = (FULL_SEARCH, None) if start is None else (QUICK_SEARCH, start.breaks)
        return fit_segmented(flops, loss, form.n_breaks, search=search, start=near)
    if form.law == "segmented_jumps":
        return fit_jumps(flops, loss, form.n_breaks)
    return fit_bnsl(flops, loss, form.n_breaks, start=start)
