"""Causal language modelling: each token is predicted from those before it."""

from __future__ import annotations

from typing import Any

from lilliput.training.objectives.base import (
    NO_TARGET,
    DrawKey,
    Objective,
    Targets,
    TokenFacts,
    full_like,
    register_objective,
)


@register_objective
class CausalLM(Objective):
    """Predict each next token, the one that ends a sequence included."""

    name = "causal_lm"
    description = "Each token is predicted from those before it."
    needs_causal_model = True
    ignores = (
        "mlm_probability", "mask_replace_prob", "random_replace_prob", "whole_word_mask",
        "fixed_mask_count",
    )  # fmt: skip

    def targets(self, ids_GL: Any, rows_G: Any, key: DrawKey, facts: TokenFacts) -> Targets:
        """Return the ids as they are, with the ids one place on as targets."""
        del rows_G, key
        pad = facts.special.pad
        targets_GL = full_like(ids_GL, pad)
        targets_GL[:, :-1] = ids_GL[:, 1:]
        is_predicted_GL = targets_GL != pad
        targets_GL[:, -1] = NO_TARGET
        return Targets(ids_GL, targets_GL, is_predicted_GL)

    @property
    def predicted_share(self) -> float:
        """Return all tokens, but for the first of each sequence."""
        return 1.0

    def expected_predictions(self, tokens: int, sequences: int) -> int:
        """Return all tokens but the first of each sequence."""
        return tokens - sequences
