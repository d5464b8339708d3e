"""Decide from the name of a column whether a lower or a higher value is better."""

from __future__ import annotations

import re
from typing import Literal, get_args

from lilliput.core.errors import InputError

Direction = Literal["higher", "lower"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
# Parts of a name: "testLoss", "eval/loss", "val-loss" and "Loss (nats)" all hold "loss".
_PARTS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*")
_LOWER = frozenset(
    [
        "loss",
        "losses",
        "nll",
        "xent",
        "ce",
        "entropy",
        "crossentropy",
        "perplexity",
        "ppl",
        "pppl",
        "bpb",
        "bpc",
        "bpw",
        "bpt",
        "bits",
        "nats",
        "surprisal",
        "err",
        "error",
        "errors",
        "wer",
        "cer",
        "ter",
        "mse",
        "rmse",
        "mae",
        "mape",
        "kl",
        "divergence",
        "regret",
        "fpr",
        "fnr",
        "brier",
        "ece",
        "toxicity",
    ]
)
_HIGHER = frozenset(
    [
        "acc",
        "accuracy",
        "accuracies",
        "f1",
        "fscore",
        "bleu",
        "sacrebleu",
        "rouge",
        "chrf",
        "chrf2",
        "meteor",
        "comet",
        "mcc",
        "matthews",
        "corr",
        "correlation",
        "pearson",
        "spearman",
        "kendall",
        "auc",
        "auroc",
        "auprc",
        "precision",
        "recall",
        "em",
        "exact",
        "reward",
        "win",
        "wins",
        "mrr",
        "ndcg",
        "r2",
        "gain",
        "likelihood",
        "loglikelihood",
        "elo",
        "utility",
        "benefit",
        "qaly",
        "qalys",
        "throughput",
    ]
)
# These words mean that more is better only where no other word of the name says otherwise.
_PLAIN_HIGHER = frozenset({"score", "scores", "effect"})
_ENDINGS = (("lower", ("loss", "perplexity", "entropy", "error")), ("higher", ("accuracy",)))
_TURNED = frozenset({"neg", "negative", "minus", "inverse", "reduction", "improvement"})


def direction_of(column: str) -> Direction:
    """Return whether lower or higher is better, by the words in a column's name.

    Raises:
        InputError: The name says neither, or both.
    """
    if column.startswith("score_"):
        return "higher"
    parts = [part.lower() for part in _PARTS.findall(column)]
    words = {form for part in parts for form in (part, part.rstrip("0123456789"))}
    is_lower = bool(words & _LOWER) or _ends(parts, "lower")
    is_higher = bool(words & _HIGHER) or _ends(parts, "higher")
    if "likelihood" in words and words & {"neg", "negative"}:
        return "lower"
    if is_lower == is_higher or words & _TURNED:
        if not is_lower and not is_higher and words & _PLAIN_HIGHER:
            return "higher"
        raise InputError(
            "the name of the effect must say whether lower or higher is better",
            got=column,
            remedy="Choose one: --better lower, or --better higher.",
        )
    return "lower" if is_lower else "higher"


def _ends(parts: list[str], way: str) -> bool:
    endings = dict(_ENDINGS)[way]
    return any(part.endswith(endings) for part in parts)
