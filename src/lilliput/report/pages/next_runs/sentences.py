"""What the page Next runs and the Summary of a table say of plans and predictions."""

from __future__ import annotations

from lilliput.analysis import Estimate
from lilliput.analysis.findings.groups import named_for_group
from lilliput.analysis.findings.next_runs import NextRuns
from lilliput.analysis.findings.quantities import Quantity, format_number, format_share
from lilliput.core.wording import plural


def plan_sentence(found: NextRuns) -> str:
    """Return what the budget buys, in words, or why that cannot be said."""
    plan = found.plan
    if plan is None:
        return named_for_group(
            found.group, f"what a budget buys cannot be said. {found.plan_problem}"
        )
    parts = [
        f"with {format_number(plan.budget)} FLOPs the law predicts a loss of {_said(plan.predicted_loss)}"
    ]
    if plan.num_parameters is not None:
        parts.append(f"at best with {_said(plan.num_parameters)} parameters")
    if plan.tokens is not None:
        parts.append(f"trained on {_said(plan.tokens)} tokens")
    return named_for_group(found.group, ", ".join(parts) + ".")


def _said(estimate: Estimate) -> str:
    quantity = Quantity(estimate.value, estimate.low, estimate.high)
    if not quantity.has_interval:
        return f"{quantity.figure} (no interval)"
    return f"{quantity.figure} ({quantity.bounds})"


def check_sentence(found: NextRuns) -> str:
    """Return how well the law predicts the costliest runs when it was fitted without them, in words."""
    if not found.held_out:
        return named_for_group(
            found.group,
            f"whether the law can be continued was not checked. {found.held_out_problem}",
        )
    worst = max(abs(one.predicted / one.loss - 1) for one in found.held_out)
    inside = sum(one.is_inside for one in found.held_out)
    points = plural(len(found.held_out), "measurement")
    return named_for_group(
        found.group,
        f"fitted without the costliest runs, the law misses their losses by at most {format_share(worst)}; of "
        f"{points} {inside} lie inside the predicted intervals.",
    )


def law_sentences(found: NextRuns) -> list[str]:
    """Return the law of size and tokens in words, or why there is none."""
    if found.sized is None:
        return [
            named_for_group(
                found.group, f"no law of size and tokens could be fitted. {found.sized_problem}"
            )
        ]
    values = {name: Quantity(e.value, e.low, e.high) for name, e in found.sized.parameters.items()}
    law = "L(N, D) = E + A / N^α + B / D^β"
    exponents = (
        f"α = {values['alpha'].text} and β = {values['beta'].text}, and a floor E = {values['E'].text} nat that neither "
        "size nor tokens go below"
    )
    return [named_for_group(found.group, f"loss follows {law} with {exponents}.")]
