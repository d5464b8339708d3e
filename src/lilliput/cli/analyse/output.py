"""How results of `lilliput analyse` read on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lilliput.cli._frame import echo
from lilliput.core.wording import plural

if TYPE_CHECKING:
    from lilliput.analysis import IcerResult


def interval(record: Mapping[str, Any]) -> str:
    """Return a value with its bounds, as far as there are any."""
    if "at_bound" in record:
        return _not_identified(record)
    if record["value"] is None:
        return "undefined"
    if record["low"] is None:
        return f"{record['value']:.4g} (no interval)"
    return f"{record['value']:.4g} ({record['low']:.4g} to {record['high']:.4g})"


def _not_identified(record: Mapping[str, Any]) -> str:
    """Return what is known of a parameter that ended at a bound of its search."""
    low, high = record["low"], record["high"]
    if low is not None:
        return f"not identified ({low:.4g} or more)"
    return "not identified" if high is None else f"not identified ({high:.4g} or less)"


def _show_values(rows: list[tuple[str, Mapping[str, Any]]]) -> None:
    width = max((len(name) for name, _ in rows), default=0) + 2
    for name, value in rows:
        echo(f"  {name:{width}}{interval(value)}")


def show_fit(found: Any, with_warnings: bool = True) -> None:
    """Print a fitted law: its parameters, its breaks, and the laws it was compared with."""
    record = found.as_record()
    said = f"R2 {found.r2:.4f}, BIC {found.bic:.1f}, {plural(found.n, 'point')}"
    echo(f"{found.law}: {said}")
    breaks = [("break at", value) for value in record["breaks"]]
    _show_values([*record["parameters"].items(), *breaks])
    _show_cuts(found.cut_sensitivity)
    if found.equation is not None:
        echo(found.equation.text)
    for one in found.facts.get("influence", [])[:1]:
        echo(
            f"The fit rests most on {one['unit']}: without it {one['parameter']} changes by "
            f"{one['change']:+.3g} ({one['standard_errors']:.2g} standard errors)."
        )
    echo("Laws compared (law, breaks, BIC):")
    for candidate in found.candidates:
        echo(f"  {candidate.law:17}{candidate.n_breaks}  {candidate.bic:9.1f}")
    if with_warnings:
        show_warnings(found.warnings)


def _show_cuts(cuts: Sequence[Mapping[str, float | None]]) -> None:
    """Print between what the exponent of the points above a cut moves, over all cuts in the cheaper half."""
    known = [(row["above_exponent"], row["cut"]) for row in cuts[: len(cuts) // 2]]
    sides = sorted((x, cut) for x, cut in known if x is not None and cut is not None)
    if sides:
        (low, at_low), (high, at_high) = sides[0], sides[-1]
        echo(
            f"A power law above a cut has exponent {low:.4g} (cut at {at_low:.3g}) to {high:.4g} "
            f"({at_high:.3g})"
        )


def show_size(found: Any) -> None:
    """Return the best size as a power law of the budget."""
    record = found.as_record()
    echo(f"{found.law}: best parameters at {plural(found.n, 'budget')}, R2 {found.r2:.4f}")
    _show_values(list(record["parameters"].items()))
    show_warnings(found.warnings)


_STATUS = {
    "ND": "efficient: not dominated",
    "ED": "dominated by a mixture of two others (extended dominance)",
    "D": "dominated: a cheaper one is at least as good",
}


def show_strategies(results: Sequence[IcerResult]) -> None:
    """Print one line a strategy under a head, then what the letters of its status mean."""
    echo(f"{'':2}  {'cost':>12}  {'effect':>10}  {'ICER':>12}  strategy")
    for s in (strategy for result in results for strategy in result.strategies):
        ratio = "" if s.icer is None else f"{s.icer:.5g}"
        echo(f"{s.status:2}  {s.cost:12.5g}  {s.effect:10.5g}  {ratio:>12}  {s.name}")
    shown = {strategy.status for result in results for strategy in result.strategies}
    for status, meaning in _STATUS.items():
        if status in shown:
            echo(f"{status} = {meaning}.")
    echo("ICER = additional cost for one unit of effect, against the next cheaper efficient one.")


def show_warnings(warnings: tuple[str, ...]) -> None:
    """Print each warning as a note."""
    for warning in warnings:
        echo(f"Note: {warning}")
