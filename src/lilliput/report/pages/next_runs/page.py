"""The page Next runs: what a budget buys, loss by size and tokens, and how well the law predicts the costliest runs."""

from __future__ import annotations

from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.next_runs import NextRuns
from lilliput.analysis.table.tidy import Cell
from lilliput.report.drawing.figures import Axis, Control, DataTable, Figure, FigureLayer, Option
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages import shared
from lilliput.report.pages.next_runs.sentences import check_sentence, law_sentences, plan_sentence
from lilliput.report.parts import Missing
from lilliput.report.reading.evidence import Evidence


def build_next_runs(evidence: Evidence, findings: Findings) -> PageContent:
    """Return the plans of every group with lines of equal loss and the check of the predictions."""
    found = findings.next_runs
    if not found:
        return PageContent(
            {"missing": Missing("No run has finished yet, so nothing can be planned.")}
        )
    tables = {
        "runs": shared.runs_table(evidence),
        "iso-losses": _iso_losses(found),
        "best-split": _best_split(found),
        "held-out": _held_out(found),
    }
    groups = [one.group for one in found]
    controls = (Control("group", "Runs", tuple(Option(g, g) for g in groups), is_main=True),)
    figures: list[Figure] = []
    if {"num_parameters", "tokens_seen"} <= set(
        shared.present(evidence, ["num_parameters", "tokens_seen"])
    ):
        figures.append(_sizes_figure(found))
    if len(tables["held-out"]):
        figures.append(_check_figure())
    content = {
        "missing": None,
        "sentences": [
            sentence
            for one in found
            for sentence in (plan_sentence(one), check_sentence(one), *law_sentences(one))
        ],
        "warnings": [(one.group, one.plan.warnings) for one in found if one.plan],
    }
    return PageContent(content, tuple(figures), tables, controls)


def _iso_losses(found: tuple[NextRuns, ...]) -> DataTable:
    """Return the lines of equal loss: one row a point."""
    rows: list[dict[str, Cell]] = [
        {
            "group": one.group,
            "line": f"{line.loss:.3f} nat",
            "num_parameters": size,
            "tokens_seen": tokens,
        }
        for one in found
        for line in one.iso_losses
        for size, tokens in zip(line.num_parameters, line.tokens, strict=True)
    ]
    return DataTable.from_rows(rows, ["group", "line", "num_parameters", "tokens_seen"])


def _best_split(found: tuple[NextRuns, ...]) -> DataTable:
    rows: list[dict[str, Cell]] = [
        {
            "group": one.group,
            "name": "best split",
            "flops": flops,
            "num_parameters": size,
            "tokens_seen": tokens,
        }
        for one in found
        for flops, size, tokens in one.best_split
    ]
    return DataTable.from_rows(rows, ["group", "name", "flops", "num_parameters", "tokens_seen"])


def _held_out(found: tuple[NextRuns, ...]) -> DataTable:
    rows: list[dict[str, Cell]] = []
    for one in found:
        for point in one.held_out:
            shared_cells: dict[str, Cell] = {
                "group": one.group,
                "run": point.run,
                "flops": point.flops,
            }
            rows.append(
                shared_cells | {"which": "measured", "loss": point.loss, "low": None, "high": None}
            )
            rows.append(
                shared_cells
                | {
                    "which": "predicted without it",
                    "loss": point.predicted,
                    "low": point.low,
                    "high": point.high,
                }
            )
    return DataTable.from_rows(rows, ["group", "run", "flops", "which", "loss", "low", "high"])


def _sizes_figure(found: tuple[NextRuns, ...]) -> Figure:
    where = {"group": "$group"}
    lines = any(one.iso_losses for one in found)
    said = (
        "Each grey line joins sizes and tokens of the same predicted loss; the dark line is the best split of each "
        "budget. A point is a run where it ended."
        if lines
        else "A point is a run where it ended. Lines of equal loss need runs whose sizes and tokens vary apart."
    )
    return Figure(
        id="size-and-tokens",
        title="Size against tokens, with lines of equal loss",
        text=said,
        x=Axis("Parameters", log=True),
        y=Axis("Tokens read", log=True),
        layers=(
            FigureLayer(
                "iso-losses", "lines", x="num_parameters", y="tokens_seen", series="line", where=where,
                name="equal loss", tone=7, label="line",
            ),
            FigureLayer(
                "best-split", "lines", x="num_parameters", y="tokens_seen", where=where, name="best split",
                tone=0, dashed=True, hover=("flops",),
            ),
            FigureLayer(
                "runs", "points", x="num_parameters", y="tokens_seen", where=where, colour="group",
                hover=("loss",),
            ),
        ),
    )  # fmt: skip


def _check_figure() -> Figure:
    return Figure(
        id="prediction-check",
        title="Does the law predict the costliest runs?",
        text="The law was fitted without the runs shown here. Where the intervals hold the measured losses, it can be "
        "trusted a little further.",
        x=Axis("Training FLOPs", log=True),
        y=Axis("Loss", log=True),
        layers=(
            FigureLayer(
                "held-out", "points", x="flops", y="loss", low="low", high="high", colour="which",
                where={"group": "$group"}, hover=("which",),
            ),
        ),
        note="Intervals of 95 % from drawing runs.",
    )  # fmt: skip


def _applies(evidence: Evidence) -> bool:
    return evidence.table is not None


register_page(
    Page(
        "next-runs",
        "Next runs",
        order=75,
        build=build_next_runs,
        template="page.html",
        applies_to=_applies,
    )
)
