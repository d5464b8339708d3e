"""The figures of the Summary: one over the whole study, and a small one beside each answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lilliput.analysis.findings.comparisons import (
    ShapeMean,
    depth_ladders,
    final_loss,
    means_by_shape,
)
from lilliput.analysis.findings.findings import Findings, flops_columns
from lilliput.analysis.findings.groups import group_names
from lilliput.analysis.findings.learning import LEARNED_NATS, depth_of
from lilliput.analysis.findings.quantities import format_number
from lilliput.analysis.findings.runs import Run
from lilliput.analysis.table.tidy import Cell
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.pages import shared
from lilliput.report.pages.cost.sentences import FACTOR_LABELS, price_words
from lilliput.report.pages.downstream.page import chances, scores_data, task_options
from lilliput.report.pages.downstream.sentences import task_label
from lilliput.report.pages.scaling.data import exponents_data, laws_data
from lilliput.report.reading.evidence import Evidence

_PARAMETERS = Axis("Parameters", log=True)


@dataclass(frozen=True)
class Drawings:
    """Hold the figures of the Summary and the tables that they draw.

    Attributes:
        lead: The figure over the whole study; None where no loss was measured.
        beside: Small figures by the name of their answer.
        tables: Data by name.
    """

    lead: Figure | None
    beside: Mapping[str, Figure]
    tables: Mapping[str, DataTable]

    @property
    def all(self) -> tuple[Figure, ...]:
        """Return every figure, in the order of the page."""
        return (*([self.lead] if self.lead else []), *self.beside.values())


@dataclass(frozen=True)
class _Known:
    """What the small figures are drawn from."""

    evidence: Evidence
    findings: Findings
    tables: Mapping[str, DataTable]


def draw_summary(evidence: Evidence, findings: Findings) -> Drawings:
    """Return the figures that these data can fill."""
    tables = _tables(evidence, findings)
    if not any(final_loss(run) is not None for run in evidence.runs):
        return Drawings(None, {}, {})
    known = _Known(evidence, findings, tables)
    drawn = {name: draw(known) for name, draw in _BESIDE.items()}
    beside = {name: figure for name, figure in drawn.items() if figure is not None}
    return Drawings(_lead(evidence, tables), beside, tables)


def _tables(evidence: Evidence, findings: Findings) -> dict[str, DataTable]:
    depths = depth_ladders(means_by_shape(evidence.runs))
    return {
        "runs": shared.runs_table(evidence),
        "curves": shared.curves_table(evidence),
        "laws": laws_data(findings.laws),
        "exponents": exponents_data(findings.laws),
        "unigrams": shared.unigram_rules(evidence),
        "best": _best(evidence),
        "means": shared.means_table(evidence),
        "depths": shared.ladders_table(depths),
        "learned": _learned(evidence),
        "learned-rules": _LEARNED_RULES,
        "scores": scores_data(evidence),
        "chances": chances(evidence.scores),
        "zero": DataTable({"name": ["no gain"], "zero": [0.0]}),
        "prices": _prices(findings),
    }


_LEARNED_RULES = DataTable(
    {
        "name": ["unigram entropy", f"{LEARNED_NATS} nat below it: context is used"],
        "nats": [0.0, LEARNED_NATS],
    }
)


def _best(evidence: Evidence) -> DataTable:
    """Return the run of each group that ended lowest, with its loss in words."""
    groups = group_names(evidence.runs)
    best: dict[str, Run] = {}
    for run in evidence.runs:
        loss, least = final_loss(run), best.get(groups[run.name])
        if loss is not None and (least is None or loss < (final_loss(least) or loss)):
            best[groups[run.name]] = run
    return DataTable.from_rows(
        [
            {
                **run.as_row(),
                "group": group,
                "final_loss": final_loss(run),
                "said": f"lowest: {format_number(final_loss(run))}",
            }
            for group, run in best.items()
        ],
        None if best else ["run", "group", "final_loss", "said"],
    )


def _learned(evidence: Evidence) -> DataTable:
    rows: list[dict[str, Cell]] = [
        {"run": run.name, "nats_below": depth}
        for run in evidence.runs
        if (depth := depth_of(run)) is not None
    ]
    return DataTable.from_rows(rows, ["run", "nats_below"])


def _prices(findings: Findings) -> DataTable:
    """Return the price of the first step of each factor, by group."""
    rows: list[dict[str, Cell]] = [
        {"group": found.group, "size": FACTOR_LABELS[found.factor], "price": step.icer}
        for found in findings.costs.factors
        if (step := found.first_step) is not None
    ]
    return DataTable.from_rows(rows, ["group", "size", "price"])


def _lead(evidence: Evidence, tables: Mapping[str, DataTable]) -> Figure:
    """Return final loss against compute, or against size where no FLOPs are known, with the fitted laws."""
    flops = next(iter(flops_columns(evidence)), "")
    cost = flops or next(iter(shared.present(evidence, ["num_parameters", "tokens_seen"])), "")
    loss = next(iter(shared.present(evidence, ["loss", "loss_reference"])))
    laws = tables["laws"]
    has_law = bool(flops) and len(laws) > 0
    chosen = {"role": "chosen law", "convention": flops}
    layers = [
        *([FigureLayer("curves", "lines", x=cost, y=loss, series="run", faint=True, name="while training")]
          if flops and shared.has_curves(evidence) else []),
        *([FigureLayer("laws", "band", x="flops", low="low", high="high", colour="group", where=chosen),
           FigureLayer("laws", "lines", x="flops", y="loss", series="group", colour="group", where=chosen,
                       label="group", hover=("law",))] if has_law else []),
        FigureLayer("unigrams", "rule", y=loss),
        FigureLayer("runs", "points", x=cost, y=loss, colour="group", hover=shared.hover_columns(evidence)),
        FigureLayer("best", "points", x=cost, y="final_loss", colour="group", label="said", symbol="star",
                    hover=("said",)),
    ]  # fmt: skip
    return Figure(
        id="overview",
        title=f"Final loss against {_COSTS.get(cost, 'training compute')}",
        text=_lead_text(evidence, has_law),
        x=Axis("Training FLOPs" if flops else shared.PARAMETER_LABELS.get(cost, "Tokens read"), log=True),
        y=Axis(shared.LOSS_LABELS[loss], log=True),
        layers=tuple(layers),
        note="The band is the 95 % interval of the law from drawing whole runs with replacement."
        if has_law else "",
    )  # fmt: skip


_COSTS = {"num_parameters": "size", "tokens_seen": "tokens read"}


def _lead_text(evidence: Evidence, has_law: bool) -> str:
    parts = ["Each point is a run where it ended; a star marks the lowest of each colour."]
    if has_law:
        parts.append(
            "The line is the law fitted to the lowest loss that each amount of compute reached."
        )
    if any(run.unigram_entropy is not None for run in evidence.runs):
        parts.append(
            "The dotted line is where a model stands that knows only how frequent each token is."
        )
    return " ".join(parts)


def _learning(known: _Known) -> Figure | None:
    if not len(known.tables["learned"]) or not shared.present(known.evidence, ["num_parameters"]):
        return None
    return Figure(
        id="summary-learning",
        title="Nats below the unigram entropy, by size",
        text="Each point is a run; the higher it stands, the more it learned beyond token frequencies.",
        x=_PARAMETERS,
        y=Axis("Nats below"),
        layers=(
            FigureLayer("learned-rules", "rule", y="nats"),
            FigureLayer("learned", "points", x="num_parameters", y="nats_below", colour="group"),
        ),
        is_small=True,
    )


def _gain(known: _Known) -> Figure | None:
    gains = any(score.gain for score in known.evidence.scores)
    if not gains or not shared.present(known.evidence, ["num_parameters"]):
        return None
    task = task_options(known.evidence.scores)[0].value
    return Figure(
        id="summary-gain",
        title=f"Gain from pre-training on {task_label(task)}, by size",
        text="Score from the pre-trained weights minus score from the initial weights, with 95 % intervals.",
        x=_PARAMETERS,
        y=Axis("Gain"),
        layers=(
            FigureLayer("zero", "rule", y="zero"),
            FigureLayer(
                "scores", "points", x="num_parameters", y="gain", low="gain_low", high="gain_high",
                colour="group", where={"task": task, "weights": "trained"}, apart=True,
            ),
        ),
        is_small=True,
    )  # fmt: skip


def _correlation(known: _Known) -> Figure | None:
    if not known.findings.correlations:
        return None
    task = task_options(known.evidence.scores)[0].value
    loss = next(iter(shared.present(known.evidence, ["loss", "loss_reference"])))
    return Figure(
        id="summary-correlation",
        title=f"Final loss and score on {task_label(task)}",
        text="Each point is a model, fine-tuned from its pre-trained weights, with 95 % intervals.",
        x=Axis(shared.LOSS_LABELS[loss], log=True),
        y=Axis("Score"),
        layers=(
            FigureLayer("chances", "rule", y="chance_level", where={"task": task}),
            FigureLayer(
                "scores", "points", x=loss, y="value", low="low", high="high", colour="group",
                where={"task": task, "weights": "trained"},
            ),
        ),
        is_small=True,
    )  # fmt: skip


def _exponent(known: _Known) -> Figure | None:
    fitted = [law for law in known.findings.laws if law.fit]
    if not fitted:
        return None
    where = {"convention": shared.flops_label(fitted[0].flops)}
    return Figure(
        id="summary-exponent",
        title="How fast the loss falls with compute",
        text="The exponent at the upper end of each law, with its 95 % interval.",
        x=Axis("Exponent α of L ∝ C^(−α)"),
        y=Axis(""),
        layers=(
            FigureLayer(
                "exponents", "points", x="exponent", y="group", low="low", high="high",
                horizontal=True, colour="group", where=where, hover=("law",),
            ),
        ),
        is_small=True,
    )  # fmt: skip


def _depth(known: _Known) -> Figure | None:
    if not len(known.tables["depths"]):
        return None
    lines = FigureLayer(
        "depths", "lines", x="num_hidden_layers", y="loss", series="ladder", colour="group"
    )
    points = FigureLayer(
        "depths", "points", x="num_hidden_layers", y="loss", low="low", high="high", colour="group",
        hover=("shape", "seeds"),
    )  # fmt: skip
    return Figure(
        id="summary-depth",
        title="Loss by number of layers, all else alike",
        text="Each line joins shapes that differ in their number of layers alone; means with 95 % intervals.",
        x=Axis("Layers"),
        y=Axis(shared.final_loss_label(known.evidence)),
        layers=(lines, points),
        is_small=True,
    )


def _parameters(known: _Known) -> Figure | None:
    means: list[ShapeMean] = means_by_shape(known.evidence.runs)
    if not any(mean.num_parameters for mean in means):
        return None
    return Figure(
        id="summary-parameters",
        title="Final loss by size",
        text="The mean over seeds of each shape, with its 95 % interval.",
        x=_PARAMETERS,
        y=Axis(shared.final_loss_label(known.evidence)),
        layers=(
            FigureLayer(
                "means", "points", x="num_parameters", y="loss", low="low", high="high",
                colour="group", apart=True, hover=("shape", "seeds"),
            ),
        ),
        is_small=True,
    )  # fmt: skip


def _factors(known: _Known) -> Figure | None:
    if not len(known.tables["prices"]):
        return None
    return Figure(
        id="summary-factors",
        title="The price of the first step up in each size",
        text="Further to the left is cheaper.",
        x=Axis(price_words(known.findings.costs.factors[0].result).capitalize(), log=True),
        y=Axis(""),
        layers=(
            FigureLayer("prices", "points", x="price", y="size", colour="group", horizontal=True),
        ),
        is_small=True,
    )


_BESIDE: Mapping[str, Callable[[_Known], Figure | None]] = {
    "learning": _learning,
    "gain": _gain,
    "correlation": _correlation,
    "exponent": _exponent,
    "depth": _depth,
    "parameters": _parameters,
    "factors": _factors,
}
