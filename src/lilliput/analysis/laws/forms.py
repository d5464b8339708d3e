"""Forms of laws (a law with a number of breaks): which are compared, and which of them the points can carry."""

from __future__ import annotations

from dataclasses import dataclass

from lilliput.analysis.laws.base import CostLaw
from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.registry import AUTO, cost_law, law_named, laws_of
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.wording import plural

POINTS_PER_BREAK = 10


@dataclass(frozen=True)
class LawForm:
    """Name a law with its number of breaks."""

    law: str
    n_breaks: int = 0

    @property
    def n_free(self) -> int:
        """Return the number of free parameters, the variance included."""
        return cost_law(self.law).n_free(self.n_breaks)

    @property
    def is_costly(self) -> bool:
        """Return whether fitting it takes longer than all other laws together."""
        return cost_law(self.law).is_costly(self.n_breaks)

    def __str__(self) -> str:
        return f"{self.law} with {plural(self.n_breaks, 'break')}" if self.n_breaks else self.law


def candidate_laws() -> list[CostLaw]:
    """Return the laws that `--law auto` compares."""
    return [law for law in laws_of(CostLaw) if law.is_candidate]


def floor_pair(law: str) -> tuple[str, str] | None:
    """Return the names of a law without its floor and above it, given either; None where it has no such twin."""
    for one in laws_of(CostLaw):
        if one.without_floor and law in (one.name, one.without_floor):
            return one.without_floor, one.name
    return None


def forms_for(law: str, breaks: int | None, n_points: int) -> list[LawForm]:
    """Return the forms to compare.

    Args:
        law: "auto" compares all; a broken law compares its numbers of breaks.
        breaks: Fixed number of breaks, where the user chose one.
        n_points: Distinct costs: without a choice, a break needs ten of them.

    Raises:
        InputError: `breaks` does not fit the law, or the points are fewer than the parameters.
    """
    check_breaks(law, breaks)
    if law == AUTO:
        laws = [law for law in candidate_laws() if n_points >= law.fewest_costs]
        fewest = 0
    else:
        laws, fewest = [cost_law(law)], 1
    chosen = [form for one in laws for form in _forms_of(one, breaks, n_points, fewest)]
    possible = [form for form in chosen if n_points >= form.n_free]
    if not possible:
        simplest = min(chosen, key=lambda form: form.n_free)
        raise InputError(
            f"{simplest} has {simplest.n_free} parameters with the noise and needs as many distinct costs",
            got=n_points,
            remedy="Add runs, take --points all, or fit a simpler law.",
        )
    return possible


def _forms_of(law: CostLaw, breaks: int | None, n_points: int, fewest: int) -> list[LawForm]:
    """Return the forms of one law; a broken law has as many as there may be breaks."""
    if not law.most_breaks:
        return [] if breaks else [LawForm(law.name)]
    if breaks is not None:
        return [LawForm(law.name, breaks)] if 0 < breaks <= law.most_breaks else []
    most = min(law.most_breaks, max(n_points // POINTS_PER_BREAK, fewest))
    return [LawForm(law.name, k) for k in range(1, most + 1)]


def check_breaks(law: str, breaks: int | None) -> None:
    """Raise where a law cannot have that many breaks.

    Raises:
        InputError: It cannot, or there is no such law.
    """
    broken = {one.name: one.most_breaks for one in candidate_laws() if one.most_breaks}
    most = max(broken.values(), default=0) if law == AUTO else law_named(law).most_breaks
    if breaks is None:
        return
    if not most:
        raise InputError(
            f"law {law} has no breaks",
            got=breaks,
            remedy=f"Leave --breaks out, or take one of {', '.join((AUTO, *broken))}.",
        )
    least = 0 if law == AUTO else 1
    if not least <= breaks <= most:
        raise InputError(f"law {law} takes {least} to {most} breaks", got=breaks)


def fit_form(
    form: LawForm, flops: FloatArray, loss: FloatArray, *, start: CurveFit | None = None
) -> CurveFit | None:
    """Return the form fitted to points; None where it cannot be.

    Args:
        form: Law and number of breaks.
        flops: Shape (points,).
        loss: Shape (points,).
        start: A fit to similar data (a bootstrap draw's parent), which allows a quicker search.
    """
    return cost_law(form.law).fit(flops, loss, form.n_breaks, start)


def unbroken_forms(n_points: int) -> list[LawForm]:
    """Return the candidates without breaks that leave some of `n_points` distinct costs free."""
    forms = (LawForm(law.name) for law in candidate_laws() if not law.most_breaks)
    return [form for form in forms if n_points > form.n_free]
