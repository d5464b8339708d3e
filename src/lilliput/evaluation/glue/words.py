"""Which examples a vocabulary admits: the paper's rule for tasks, and the corrected one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lilliput.evaluation.settings import WordRule
from lilliput.evaluation.tasks import TaskDefinition
from lilliput.language import Vocabulary, read_vocabulary, split_words, word_profile

Admits = Callable[[Sequence[str]], bool]
"""The texts of one example, in the order of `filter_fields`, to whether it is kept."""

_DELETED = str.maketrans("", "", "0123456789!:&“”—-_,@#$?;’.'()\"")
_CLITICS = {"nt", "s", "re", "t", "d", "ll"}


def filter_fields(task: TaskDefinition, rule: WordRule) -> tuple[str, ...]:
    """The columns a rule reads: all text, or what the reference code read."""
    if rule == "paper" and task.paper_filter_fields:
        return task.paper_filter_fields
    return task.fields


def admission(vocabulary: Path, rule: WordRule) -> tuple[Admits, str]:
    """The test that examples must pass, and the hash of its word list.

    Args:
        vocabulary: CSV or artefact "vocabulary".
        rule: "paper": words with a capital are not checked, but for the first of the example, and
            neither are digits and clitics. "corrected": every word of every text, in the profile
            `modern`, must be in the vocabulary.
    """
    words = read_vocabulary(vocabulary)
    return (_paper(words) if rule == "paper" else _corrected(words)), words.hash


def paper_words(texts: Sequence[str]) -> list[str]:
    """The words of an example that the paper's rule looks up.

    Source: text-machine-lab/mini_bert, utils.py, lines 17-71.
    """
    pieces = " ".join(texts).split(" ")
    checked = (piece for i, piece in enumerate(pieces) if i == 0 or piece == piece.lower())
    words = (piece.lower().translate(_DELETED) for piece in checked)
    return [word for word in words if word and word not in _CLITICS]


def _paper(vocabulary: Vocabulary) -> Admits:
    known = frozenset(vocabulary.words)
    return lambda texts: known.issuperset(paper_words(texts))


def _corrected(vocabulary: Vocabulary) -> Admits:
    profile = word_profile("modern")
    known = vocabulary.looked_up(profile)
    return lambda texts: all(known.issuperset(split_words(text, profile)) for text in texts)
