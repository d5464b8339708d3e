"""Pick one tokenizer by a stated rule, and say why not the others.

The rule: among the candidates whose in-context word-split ratio lies within a tolerance of the best,
and of which no other one that is as small has a better boundary F1, the smallest wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from lilliput.core.errors import InputError


class TokenizerMeasures(Protocol):
    """The measures of a tokenizer that the rule looks at."""

    @property
    def name(self) -> str:
        """Return what to call it."""
        ...

    @property
    def vocab_size(self) -> int:
        """Return the number of ids."""
        ...

    @property
    def word_split_ratio_in_context(self) -> float:
        """Return the number of tokens per word."""
        ...

    @property
    def boundary_f1(self) -> float:
        """Return the agreement with gold segmentations."""
        ...


@dataclass(frozen=True)
class TokenizerChoice:
    """Say which tokenizer was picked, and why.

    Attributes:
        name: Of the tokenizer that was picked.
        rule: The rule with its numbers, in words.
        pareto: Names of those that no other beats in size, split ratio and boundary F1 together.
        lost: Name of each other one to the reason, in words.
    """

    name: str
    rule: str
    pareto: tuple[str, ...]
    lost: dict[str, str]

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self) | {"pareto": list(self.pareto)}


def choose_tokenizer(candidates: Sequence[TokenizerMeasures], tolerance: float) -> TokenizerChoice:
    """Apply the rule.

    Args:
        candidates: At least one.
        tolerance: How far above the best in-context split ratio one may lie, as a share of it.

    Raises:
        InputError: There are no candidates.
    """
    if not candidates:
        raise InputError("there must be at least one tokenizer to pick from", got=0)
    best = min(candidates, key=lambda c: c.word_split_ratio_in_context)
    bound = best.word_split_ratio_in_context * (1 + tolerance)
    near = [c for c in candidates if c.word_split_ratio_in_context <= bound]
    able = [c for c in near if _better_segmenter(c, near) is None]
    winner = min(able, key=_order)
    lost = {c.name: _why_lost(c, winner, near, best, bound) for c in candidates if c is not winner}
    return TokenizerChoice(
        name=winner.name,
        rule=(
            f"the smallest one whose word_split_ratio_in_context is within {tolerance:.0%} of the best "
            f"({best.word_split_ratio_in_context:.3f}, {best.name}) and whose boundary_f1 is not beaten by one as small"
        ),
        pareto=tuple(c.name for c in candidates if not any(_dominates(o, c) for o in candidates)),
        lost=lost,
    )


def _order(candidate: TokenizerMeasures) -> tuple[float, ...]:
    return (
        candidate.vocab_size,
        -candidate.boundary_f1,
        candidate.word_split_ratio_in_context,
    )


def _better_segmenter(
    candidate: TokenizerMeasures, others: Sequence[TokenizerMeasures]
) -> TokenizerMeasures | None:
    """Return the best of those that are no larger and whose boundary F1 is higher."""
    better = [
        o
        for o in others
        if o.vocab_size <= candidate.vocab_size and o.boundary_f1 > candidate.boundary_f1
    ]
    return max(better, key=lambda o: o.boundary_f1, default=None)


def _dominates(one: TokenizerMeasures, other: TokenizerMeasures) -> bool:
    """Return whether `one` is nowhere worse and somewhere better."""
    pairs = [
        (one.vocab_size, other.vocab_size),
        (one.word_split_ratio_in_context, other.word_split_ratio_in_context),
        (-one.boundary_f1, -other.boundary_f1),
    ]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _why_lost(
    candidate: TokenizerMeasures,
    winner: TokenizerMeasures,
    near: Sequence[TokenizerMeasures],
    best: TokenizerMeasures,
    bound: float,
) -> str:
    ratio = candidate.word_split_ratio_in_context
    if candidate not in near:
        return (
            f"splits words into {ratio:.3f} tokens, above {bound:.3f}, the most allowed beside "
            f"{best.name}"
        )
    if better := _better_segmenter(candidate, near):
        return (
            f"boundary_f1 {candidate.boundary_f1:.3f} is beaten by {better.boundary_f1:.3f} of "
            f"{better.name}, which is no larger"
        )
    if candidate.vocab_size > winner.vocab_size:
        return f"needs {candidate.vocab_size:,} ids where {winner.name} does with {winner.vocab_size:,}"
    return f"is as small as {winner.name} and segments as well, but splits no fewer words"
