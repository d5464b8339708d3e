"""The page Training: how the loss fell, which runs left the plateau, and where each run ended."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lilliput.analysis import paper_table
from lilliput.analysis.findings.comparisons import final_loss, mean_over_seeds
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.learning import PLATEAU_EXIT_NATS, plateau_exit_index
from lilliput.analysis.findings.quantities import format_number
from lilliput.analysis.findings.runs import Run
from lilliput.analysis.table.tidy import Cell
from lilliput.core.wording import plural
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages import shared
from lilliput.report.pages.training.learning import PLATEAU_EXIT_RULE, learning_sentences
from lilliput.report.pages.training.learning_rates import rate_figures, rate_tables
from lilliput.report.pages.training.sizes import size_figures, size_tables
from lilliput.report.parts import (
    Missing,
    TableColumn,
    TableRow,
    TableView,
    number_cell,
    quantity_cell,
    text_cell,
)
from lilliput.report.reading.evidence import Evidence

_PAPER_LAYER = "the paper's 42 runs"
_PAPER_NOTE = (
    " The paper's curves count padding as the authors did, so they can be shown under their loss only, along "
    "steps or the authors' FLOPs."
)
_PAPER_CURVES = FigureLayer(
    "paper",
    "lines",
    x="$progress",
    y="$loss",
    series="run",
    name=_PAPER_LAYER,
    faint=True,
    hidden=True,
)
_EXIT_LAYER = (
    f"leaves the plateau: {PLATEAU_EXIT_NATS} nat below the unigram entropy, twice in a row"
)


def build_training(evidence: Evidence, findings: Findings) -> PageContent:
    """Curves along tokens, FLOPs and seconds; where runs leave the plateau; final loss by size."""
    del findings
    if not evidence.runs:
        content = {"missing": _missing(evidence), "failures": evidence.failures}
        return PageContent(content)
    curves = shared.curves_table(evidence)
    exits = _plateau_exits(evidence, curves)
    tables = {
        "runs": shared.runs_table(evidence),
        "curves": curves,
        "paper": _paper_data(),
        "unigrams": shared.unigram_rules(evidence),
        "plateau-exits": exits,
        **size_tables(evidence),
        **rate_tables(evidence.search),
    }
    controls = shared.known(
        shared.progress_control(evidence),
        shared.flops_control(evidence),
        shared.loss_control(evidence),
        shared.parameters_control(evidence),
        shared.colour_control(evidence),
    )
    names = {control.name for control in controls}
    figures: list[Figure] = []
    if shared.has_curves(evidence) and {"progress", "loss"} <= names:
        figures.append(_curves_figure(evidence, len(exits)))
    if {"parameters", "loss"} <= names:
        figures.append(_size_figure(evidence))
    figures += size_figures(evidence, tables)
    figures += rate_figures(evidence.search)
    content = {
        "missing": None,
        "sentences": learning_sentences(evidence),
        "no_curves": _no_curves(evidence),
        "seeds": _seeds_table(evidence),
        "failures": evidence.failures,
    }
    return PageContent(content, tuple(figures), tables, controls)


def _missing(evidence: Evidence) -> Missing:
    if evidence.failures:
        failed = plural(len(evidence.failures), "run")
        return Missing(f"No run has finished yet; {failed} failed.", "lilliput study retry RECIPE")
    return Missing("No run has finished yet.", "lilliput study run RECIPE")


def _no_curves(evidence: Evidence) -> Missing | None:
    if shared.has_curves(evidence):
        return None
    return Missing("Each run was measured once, so there are no curves to draw.")


def _curves_figure(evidence: Evidence, n_left: int) -> Figure:
    hover = shared.hover_columns(evidence)
    layers = [
        *([] if evidence.is_foreign else [_PAPER_CURVES]),
        FigureLayer("curves", "lines", x="$progress", y="$loss", series="run", colour="$colour", hover=hover),
        FigureLayer("plateau-exits", "points", x="$progress", y="$loss", name=_EXIT_LAYER, tone=3),
        FigureLayer("unigrams", "rule", y="$loss"),
    ]  # fmt: skip
    return Figure(
        id="loss-curves",
        title="Loss while training",
        text=_curves_text(evidence, n_left),
        x=Axis("{progress}", log=True),
        y=Axis("{loss}", log=True),
        layers=tuple(layers),
        note="Each curve is a single run on held-out text. The dotted line is the entropy of the "
        "held-out tokens: a model that only knows how frequent each token is stands there, on the "
        f"plateau. {PLATEAU_EXIT_RULE}{'' if evidence.is_foreign else _PAPER_NOTE}",
    )


def _curves_text(evidence: Evidence, n_left: int) -> str:
    losses = [loss for run in evidence.runs if (loss := final_loss(run)) is not None]
    ends = (
        f"end between {format_number(min(losses))} and {format_number(max(losses))} nat"
        if losses
        else "end"
    )
    known = sum(run.unigram_entropy is not None for run in evidence.runs)
    left = (
        f"; {n_left} of {known} left the plateau of the unigram entropy on the way" if known else ""
    )
    return f"{plural(len(evidence.runs), 'curve')}, one a run; they {ends}{left}."


def _size_figure(evidence: Evidence) -> Figure:
    return Figure(
        id="loss-by-size",
        title="Where each run ended, by size",
        text=_size_sentence(evidence),
        x=Axis("{parameters}", log=True),
        y=Axis("{loss}", log=True),
        layers=(
            FigureLayer(
                "runs", "points", x="$parameters", y="$loss", colour="$colour",
                hover=shared.hover_columns(evidence),
            ),
        ),
        note="One point a run, at its last measurement; seeds of one shape stand above each other.",
    )  # fmt: skip


def _size_sentence(evidence: Evidence) -> str:
    runs = [r for r in evidence.runs if "num_parameters" in r.final and final_loss(r) is not None]
    if not runs:
        return "Final losses of all runs."
    smallest, largest = runs[0], runs[-1]
    best = min(runs, key=lambda run: final_loss(run) or math.inf)
    return (
        f"From {format_number(smallest.final['num_parameters'])} to "
        f"{format_number(largest.final['num_parameters'])} parameters. The lowest final loss is "
        f"{format_number(final_loss(best))} nat ({best.label}, a single run)."
    )


def _paper_data() -> DataTable:
    """Return the authors' 1,512 evaluations: steps, their FLOPs, their loss."""
    table = paper_table()
    columns: dict[str, list[Cell]] = {"run": table.text("run").tolist()}
    for name in ("step", "flops_reference", "loss_reference"):
        columns[name] = table.number(name).tolist()
    return DataTable(columns)


