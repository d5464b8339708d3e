"""Build the tables of the page Scaling: laws compared, parameters, conventions."""

from __future__ import annotations

from lilliput.analysis import law_label
from lilliput.analysis.findings.laws import GroupLaw, last_exponent, law_name
from lilliput.analysis.findings.quantities import Quantity, format_number
from lilliput.architecture import FLOPS_CONVENTIONS
from lilliput.report.pages import shared
from lilliput.report.parts import (
    TableColumn,
    TableRow,
    TableView,
    number_cell,
    quantity_cell,
    text_cell,
)


def candidates_table(law: GroupLaw) -> TableView:
    """Return every law compared for a group, best first."""
    assert law.fit is not None
    best = min(candidate.bic for candidate in law.fit.candidates)
    rows = [
        TableRow(
            (
                text_cell(law_label(c.law, c.n_breaks)),
                number_cell(c.n_free),
                number_cell(c.r2),
                number_cell(c.bic, f"{c.bic:.1f}".replace("-", "−")),
                number_cell(c.bic - best, f"{c.bic - best:.1f}"),
                text_cell("; ".join(format_number(b) for b in c.breaks)),
            ),
            picked=(c.law, c.n_breaks) == (law.fit.law, len(law.fit.breaks)),
        )
        for c in law.fit.candidates
    ]
    return TableView(
        id=_slug("laws", law.group),
        caption=f"Laws compared on the frontier of {law.group} ({shared.flops_label(law.flops)}); "
        f"n = {law.fit.n} points. A smaller BIC is better, differences below 2 mean nothing; the "
        "chosen one is marked. A break must also survive a test against simulated noise.",
        columns=(
            TableColumn("Law"),
            TableColumn("Free parameters", numeric=True),
            TableColumn("R²", numeric=True),
            TableColumn("BIC", numeric=True),
            TableColumn("Behind the best", numeric=True),
            TableColumn("Breaks (FLOPs)"),
        ),
        rows=tuple(rows),
    )


def parameters_table(law: GroupLaw) -> TableView:
    """Return the chosen law's parameters and breaks with their intervals."""
    assert law.fit is not None
    runs = int(law.fit.facts.get("n_runs", 0)) or None
    named = [(name.replace("_", " "), e) for name, e in law.fit.parameters.items()]
    named += [(f"break {i} (FLOPs)", e) for i, e in enumerate(law.fit.breaks, start=1)]
    unknown = {name.replace("_", " ") for name in law.fit.at_bound}
    rows = [
        TableRow((text_cell(name), text_cell("not identified"), number_cell(None)))
        if name in unknown else
        TableRow((text_cell(name), quantity_cell(Quantity(e.value, e.low, e.high, runs)), number_cell(e.se)))
        for name, e in named
    ]  # fmt: skip
    return TableView(
        id=_slug("parameters", law.group),
        caption=f"Parameters of the chosen law for {law.group}: {law_name(law.fit)}, "
        f"R² = {format_number(law.fit.r2)}, n = {law.fit.n} points. Intervals from drawing runs.",
        columns=(
            TableColumn("Parameter"),
            TableColumn("Value", numeric=True),
            TableColumn("Standard error", numeric=True),
        ),
        rows=tuple(rows),
        is_sortable=False,
    )


def conventions_table(laws: tuple[GroupLaw, ...]) -> TableView:
    """Return the chosen law of every group under every convention."""
    rows = [
        TableRow(
            (
                text_cell(law.group),
                text_cell(shared.flops_label(law.flops)),
                text_cell(law_name(law.fit) if law.fit else law.problem),
                quantity_cell(last_exponent(law.fit) if law.fit else None),
                text_cell("; ".join(format_number(b.value) for b in law.fit.breaks) if law.fit else ""),
                number_cell(law.fit.r2 if law.fit else None),
                number_cell(law.fit.n if law.fit else None),
            )
        )
        for law in laws
    ]  # fmt: skip
    return TableView(
        id="conventions",
        caption="The chosen law under every FLOPs convention.",
        columns=(
            TableColumn("Runs"),
            TableColumn("Convention"),
            TableColumn("Law"),
            TableColumn("Exponent at the upper end", numeric=True),
            TableColumn("Breaks (FLOPs)"),
            TableColumn("R²", numeric=True),
            TableColumn("Points", numeric=True),
        ),
        rows=tuple(rows),
    )


def convention_meanings(laws: tuple[GroupLaw, ...]) -> list[tuple[str, str]]:
    """Each convention by its name, and what it counts."""
    columns = dict.fromkeys(law.flops for law in laws)
    known = FLOPS_CONVENTIONS
    return [(known[c].label, known[c].meaning) for c in columns if c in known]


def _slug(kind: str, group: str) -> str:
    letters = "".join(c if c.isalnum() and c.isascii() else "-" for c in group.lower())
    return f"{kind}-{letters}"
