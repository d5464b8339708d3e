"""What several pages draw from: the table of runs, the curves, and the choices they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from lilliput.analysis.findings.comparisons import Ladder, means_by_shape
from lilliput.analysis.findings.findings import flops_columns
from lilliput.analysis.findings.groups import group_names
from lilliput.analysis.findings.runs import FACETS, rows_by_run
from lilliput.analysis.table.tidy import Cell
from lilliput.architecture import FLOPS_CONVENTIONS
from lilliput.report.drawing.figures import Control, DataTable, Option
from lilliput.report.reading.evidence import Evidence

SHAPE_LETTERS = (
    "A shape is written E/H/I/A/L: widths of the embedding (E), of the hidden states (H) and of the "
    "feed-forward layer (I), attention heads (A), and layers (L)."
)
LOSS_LABELS = {
    "loss": "Loss (nats a predicted token)",
    "loss_reference": "Loss by the authors' average (nats)",
    "perplexity": "Perplexity",
    "perplexity_reference": "Perplexity by the authors' average",
    "bits_per_byte": "Bits per byte",
}
PARAMETER_LABELS = {
    "num_parameters": "All parameters",
    "num_parameters_non_embedding": "Parameters without embeddings",
}
_COLOUR_LABELS = {
    "language": "Language",
    "profile": "Training profile",
    "variant": "Variant",
    "family": "Family",
}
_PROGRESS_LABELS = {
    "tokens_seen": "Tokens read",
    "$flops": "Training FLOPs ({flops})",
    "wall_time_s": "Seconds of training",
    "step": "Steps",
}
# On the page a run's facts are joined by name, so curves carry measurements only.
_CURVE_COLUMNS = ("step", "tokens_seen", "wall_time_s")


def runs_table(evidence: Evidence) -> DataTable:
    """Return one row for each run: group, facets, sizes, and its last measurement."""
    groups = group_names(evidence.runs)
    return DataTable.from_rows(run.as_row() | {"group": groups[run.name]} for run in evidence.runs)


def curves_table(evidence: Evidence) -> DataTable:
    """Return one row for each evaluation: run, progress and every loss."""
    table = evidence.table
    if table is None:
        return DataTable({})
    headers = [
        name
        for name in table.columns
        if name in _CURVE_COLUMNS or name in LOSS_LABELS or name in flops_columns(evidence)
    ]
    rows: list[dict[str, Cell]] = []
    numbers = {name: table.number(name) for name in headers}
    for run, members in rows_by_run(table).items():
        for row in members.tolist():
            known = {name: float(v[row]) for name, v in numbers.items() if np.isfinite(v[row])}
            rows.append({"run": run, **known})
    return DataTable.from_rows(rows, ["run", *headers])


def unigram_rules(evidence: Evidence) -> DataTable:
    """Return one row for each language: the entropy of its held-out tokens, as loss and as perplexity."""
    entropies: dict[str, list[float]] = {}
    for run in evidence.runs:
        if run.unigram_entropy is not None:
            entropies.setdefault(run.facets.get("language", ""), []).append(run.unigram_entropy)
    rows: list[dict[str, Cell]] = []
    for language, values in entropies.items():
        mean = fmean(values)
        name = f"unigram entropy, {language}" if len(entropies) > 1 else "unigram entropy"
        rows.append(
            {"name": name, "language": language, "loss": mean, "perplexity": math.exp(mean)}
        )
    return DataTable.from_rows(rows, ["name", "language", "loss", "perplexity"])


def means_table(evidence: Evidence) -> DataTable:
    """Return one row for each shape and group: its sizes and the mean final loss with its interval."""
    return DataTable.from_rows(
        {
            "group": mean.group,
            "shape": mean.shape,
            **mean.sizes,
            "num_parameters": mean.num_parameters,
            "loss": mean.loss.value,
            "low": mean.loss.low,
            "high": mean.loss.high,
            "seeds": mean.loss.n,
        }
        for mean in means_by_shape(evidence.runs)
    )


def ladders_table(ladders: Sequence[Ladder]) -> DataTable:
    """Return one row for each shape of each ladder: what the ladder holds fixed, sizes, and the mean loss."""
    several = len({ladder.group for ladder in ladders}) > 1
    return DataTable.from_rows(
        {
            "ladder": f"{ladder.held}, {ladder.group}" if several else ladder.held,
            "held": ladder.held,
            "group": ladder.group,
            "shape": step.shape,
            **step.sizes,
            "loss": step.loss.value,
            "low": step.loss.low,
            "high": step.loss.high,
            "seeds": step.loss.n,
        }
        for ladder in ladders
        for step in ladder.steps
    )


def final_loss_label(evidence: Evidence) -> str:
    """Return what the loss of `final_loss` is called: the loss, or the authors' average where there is no other."""
    column = next(iter(present(evidence, ["loss", "loss_reference"])), "loss")
    return LOSS_LABELS[column]


def has_curves(evidence: Evidence) -> bool:
    """Return whether any run was measured more than once."""
    return evidence.table is not None and len(evidence.table) > len(evidence.runs)


def present(evidence: Evidence, names: Sequence[str]) -> list[str]:
    """Return those of `names` that some run has a final number for."""
    return [name for name in names if any(name in run.final for run in evidence.runs)]