def _plateau_exits(evidence: Evidence, table: DataTable) -> DataTable:
    """Return the measurement at which each run left the plateau of its unigram entropy (`plateau_exit_index`)."""
    curves: dict[str, list[Mapping[str, Cell]]] = {}
    for row in table.rows():
        if isinstance(row.get("loss"), float):
            curves.setdefault(str(row["run"]), []).append(row)
    found: list[Mapping[str, Cell]] = []
    for run in evidence.runs:
        points = curves.get(run.name, [])
        if run.unigram_entropy is not None:
            losses = [float(str(point["loss"])) for point in points]
            index = plateau_exit_index(losses, run.unigram_entropy)
            found += [] if index is None else [points[index]]
    return DataTable.from_rows(found)


def _seeds_table(evidence: Evidence) -> TableView | None:
    """Return the mean final loss over the seeds of each shape, language and profile, with its interval."""
    column = next(iter(shared.present(evidence, ["loss", "loss_reference"])), None)
    if column is None or not shared.distinct(evidence, "shape"):
        return None
    telling = shared.telling_facets(evidence)
    facets = [f for f in ("language", "profile", "variant", "family") if f in telling]
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in evidence.runs:
        key = (run.facets.get("shape", ""), *(run.facets.get(f, "") for f in facets))
        groups.setdefault(key, []).append(run)
    rows: list[TableRow] = []
    for key, members in groups.items():
        losses = [run.final[column] for run in members if column in run.final]
        if losses:
            mean = mean_over_seeds(losses)
            size = members[0].final.get("num_parameters")
            rows.append(TableRow((*map(text_cell, key), number_cell(size), quantity_cell(mean))))
    return TableView(
        id="final-losses",
        caption=f"{shared.LOSS_LABELS[column]} at the end of training: mean over seeds with "
        f"Student's interval, or marked as single. {shared.SHAPE_LETTERS}",
        columns=(
            TableColumn("Shape E/H/I/A/L"),
            *(TableColumn(shared.facet_label(facet)) for facet in facets),
            TableColumn("Parameters", numeric=True),
            TableColumn("Final loss", numeric=True),
        ),
        rows=tuple(rows),
    )


register_page(Page("training", "Training", order=40, build=build_training, template="page.html"))
