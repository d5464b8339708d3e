"""The page Summary: the questions of the study, each answered from its own numbers in plain words."""

from __future__ import annotations

from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.learning import unlearned_groups
from lilliput.analysis.findings.quantities import format_count
from lilliput.core.wording import listed, plural
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages import shared
from lilliput.report.pages.break_origin import answer_break_origin
from lilliput.report.pages.data_choices import answers_data_choices
from lilliput.report.pages.downstream.sentences import tasks_of, whole_scores
from lilliput.report.pages.summary.answers_from_losses import (
    answer_break,
    answer_depth,
    answer_exponent,
    answer_factors,
    answer_learning,
    answer_parameters,
)
from lilliput.report.pages.summary.answers_from_scores import (
    answer_correlation,
    answer_gain,
    answer_language,
    answer_optimality,
)
from lilliput.report.parts import Fact, as_sentences
from lilliput.report.reading.evidence import Evidence


def build_summary(evidence: Evidence, findings: Findings) -> PageContent:
    """Build the page that says what was studied and answers every question from its data."""
    laws, costs, correlations = findings.laws, findings.costs, findings.correlations
    unlearned = unlearned_groups(evidence.runs)
    answers = [
        answer_learning(evidence),
        answer_gain(evidence),
        answer_correlation(correlations, unlearned),
        answer_break(laws),
        *([origin] if (origin := answer_break_origin(findings)) else []),
        answer_exponent(laws, unlearned),
        answer_depth(evidence),
        answer_optimality(evidence, laws),
        answer_parameters(evidence),
        answer_language(evidence),
        answer_factors(costs, unlearned),
        *answers_data_choices(findings),
    ]
    content = {
        "facts": _facts(evidence),
        "answers": answers,
        "lead": _lead(evidence),
        "note": _note(evidence),
    }
    return PageContent(content)


def _lead(evidence: Evidence) -> str:
    if not evidence.runs:
        return "No run has finished yet. The pages show what is there so far."
    shapes, languages = shared.distinct(evidence, "shape"), shared.distinct(evidence, "language")
    what = plural(len(evidence.runs), "language model")
    parts = [f"{what} of {plural(len(shapes), 'shape')}" if shapes else what]
    if languages:
        parts.append(f"in {plural(len(languages), 'language')} ({listed(languages)})")
    points = format_count(len(evidence.table)) if evidence.table else "no"
    return f"{' '.join(parts)}, with {points} measurements. Each answer below follows from these data alone."


def _note(evidence: Evidence) -> str:
    """Return how shapes and FLOPs are written, before the first answer uses them."""
    letters = shared.SHAPE_LETTERS if shared.distinct(evidence, "shape") else ""
    return as_sentences([letters, shared.flops_note(evidence)])


def _facts(evidence: Evidence) -> list[Fact]:
    facts = [Fact("Runs", format_count(len(evidence.runs)))]
    sizes = [r.final["num_parameters"] for r in evidence.runs if "num_parameters" in r.final]
    if sizes:
        facts.append(
            Fact("Parameters", format_count(max(sizes)), f"from {format_count(min(sizes))}")
        )
    seeds = shared.distinct(evidence, "seed")
    if seeds:
        facts.append(Fact("Seeds", str(len(seeds)), "single runs" if len(seeds) == 1 else ""))
    tokens = [r.final["tokens_seen"] for r in evidence.runs if "tokens_seen" in r.final]
    if tokens:
        facts.append(Fact("Tokens, longest run", format_count(max(tokens))))
    if evidence.scores:
        facts.append(Fact("Downstream tasks", str(len(tasks_of(whole_scores(evidence.scores))))))
    return facts


register_page(Page("summary", "Summary", order=10, build=build_summary, template="page.html"))
