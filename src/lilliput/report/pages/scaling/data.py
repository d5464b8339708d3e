"""What the figures of the page Scaling draw: frontiers, laws, breaks, cuts, exponents."""

from __future__ import annotations

from lilliput.analysis.findings.laws import (
    GroupLaw,
    band_of,
    curve_of,
    last_exponent,
    law_name,
    rival_name,
)
from lilliput.analysis.table.tidy import Cell
from lilliput.report.drawing.figures import DataTable
from lilliput.report.pages import shared


def frontier_data(laws: tuple[GroupLaw, ...]) -> DataTable:
    """Return one row for each compute-optimal point of each group and convention."""
    rows: list[dict[str, Cell]] = [
        {
            "group": law.group,
            "convention": law.flops,
            "run": point.run,
            "step": point.step,
            "flops": point.flops,
            "loss": point.loss,
        }
        for law in laws
        if law.frontier
        for point in law.frontier.points
    ]
    return DataTable.from_rows(rows)


def laws_data(laws: tuple[GroupLaw, ...]) -> DataTable:
    """Return the chosen law of each group and convention on a grid with its band, and its rivals."""
    rows: list[dict[str, Cell]] = []
    for law in laws:
        if law.fit is None:
            continue
        where: dict[str, Cell] = {"group": law.group, "convention": law.flops}
        name = law_name(law.fit)
        rows += [where | {"role": "chosen law", "law": name} | row for row in band_of(law.fit)]
        for rival in law.rivals:
            name = rival_name(rival)
            rows += [where | {"role": name, "law": name} | row for row in curve_of(rival, law.fit)]
    return DataTable.from_rows(rows)


def breaks_data(laws: tuple[GroupLaw, ...]) -> DataTable:
    """Return one row for each break of a chosen law; without an interval it is drawn 2 % wide."""
    rows: list[dict[str, Cell]] = []
    for law in laws:
        for place, found in enumerate(law.fit.breaks if law.fit else (), start=1):
            rows.append(
                {
                    "name": f"break {place}",
                    "group": law.group,
                    "convention": law.flops,
                    "value": found.value,
                    "low": found.low if found.low is not None else found.value * 0.98,
                    "high": found.high if found.high is not None else found.value * 1.02,
                }
            )
    columns = ["name", "group", "convention", "value", "low", "high"]
    return DataTable.from_rows(rows, columns)


def cuts_data(laws: tuple[GroupLaw, ...]) -> DataTable:
    """Exponents below and above every possible cut, with their standard errors."""
    rows: list[dict[str, Cell]] = []
    for law in laws:
        for cut in law.fit.cut_sensitivity if law.fit else ():
            for side in ("below", "above"):
                exponent, se = cut.get(f"{side}_exponent"), cut.get(f"{side}_se")
                if exponent is None:
                    continue
                rows.append(
                    {
                        "group": law.group,
                        "convention": law.flops,
                        "side": f"{side} the cut",
                        "cut": cut["cut"],
                        "exponent": exponent,
                        "low": None if se is None else exponent - 1.96 * se,
                        "high": None if se is None else exponent + 1.96 * se,
                        "points": cut.get(f"{side}_n"),
                        "r2": cut.get(f"{side}_r2"),
                    }
                )
    columns = ["group", "convention", "side", "cut", "exponent", "low", "high", "points", "r2"]
    return DataTable.from_rows(rows, columns)


def exponents_data(laws: tuple[GroupLaw, ...]) -> DataTable:
    """Return the exponent at the upper end of each group under each convention."""
    rows: list[dict[str, Cell]] = []
    for law in laws:
        if law.fit is None:
            continue
        exponent = last_exponent(law.fit)
        rows.append(
            {
                "group": law.group,
                "row": _row_name(law, several=len({other.group for other in laws}) > 1),
                "convention": shared.flops_label(law.flops),
                "law": law_name(law.fit),
                "exponent": exponent.value,
                "low": exponent.low,
                "high": exponent.high,
            }
        )
    return DataTable.from_rows(rows)


def _row_name(law: GroupLaw, *, several: bool) -> str:
    convention = shared.flops_label(law.flops)
    return f"{convention}, {law.group}" if several else convention
