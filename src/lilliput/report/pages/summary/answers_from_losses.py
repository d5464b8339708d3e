"""Answers of the summary that follow from losses and laws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lilliput.analysis import FRONTIER_CAVEAT
from lilliput.analysis.findings.comparisons import (
    depth_pairs,
    final_loss,
    mean_final_loss,
    rank_of_size_and_loss,
    seed_spread,
    share_of_larger_with_higher_loss,
)
from lilliput.analysis.findings.costs import Costs
from lilliput.analysis.findings.groups import named_for_group
from lilliput.analysis.findings.laws import GroupLaw, last_exponent
from lilliput.analysis.findings.learning import learning_of
from lilliput.analysis.findings.quantities import Quantity, format_number, format_share
from lilliput.analysis.findings.runs import Run
from lilliput.core.wording import listed, plural
from lilliput.report.pages import shared
from lilliput.report.pages.cost.sentences import efficient_sentences, order_of_factors
from lilliput.report.pages.scaling.page import break_sentence, main_laws
from lilliput.report.pages.training.learning import learning_sentences, unlearned_sentences
from lilliput.report.parts import Answer, Verdict, yes_in_part
from lilliput.report.reading.evidence import Evidence

_FEW_RUNS = 8


def answer_learning(evidence: Evidence) -> Answer:
    """Answer whether the models learned more than token frequencies."""
    question = "Did the models learn more than how frequent each token is?"
    found = learning_of(evidence.runs)
    verdict: Verdict = "yes" if found.learned else "no" if found.known else "absent"
    text = yes_in_part(found.learned, found.known)
    return Answer(
        question, verdict, learning_sentences(evidence), page="training", verdict_text=text
    )


def answer_break(laws: tuple[GroupLaw, ...]) -> Answer:
    """Answer whether the compute-optimal law breaks."""
    question = "Does the compute-optimal law break?"
    paper = "Loss did not scale smoothly below 2.2 × 10¹⁵ FLOPs, counted by the authors' formula."
    fitted = [law for law in main_laws(laws) if law.fit]
    if not fitted:
        return Answer(question, "absent", "No law could be fitted.", paper, "scaling")
    sentences = [named_for_group(law.group, break_sentence(law.fit)) for law in fitted if law.fit]
    broken = [law for law in fitted if law.fit and any(b.low is not None for b in law.fit.breaks)]
    unsure = [law for law in fitted if law.fit and law.fit.breaks and law not in broken]
    curved = [law for law in fitted if law.fit and law.fit.facts.get("verdict") == "curved"]
    doubtful = [
        law
        for law in fitted
        if law not in curved and law.fit and any("break" in w for w in law.fit.warnings)
    ]
    verdict: Verdict = (
        "yes" if broken else "unclear" if unsure or doubtful or _few(fitted) else "no"
    )
    remark = "" if broken else _NO_INTERVAL if unsure else _few_remark(fitted)
    text = "Curved, no place of a break" if len(curved) == len(fitted) else ""
    return Answer(question, verdict, [*sentences, remark], paper, "scaling", text)


_NO_INTERVAL = (
    "Too few draws of the runs carry a break to give its place an interval: it is not shown."
)


def _few(laws: list[GroupLaw]) -> bool:
    return all(int(law.fit.facts.get("n_runs", 0)) < _FEW_RUNS for law in laws if law.fit)


def _few_remark(laws: list[GroupLaw]) -> str:
    if not _few(laws):
        return ""
    return f"With fewer than {_FEW_RUNS} runs the data could hardly show one."


def answer_exponent(laws: tuple[GroupLaw, ...], unlearned: frozenset[str]) -> Answer:
    """Answer how fast loss falls with compute, by the groups that learned more than token frequencies."""
    question = "How fast does loss fall with compute?"
    paper = "Exponent 0.141 above the break and 0.093 below, by the authors' FLOPs and loss."
    fitted = [(law, law.fit) for law in main_laws(laws) if law.fit]
    if not fitted:
        return Answer(question, "absent", "No law could be fitted.", paper, "scaling")
    sentences: list[str] = []
    measured: list[Quantity] = []
    for law, fit in fitted:
        exponent = last_exponent(fit)
        flops = shared.flops_label(law.flops)
        sentence = f"the exponent of L ∝ C^(−α) at the upper end of the frontier ({flops}) is α = {exponent.text}"
        sentences.append(named_for_group(law.group, f"{sentence}{_in_plain_words(exponent)}."))
        if law.group not in unlearned and _is_measured(exponent):
            measured.append(exponent)
    remarks = unlearned_sentences((law.group for law, _ in fitted), unlearned, _NO_SCALE)
    caveat = FRONTIER_CAVEAT if any(FRONTIER_CAVEAT in fit.warnings for _, fit in fitted) else ""
    return Answer(
        question, "yes" if measured else "unclear", [*remarks, *sentences, caveat], paper, "scaling",
        verdict_text=f"α = {measured[0].figure}" if len(fitted) == len(measured) == 1
        else "Measured" if len(measured) == len(fitted)
        else "Measured, in part" if measured else "",
    )  # fmt: skip


_NO_SCALE = (
    "so the exponent says how fast they came near that, not how loss falls with compute at scale"
)


def _is_measured(exponent: Quantity) -> bool:
    return exponent.has_interval and exponent.excludes(0.0)


def _in_plain_words(exponent: Quantity) -> str:
    """Return what an exponent means for the loss of a run with twice the compute."""
    if exponent.value is None or not exponent.has_interval:
        return ""
    if not _is_measured(exponent):
        return (
            ": its interval holds zero, so whether more compute lowers the loss there, these runs "
            "cannot tell"
        )
    if exponent.value < 0:
        return f": there {doubling_in_words(exponent)}"
    return f": {doubling_in_words(exponent)}"


def doubling_in_words(exponent: Quantity) -> str:
    """Return what twice the compute does to the loss; a sentence without its stop."""
    if exponent.value is None or not _is_measured(exponent):
        return "whether more compute lowers the loss at the upper end, these runs cannot tell"
    if exponent.value < 0:
        return "the loss rises with compute, as when large models are trained too briefly"
    return f"twice the compute lowers the loss by {format_share(1.0 - 2.0**-exponent.value)}"


def answer_depth(evidence: Evidence) -> Answer:
    """Answer whether more layers always help."""
    question = "Do more layers always lower the loss?"
    paper = "Adding layers did not always help."
    pairs = depth_pairs(evidence.runs)
    if not pairs:
        return Answer(
            question,
            "absent",
            "No two shapes differ in their number of layers alone.",
            paper,
            "runs",
        )
    worse = [(few, many) for few, many in pairs if mean_final_loss(many) > mean_final_loss(few)]
    spread = seed_spread(evidence.runs)
    noise = (
        f"Seeds of one shape differ by up to {format_number(spread)} nat, so smaller differences mean nothing."
        if spread is not None
        else "Every shape was trained once, so small differences mean nothing."
    )
    clear = [
        (few, many)
        for few, many in worse
        if spread is not None and mean_final_loss(many) - mean_final_loss(few) > spread
    ]
    beyond = "" if spread is None else f", in {len(clear) or 'none'} by more than seeds differ"
    sentence = (
        f"In {len(pairs) - len(worse)} of {plural(len(pairs), 'pair')} of shapes alike but for depth the deeper "
        f"model ended lower; in {len(worse)} it did not{beyond}. {noise}"
    )
    verdict: Verdict = "no" if clear else "unclear" if worse or spread is None else "yes"
    return Answer(question, verdict, sentence, paper, "runs")


def answer_parameters(evidence: Evidence) -> Answer:
    """Answer whether size alone predicts the loss."""
    question = "Does the number of parameters alone predict the loss?"
    paper = "Parameter count alone did not predict pre-training performance."
    pairs = [
        (run.final["num_parameters"], loss)
        for run in evidence.runs
        if "num_parameters" in run.final and (loss := final_loss(run)) is not None
    ]
    if len(pairs) < _FEW_RUNS or len({size for size, _ in pairs}) < 3:
        return Answer(
            question,
            "unclear",
            f"{plural(len(pairs), 'run')} are too few to tell.",
            paper,
            "training",
        )
    sizes, losses = np.array(pairs).T

    rank = rank_of_size_and_loss(sizes, losses)
    swaps = share_of_larger_with_higher_loss(sizes, losses)
    verdict: Verdict = "unclear"
    if rank.excludes(0.0):
        verdict = "no" if swaps > 0 and not _is_perfect(rank) else "yes"
    others = _also_differing(evidence.runs)
    return Answer(question, verdict, _by_size(rank, swaps, others), paper, "training")


def _also_differing(runs: Sequence[Run]) -> str:
    """Return the sentence that names what else sets these runs apart, beside the number of parameters."""
    facets = ("layout", "language", "profile", "variant", "seed")
    varied = [name for name in facets if len({run.facets.get(name, "") for run in runs}) > 1]
    amounts = {run.final["tokens_seen"] for run in runs if "tokens_seen" in run.final}
    varied += ["tokens seen"] * (len(amounts) > 1)
    if not varied:
        return ""
    return f"The runs also differ in {listed(varied)}."


def _by_size(rank: Quantity, swaps: float, others: str) -> str:
    """Rank correlation of size and loss in words: by its sign, where its interval leaves zero."""
    pairs = (
        f"in {format_share(swaps)} of pairs of runs of different size the larger one ended higher"
    )
    if not rank.excludes(0.0):
        start = "These runs cannot tell whether larger models end lower: by rank, size and final loss have"
        return f"{start} Spearman's ρ {rank.text}, and {pairs}. {others}".rstrip()
    if (rank.value or 0.0) > 0:
        return f"Larger models end higher by rank, Spearman's ρ {rank.text}: {pairs}. {others}".rstrip()
    return (
        f"Larger models end lower by rank, Spearman's ρ {rank.text}; yet {pairs}. {others}".rstrip()
    )


def _is_perfect(rank: Quantity) -> bool:
    return rank.value is not None and rank.value <= -1.0


def answer_factors(costs: Costs, unlearned: frozenset[str]) -> Answer:
    """Answer which size should grow first, by the groups that learned more than token frequencies."""
    question = "Which size should grow first?"
    paper = "Cost-effectiveness orders the hyper-parameters by loss bought per FLOP."
    order = order_of_factors(costs, unlearned)
    if order:
        is_measured = any(factor.group not in unlearned for factor in costs.factors)
        verdict: Verdict = "yes" if is_measured else "unclear"
        return Answer(question, verdict, order, paper, "cost", "An order" if is_measured else "")
    if costs.results:
        sentences = [
            "No size varies alone here, so only whole shapes are ordered.",
            *efficient_sentences(costs, unlearned),
        ]
        return Answer(question, "unclear", sentences, paper, "cost")
    return Answer(question, "absent", "No run has both a cost and an effect.", paper, "cost")
