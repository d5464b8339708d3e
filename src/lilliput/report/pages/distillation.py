"""The page Distillation: students of teachers beside supervised runs of equal tokens and of equal FLOPs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lilliput.analysis.findings.distillation import TaughtArm, TeachingVerdict, verdict_of
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.table.tidy import Cell
from lilliput.core.wording import listed, plural
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.parts import (
    Answer,
    TableColumn,
    TableRow,
    TableView,
    Verdict,
    number_cell,
    quantity_cell,
    text_cell,
)
from lilliput.report.reading.evidence import Evidence

QUESTION = "Does distillation beat pre-training at equal compute, and when?"
_PAPER = "Named as a limit of the study: no comparison with knowledge distillation was made."
_METHOD = (
    "A difference is the held-out loss of a student minus that of a supervised run of the same shape on the same text and "
    "with the same seed, in nats: below 0 the student is better. The interval is Student's, over seeds. Equal FLOPs count the "
    "teacher's forward passes, as if the teacher existed already; a teacher's own training is counted in the last "
    "column alone. The best supervised budget is the one that ends lowest of those that cost at most as much. The intervals "
    "are not corrected for the number of arms."
)
_KINDS = {
    "larger": "trained, larger",
    "like": "trained, of the student's size",
    "untrained": "untrained (control)",
}


def has_teachers(evidence: Evidence) -> bool:
    """Return whether a run of the table has a teacher."""
    table = evidence.table
    return table is not None and "teacher" in table and bool((table.text("teacher") != "").any())


def build_distillation(evidence: Evidence, findings: Findings) -> PageContent:
    """The answer, the differences over passes over the text, and the table of all arms."""
    del evidence
    arms = findings.taught_arms
    content = {
        "sentences": distillation_sentences(arms),
        "method": _METHOD,
        "arms": _table(arms),
    }
    known = [arm for arm in arms if arm.equal_flops.is_known or arm.best_supervised.is_known]
    figures = (_figure(known),) if known else ()
    return PageContent(content, figures, {"taught-arms": _data(known)})


def answer_distillation(findings: Findings) -> Answer | None:
    """Answer whether distillation beats pre-training at equal compute; None where no run has a teacher."""
    arms = findings.taught_arms
    if not arms:
        return None
    asked = [arm for arm in arms if arm.kind == "larger" and arm.verdict is not None]
    sentences = distillation_sentences(arms)
    if not asked:
        return Answer(QUESTION, "absent", sentences, _PAPER, "distillation")
    verdicts = {arm.verdict_against_best for arm in asked}
    verdict: Verdict = "unclear"
    text = ""
    if verdicts == {"better"}:
        verdict = "yes"
    elif verdicts == {"worse"}:
        verdict = "no"
    elif "better" in verdicts:
        verdict, text = "yes", "Yes, in part"
    elif "worse" in verdicts:
        verdict, text = "no", "In none of these arms, and in some it is worse"
    return Answer(QUESTION, verdict, sentences, _PAPER, "distillation", text)


def distillation_sentences(arms: Sequence[TaughtArm]) -> list[str]:
    """Return the answer in plain words, with its numbers: text read once, text read again, and the controls."""
    larger = [arm for arm in arms if arm.kind == "larger"]
    compared = [arm for arm in larger if arm.verdict is not None]
    if not compared:
        return ["No student of a larger teacher stands beside a supervised run of equal FLOPs."]
    once = [arm for arm in compared if arm.is_read_once]
    again = [arm for arm in compared if not arm.is_read_once]
    sentences = [
        _regime("Where the text is read once", once),
        _regime("Where the text is read again and again", again),
    ]
    controls = [arm for arm in arms if arm.kind != "larger" and arm.equal_tokens.is_known]
    sentences += [_control(arm) for arm in controls]
    totals = [arm for arm in larger if arm.equal_total.is_known]
    if totals:
        sentences.append(
            f"With the teacher's training counted too: {_listed_arms(totals, lambda arm: arm.equal_total)}."
        )
    return [sentence for sentence in sentences if sentence]


def _regime(start: str, arms: Sequence[TaughtArm]) -> str:
    if not arms:
        return ""
    start = f"{start}, at equal FLOPs {_counted([arm.verdict for arm in arms])} than supervised pre-training"
    best = _counted([arm.verdict_against_best for arm in arms])
    each = _listed_arms(arms, lambda arm: arm.equal_flops)
    return f"{start}: {each}. Against the best supervised budget of at most equal FLOPs {best}: {_listed_arms(arms, lambda arm: arm.best_supervised)}."


def _counted(verdicts: Iterable[TeachingVerdict | None]) -> str:
    found = list(verdicts)
    parts = [
        f"{count} {'is' if count == 1 else 'are'} {word}"
        for word, count in (
            ("better", found.count("better")),
            ("worse", found.count("worse")),
            ("no different that these data show", found.count("unclear")),
        )
        if count
    ]
    return f"of {plural(len(found), 'arm')} {listed(parts)}"


def _listed_arms(arms: Sequence[TaughtArm], of: Callable[[TaughtArm], Quantity]) -> str:
    return "; ".join(f"{_name(arm)} {_signed(of(arm))}" for arm in arms)


def _name(arm: TaughtArm) -> str:
    times = "" if arm.epochs is None else f", {arm.epochs:.1f} passes"
    return f"{arm.shape} {arm.arm} (a teacher of {arm.ratio:.1f} times its FLOPs{times})"


def _signed(difference: Quantity) -> str:
    if not difference.is_known:
        return "not compared"
    sign = "+" if (difference.value or 0.0) > 0 else ""
    bounds = f" ({difference.bounds})" if difference.has_interval else f" ({difference.basis})"
    return f"{sign}{difference.figure}{bounds}"


def _control(arm: TaughtArm) -> str:
    said = {
        "better": "lowers the loss as well",
        "worse": "raises the loss",
        "unclear": "changes nothing that these data show",
    }[verdict_of(arm.equal_tokens)]
    who = (
        "A teacher of untrained weights"
        if arm.kind == "untrained"
        else "A teacher like the student"
    )
    where = "" if arm.epochs is None else f", {arm.epochs:.1f} passes over {arm.text}"
    return (
        f"{who} ({arm.shape} {arm.arm}{where}) {said} at equal tokens: {_signed(arm.equal_tokens)}."
    )


def _data(arms: Sequence[TaughtArm]) -> DataTable:
    rows: list[dict[str, Cell]] = []
    for arm in arms:
        for against, difference in (
            ("equal FLOPs", arm.equal_flops),
            ("best supervised", arm.best_supervised),
        ):
            if difference.is_known:
                rows.append(
                    {
                        "arm": f"{arm.shape} {arm.arm}", "against": against, "text": arm.text,
                        "epochs": arm.epochs if arm.epochs is not None else 1.0,
                        "difference": difference.value, "low": difference.low, "high": difference.high,
                    }
                )  # fmt: skip
    return DataTable.from_rows(
        rows, ["arm", "against", "text", "epochs", "difference", "low", "high"]
    )


def _figure(arms: Sequence[TaughtArm]) -> Figure:
    return Figure(
        id="taught-arms",
        title="Students against supervised runs of equal FLOPs",
        text=f"{plural(len(arms), 'arm')} of students. "
        + " ".join(f"{_name(arm)}: {_signed(arm.equal_flops)}." for arm in arms),
        x=Axis("Passes over the text", log=True),
        y=Axis("Loss minus supervised loss (nats)"),
        layers=(
            FigureLayer(
                "taught-arms", "points", x="epochs", y="difference", low="low", high="high", colour="arm",
                where={"against": "equal FLOPs"}, hover=("text", "arm"),
            ),
        ),
        note="Below 0 the student is better. Bars are 95 % intervals over seeds.",
    )  # fmt: skip


def _table(arms: Sequence[TaughtArm]) -> TableView:
    rows = [
        TableRow(
            (
                text_cell(arm.text),
                text_cell(arm.shape),
                text_cell(arm.arm),
                text_cell(_KINDS[arm.kind]),
                number_cell(arm.ratio),
                number_cell(arm.steps),
                number_cell(arm.epochs),
                quantity_cell(arm.loss),
                quantity_cell(arm.equal_tokens),
                quantity_cell(arm.equal_flops),
                quantity_cell(arm.best_supervised),
                number_cell(arm.best_steps),
                quantity_cell(arm.equal_total),
            )
        )
        for arm in arms
    ]
    return TableView(
        id="every-taught-arm",
        caption="Loss of each arm, and minus that of supervised runs, in nats with 95 % intervals over seeds.",
        columns=(
            TableColumn("Text"),
            TableColumn("Shape"),
            TableColumn("Arm"),
            TableColumn("Teacher"),
            TableColumn("Teacher / student FLOPs", numeric=True),
            TableColumn("Steps", numeric=True),
            TableColumn("Passes over the text", numeric=True),
            TableColumn("Loss (nats)", numeric=True),
            TableColumn("At equal tokens", numeric=True),
            TableColumn("At equal FLOPs", numeric=True),
            TableColumn("Against the best supervised", numeric=True),
            TableColumn("Its steps", numeric=True),
            TableColumn("At equal FLOPs, teacher's training counted", numeric=True),
        ),
        rows=tuple(rows),
    )


register_page(
    Page(
        "distillation",
        "Distillation",
        order=58,
        build=build_distillation,
        template="distillation.html",
        applies_to=has_teachers,
    )
)
