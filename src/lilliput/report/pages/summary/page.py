"""The page Summary: the questions of the study, each answered from its own numbers in plain words."""

from __future__ import annotations

from dataclasses import replace

from lilliput.analysis.findings.comparisons import final_loss
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.groups import named_for_group
from lilliput.analysis.findings.laws import last_exponent
from lilliput.analysis.findings.learning import depth_of, unlearned_groups
from lilliput.analysis.findings.quantities import format_count, format_number
from lilliput.core.wording import listed, plural
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages import shared
from lilliput.report.pages.break_origin import answer_break_origin
from lilliput.report.pages.data_choices import answers_data_choices
from lilliput.report.pages.distillation import answer_distillation
from lilliput.report.pages.downstream.sentences import tasks_of, whole_scores
from lilliput.report.pages.next_runs.sentences import check_sentence, plan_sentence
from lilliput.report.pages.scaling.page import main_laws
from lilliput.report.pages.summary.answers_from_losses import (
    answer_break,
    answer_depth,
    answer_exponent,
    answer_factors,
    answer_learning,
    answer_parameters,
    doubling_in_words,
)
from lilliput.report.pages.summary.answers_from_scores import (
    answer_correlation,
    answer_gain,
    answer_language,
    answer_optimality,
)
from lilliput.report.pages.summary.figures import draw_summary
from lilliput.report.parts import Answer, Fact, as_sentences
from lilliput.report.reading.evidence import Evidence


def build_summary(evidence: Evidence, findings: Findings) -> PageContent:
    """Build the page that shows the whole study in one figure and answers every question from its data."""
    drawings = draw_summary(evidence, findings)
    asked = _further_answers(findings) if evidence.is_foreign else _answers(evidence, findings)
    answers = [
        replace(
            answer,
            figure=drawings.beside.get(name),
            published="" if evidence.is_foreign else answer.published,
        )
        for name, answer in asked.items()
    ]
    shown = [answer for answer in answers if answer.verdict != "absent"]
    content = {
        "lead": drawings.lead,
        "sentences": [
            _what(evidence),
            *best_sentences(evidence),
            *_law_sentences(evidence, findings),
            *_next(evidence, findings),
        ],
        "facts": _facts(evidence),
        "answers": shown,
        "unreached": [answer for answer in answers if answer.verdict == "absent"],
        "note": _note(evidence),
        "names_paper": not evidence.is_foreign,
    }
    drawn = [answer.figure for answer in shown if answer.figure]
    figures = (*([drawings.lead] if drawings.lead else []), *drawn)
    return PageContent(content, figures, drawings.tables)


def _answers(evidence: Evidence, findings: Findings) -> dict[str, Answer]:
    """Return every question of the paper and each further one with its answer, by the name of its figure."""
    laws, costs, correlations = findings.laws, findings.costs, findings.correlations
    unlearned = unlearned_groups(evidence.runs)
    further = _further_answers(findings)
    early = {name: further.pop(name) for name in ("origin", "distillation") if name in further}
    return {
        "learning": answer_learning(evidence),
        "gain": answer_gain(evidence),
        "correlation": answer_correlation(correlations, unlearned),
        "break": answer_break(laws),
        **early,
        "exponent": answer_exponent(laws, unlearned),
        "depth": answer_depth(evidence),
        "optimality": answer_optimality(evidence, laws),
        "parameters": answer_parameters(evidence),
        "language": answer_language(evidence),
        "factors": answer_factors(costs, unlearned),
        **further,
    }


def _further_answers(findings: Findings) -> dict[str, Answer]:
    """Return the answers to questions that the paper left open; only those that the data ask."""
    origin, taught = answer_break_origin(findings), answer_distillation(findings)
    return {
        **({"origin": origin} if origin else {}),
        **({"distillation": taught} if taught else {}),
        **{answer.question: answer for answer in answers_data_choices(findings)},
    }


