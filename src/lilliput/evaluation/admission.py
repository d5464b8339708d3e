"""Decide which examples a vocabulary admits, by the paper's rule for tasks or the corrected one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from lilliput.core.errors import ConfigurationError
from lilliput.evaluation.settings import WordRule
from lilliput.evaluation.tasks.definition import TaskDefinition
from lilliput.language import (
    Vocabulary,
    glue_paper_words,
    read_vocabulary,
    split_words,
    word_profile,
)

Admits = Callable[[Sequence[str]], bool]
"""The texts of one example, in the order of `filter_fields`, to whether it is kept."""


def filter_fields(task: TaskDefinition, rule: WordRule) -> tuple[str, ...]:
    """Return the columns a rule reads: all text, or what the reference code read."""
    if rule == "paper" and task.paper_filter_fields:
        return task.paper_filter_fields
    return task.fields


def admission(vocabulary: Path, rule: WordRule) -> tuple[Admits, str]:
    """Return the test that examples must pass, and the hash of its word list.

    Args:
        vocabulary: CSV or artefact "vocabulary".
        rule: "paper": words with a capital are not checked, but for the first of the example, and
            neither are digits and clitics. "corrected": every word of every text, in the profile
            `modern`, must be in the vocabulary.
    """
    words = read_vocabulary(vocabulary)
    return (_paper(words) if rule == "paper" else _corrected(words)), words.hash


def _paper(vocabulary: Vocabulary) -> Admits:
    known = frozenset(vocabulary.words)
    return lambda texts: known.issuperset(glue_paper_words(" ".join(texts)))


def _corrected(vocabulary: Vocabulary) -> Admits:
    profile = word_profile("modern")
    known = vocabulary.looked_up(profile)
    return lambda texts: all(known.issuperset(split_words(text, profile)) for text in texts)


def word_rule_named(name: str) -> WordRule:
    """Return the word rule called `name`.

    Raises:
        ConfigurationError: There is none.
    """
    for rule in get_args(WordRule):
        if rule == name:
            return rule
    raise ConfigurationError(
        f"the word rule must be one of {', '.join(get_args(WordRule))}", got=repr(name)
    )