def flops_label(column: str) -> str:
    """Return what a FLOPs convention is called in the report."""
    if column in FLOPS_CONVENTIONS:
        return FLOPS_CONVENTIONS[column].label
    if column == "flops":
        return "convention not stated"
    return column.removeprefix("flops_").replace("_", " ")


def flops_note(evidence: Evidence) -> str:
    """Return how FLOPs are counted unless the reader chooses, in a sentence; empty where nothing is known."""
    column = next(iter(flops_columns(evidence)), "")
    if column not in FLOPS_CONVENTIONS:
        return ""
    meaning = FLOPS_CONVENTIONS[column].meaning
    return f"FLOPs are counted by “{flops_label(column)}”: {meaning}."


def flops_control(evidence: Evidence) -> Control | None:
    """Return the choice of FLOPs convention; None when the table counts none."""
    options = [
        Option(
            name,
            flops_label(name),
            FLOPS_CONVENTIONS[name].meaning if name in FLOPS_CONVENTIONS else "",
        )
        for name in flops_columns(evidence)
    ]
    return Control("flops", "FLOPs convention", tuple(options)) if options else None


def loss_control(evidence: Evidence) -> Control | None:
    """Return the choice of loss; None when no loss was measured."""
    options = [Option(name, LOSS_LABELS[name]) for name in present(evidence, list(LOSS_LABELS))]
    return Control("loss", "Loss", tuple(options)) if options else None


def parameters_control(evidence: Evidence) -> Control | None:
    """Return the choice of parameter count; None when none was given."""
    names = present(evidence, list(PARAMETER_LABELS))
    options = [Option(name, PARAMETER_LABELS[name]) for name in names]
    return Control("parameters", "Size", tuple(options)) if options else None


def progress_control(evidence: Evidence) -> Control | None:
    """Return the choice of the axis along which training goes; None when there is none."""
    names = ["tokens_seen", "$flops", "wall_time_s", "step"]
    there = present(evidence, names) + (["$flops"] if flops_columns(evidence) else [])
    options = [
        Option(name, _without_reference(label), axis=label)
        for name, label in _PROGRESS_LABELS.items()
        if name in there
    ]
    return Control("progress", "Progress", tuple(options)) if options else None


def _without_reference(label: str) -> str:
    """Return the label of an axis without what it quotes of another control, for a list of choices."""
    return label.partition(" ({")[0]


def colour_control(evidence: Evidence) -> Control:
    """Return the choice of what colours distinguish: whatever differs between runs, and always the run."""
    facets = telling_facets(evidence)
    columns = [
        name for name in _COLOUR_LABELS if name in facets and len(distinct(evidence, name)) > 1
    ]
    labels = {**_COLOUR_LABELS, "shape": "Shape", "run": "Run"}
    shapes = distinct(evidence, "shape")
    columns += ["shape"] if 1 < len(shapes) < len(evidence.runs) or not columns else []
    if not shapes:
        columns = [name for name in columns if name != "shape"] or ["run"]
    return Control("colour", "Colour by", tuple(Option(c, labels[c]) for c in columns))


def distinct(evidence: Evidence, facet: str) -> list[str]:
    """Return the values of a facet over all runs, in the order of the runs."""
    return list(dict.fromkeys(r.facets[facet] for r in evidence.runs if facet in r.facets))


def telling_facets(evidence: Evidence) -> list[str]:
    """Return the facets that some run has, without the family where the others say all that it does.

    A study calls a family by its language and profile; shown beside both it says everything twice.
    """
    facets = [name for name in FACETS if distinct(evidence, name)]
    others = [name for name in ("language", "profile", "variant", "layout") if name in facets]
    with_family = {tuple(run.facets.get(f) for f in ("family", *others)) for run in evidence.runs}
    without = {tuple(run.facets.get(f) for f in others) for run in evidence.runs}
    if others and len(with_family) == len(without):
        facets = [name for name in facets if name != "family"]
    return facets


def facet_label(facet: str) -> str:
    """Return what a facet of runs is called at the head of a column."""
    return {"profile": "Training profile", "shape": "Shape E/H/I/A/L"}.get(
        facet, facet.capitalize()
    )


def known(*controls: Control | None) -> tuple[Control, ...]:
    """Return the controls that exist."""
    return tuple(control for control in controls if control is not None)


def hover_columns(evidence: Evidence) -> tuple[str, ...]:
    """Return what hovering over a point of a run shows: how the run differs from others."""
    varying = [n for n in telling_facets(evidence) if len(distinct(evidence, n)) > 1]
    shown = [name for name in varying if name not in ("shape", "seed", "language")]
    return (*shown, *present(evidence, ["num_parameters"]))


__all__ = [
    "LOSS_LABELS",
    "PARAMETER_LABELS",
    "SHAPE_LETTERS",
    "colour_control",
    "curves_table",
    "distinct",
    "facet_label",
    "final_loss_label",
    "flops_columns",
    "flops_control",
    "flops_label",
    "flops_note",
    "has_curves",
    "hover_columns",
    "known",
    "ladders_table",
    "loss_control",
    "means_table",
    "parameters_control",
    "present",
    "progress_control",
    "runs_table",
    "telling_facets",
    "unigram_rules",
]