def _what(evidence: Evidence) -> str:
    """Return how many models of which sizes were trained on what, in one sentence."""
    if not evidence.runs:
        return "No run has finished yet. The pages show what is there so far."
    shapes, languages = shared.distinct(evidence, "shape"), shared.distinct(evidence, "language")
    what = plural(len(evidence.runs), "language model")
    parts = [f"{what} of {plural(len(shapes), 'shape')}" if shapes else what]
    sizes = [r.final["num_parameters"] for r in evidence.runs if "num_parameters" in r.final]
    if sizes and max(sizes) > min(sizes):
        parts.append(f"with {format_count(min(sizes))} to {format_count(max(sizes))} parameters")
    if languages:
        parts.append(f"in {plural(len(languages), 'language')} ({listed(languages)})")
    points = format_count(len(evidence.table)) if evidence.table else "no"
    return f"{' '.join(parts)}, with {points} measurements of the loss."


def best_sentences(evidence: Evidence) -> list[str]:
    """Say which run ended lowest, and how far below a model that knows only token frequencies."""
    ended = [(loss, run) for run in evidence.runs if (loss := final_loss(run)) is not None]
    if not ended:
        return []
    loss, best = min(ended, key=lambda pair: pair[0])
    sentence = f"The lowest final loss is {format_number(loss)} nat a predicted token ({best.label}, a single run)"
    depth = depth_of(best)
    if depth is None:
        return [f"{sentence}."]
    side = "below" if depth >= 0 else "above"
    return [
        f"{sentence}: {format_number(abs(depth))} nat {side} what a model reaches that knows only how frequent "
        "each token is."
    ]


def _law_sentences(evidence: Evidence, findings: Findings) -> list[str]:
    """Say what twice the compute does to the loss, by the law of each group."""
    fitted = [(law, law.fit) for law in main_laws(findings.laws) if law.fit]
    if not fitted:
        if evidence.is_foreign and any(found.sized for found in findings.next_runs):
            return []
        reason = next((law.problem for law in findings.laws if law.problem), "")
        return [f"No law of loss against compute could be fitted. {reason}".rstrip()]
    return [
        named_for_group(
            law.group, f"{doubling_in_words(exponent)} ({exponent.text} as an exponent)."
        )
        for law, fit in fitted
        if (exponent := last_exponent(fit)).value is not None
    ]


def _next(evidence: Evidence, findings: Findings) -> list[str]:
    """Say of a table that Lilliput did not make what its next runs should be, in place of the paper's questions."""
    if not evidence.is_foreign:
        return []
    return [
        sentence
        for found in findings.next_runs
        for sentence in (plan_sentence(found), check_sentence(found))
    ]


def _note(evidence: Evidence) -> str:
    """Return how shapes and FLOPs are written, before the first answer uses them."""
    letters = shared.SHAPE_LETTERS if shared.distinct(evidence, "shape") else ""
    return as_sentences([letters, shared.flops_note(evidence)])


def _facts(evidence: Evidence) -> list[Fact]:
    facts = [Fact("Runs", format_count(len(evidence.runs)))]
    sizes = [r.final["num_parameters"] for r in evidence.runs if "num_parameters" in r.final]
    if sizes:
        facts.append(
            Fact("Parameters", format_number(max(sizes)), f"from {format_number(min(sizes))}")
        )
    seeds = shared.distinct(evidence, "seed")
    if seeds:
        facts.append(Fact("Seeds", str(len(seeds)), "single runs" if len(seeds) == 1 else ""))
    tokens = [r.final["tokens_seen"] for r in evidence.runs if "tokens_seen" in r.final]
    if tokens:
        facts.append(Fact("Tokens, longest run", format_number(max(tokens))))
    if evidence.scores:
        facts.append(Fact("Downstream tasks", str(len(tasks_of(whole_scores(evidence.scores))))))
    return facts


register_page(Page("summary", "Summary", order=10, build=build_summary, template="page.html"))
