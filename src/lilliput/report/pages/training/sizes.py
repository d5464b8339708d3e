"""On the page Training: mean final loss by size, by depth and by width."""

from __future__ import annotations

from collections.abc import Mapping

from lilliput.analysis.findings.comparisons import depth_ladders, means_by_shape, width_ladders
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.pages import shared
from lilliput.report.reading.evidence import Evidence

_INTERVALS = (
    "Means over seeds; bars are Student's 95 % intervals, and a point without one is a single run."
)


def size_tables(evidence: Evidence) -> dict[str, DataTable]:
    """Return what the figures draw: means by shape, and shapes that differ in one thing."""
    means = means_by_shape(evidence.runs)
    return {
        "means": shared.means_table(evidence),
        "depths": shared.ladders_table(depth_ladders(means)),
        "widths": shared.ladders_table(width_ladders(means)),
    }


def size_figures(evidence: Evidence, tables: Mapping[str, DataTable]) -> list[Figure]:
    """Return the figures that these runs can fill."""
    loss = Axis(shared.final_loss_label(evidence), log=True)
    figures: list[Figure] = []
    if "num_parameters" in tables["means"]:
        figures.append(_means_figure(loss))
    if len(tables["depths"]):
        figures.append(_ladder_figure("depth", loss))
    if len(tables["widths"]):
        figures.append(_ladder_figure("width", loss))
    return figures


def _means_figure(loss: Axis) -> Figure:
    return Figure(
        id="mean-loss-by-size",
        title="Mean final loss by size",
        text="The mean over the seeds of each shape. Where bars do not overlap, more than chance lies between two "
        "shapes.",
        x=Axis("Parameters", log=True),
        y=loss,
        layers=(
            FigureLayer(
                "means", "points", x="num_parameters", y="loss", low="low", high="high",
                colour="group", apart=True, hover=("shape", "seeds"),
            ),
        ),
        note=_INTERVALS,
    )  # fmt: skip


_LADDERS = {
    "depth": (
        "num_hidden_layers",
        "What more layers do",
        "Layers",
        "Each line joins shapes that are alike but for their number of layers.",
    ),
    "width": (
        "hidden_size",
        "What more width does",
        "Hidden width",
        "Each line joins shapes of the same number of layers; their other widths grow with the hidden one.",
    ),
}


def _ladder_figure(kind: str, loss: Axis) -> Figure:
    x, title, axis, text = _LADDERS[kind]
    table = f"{kind}s"
    return Figure(
        id=f"loss-by-{kind}",
        title=title,
        text=text,
        x=Axis(axis, log=True),
        y=loss,
        layers=(
            FigureLayer(table, "lines", x=x, y="loss", series="ladder", colour="held", label="ladder"),
            FigureLayer(
                table, "points", x=x, y="loss", low="low", high="high", colour="held",
                hover=("shape", "group", "seeds"),
            ),
        ),
        note=_INTERVALS,
    )  # fmt: skip
