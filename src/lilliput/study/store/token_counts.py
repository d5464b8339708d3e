"""Tokens and sequences of a train split, from what its token store says of itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_SPECIAL = 2  # Each sequence has its own <s> and </s>.


def text_and_sequences(facts: Mapping[str, Any], max_seq_length: int) -> tuple[float, float]:
    """Return tokens of the texts, and the sequences that they are cut into.

    Args:
        facts: Of the manifest of the token store.
        max_seq_length: Tokens of a sequence with `<s>` and `</s>`.
    """
    split = facts["splits"]["train"]
    text, documents = float(split["tokens"]), float(split["documents"])
    # Documents longer than a sequence are cut.
    return text, documents * math.ceil(text / documents / (max_seq_length - _SPECIAL))


def tokens_of_an_epoch(facts: Mapping[str, Any], max_seq_length: int) -> float:
    """Return the input tokens of one pass over the train split, special ones included."""
    text, sequences = text_and_sequences(facts, max_seq_length)
    return text + _SPECIAL * sequences
