"""Read gold segmentations of words, and measure how well a tokenizer's cuts agree with them.

The exact match score is the paper's, in its two versions, kept for comparison: it counts pieces without
looking where they stand. Boundary precision, recall and F1 look at the places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lilliput.core.errors import InputError
from lilliput.core.files import require_file

# The 13 words of the first version of the paper's score (text-machine-lab/mini_bert, 0449b9c).
PAPER_WORDS: Mapping[str, tuple[str, ...]] = {
    "cooking": ("cook", "ing"),
    "dangerous": ("danger", "ous"),
    "pretext": ("pre", "text"),
    "fitness": ("fit", "ness"),
    "antisocial": ("anti", "social"),
    "podium": ("pod", "ium"),
    "universe": ("uni", "verse"),
    "european": ("europ", "ean"),
    "decode": ("de", "code"),
    "subvert": ("sub", "vert"),
    "proactive": ("pro", "active"),
    "concentric": ("con", "centr", "ic"),
    "octopus": ("octo", "pus"),
}
_MARKS = str.maketrans("", "", "#_▁")

CountArray = NDArray[np.int64]


def read_segmentations(path: Path) -> dict[str, tuple[str, ...]]:
    """Return words with their morphemes, those only whose morphemes joined give the word.

    Args:
        path: A Parquet file with the columns `word` and `morphemes` (a list), or a text file with a word,
            a tab, and the morphemes separated by spaces (`+`, `@@` and `|` between them are left out).

    Raises:
        InputError: The file is absent, lacks a column or a tab, or holds no usable word.
    """
    require_file(path, "the file of segmentations")
    pairs = _parquet_pairs(path) if path.suffix == ".parquet" else _text_pairs(path)
    usable = {word: parts for word, parts in pairs if parts and "".join(parts) == word}
    if not usable:
        raise InputError(
            "a file of segmentations must hold words whose morphemes joined give the word",
            got=f"none in {path}",
        )
    return usable


def _parquet_pairs(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    missing = {"word", "morphemes"} - set(pq.read_schema(path).names)
    if missing:
        raise InputError(
            f"{path} must have the columns word and morphemes",
            got=f"no {', '.join(sorted(missing))}",
        )
    rows = pq.read_table(path, columns=["word", "morphemes"]).to_pylist()
    return [(row["word"], tuple(row["morphemes"] or ())) for row in rows]


def _text_pairs(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    pairs: list[tuple[str, tuple[str, ...]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        word, tab, segmented = line.partition("\t")
        if not tab:
            raise InputError(
                f"{path}, line {number}: a word, a tab and its morphemes must stand there",
                got=repr(line),
            )
        for mark in ("@@", "+", "|"):
            segmented = segmented.replace(mark, " ")
        pairs.append((word, tuple(segmented.partition("\t")[0].split())))
    return pairs


def exact_match_score(
    pieces: Mapping[str, Sequence[str]], gold: Mapping[str, Sequence[str]]
) -> float:
    """Return the paper's score: matching pieces over all reference parts, 0 to 1 unless a piece repeats.

    Words kept whole or cut into single characters count 0. Order and repetition are not looked at.

    Args:
        pieces: Each word's tokens as the tokenizer writes them; the marks `#`, `_` and `▁` are removed.
        gold: Each word's reference parts.

    Source: arXiv 2305.17266, released code, vocab_experiment.py, lines 127-153.
    """
    matches, parts = match_counts(pieces, gold)
    return float(matches.sum() / parts.sum())


def match_counts(
    pieces: Mapping[str, Sequence[str]], gold: Mapping[str, Sequence[str]]
) -> tuple[CountArray, CountArray]:
    """Return the numbers of matching pieces and reference parts of each word, each of shape (words,); see `exact_match_score`."""
    matches = [_matches(pieces[word], parts) or 0 for word, parts in gold.items()]
    return np.array(matches, np.int64), np.array([len(p) for p in gold.values()], np.int64)


def exact_match_score_first(
    pieces: Mapping[str, Sequence[str]], gold: Mapping[str, Sequence[str]]
) -> int:
    """Return the first version of the score: -1 for a word kept whole or cut into characters, not normalised.

    Source: released code, history, 28 November 2022 (0449b9c).
    """
    scores = [_matches(pieces[word], parts) for word, parts in gold.items()]
    return sum(-1 if score is None else score for score in scores)


def _matches(pieces: Sequence[str], parts: Collection[str]) -> int | None:
    """Return the number of pieces that are among the parts; None for a word kept whole or cut into characters."""
    bare = [piece.translate(_MARKS) for piece in pieces]
    bare = [piece for piece in bare if piece]
    if len(bare) <= 1 or all(len(piece) == 1 for piece in bare):
        return None
    return sum(piece in parts for piece in bare)


def boundaries(parts: Sequence[str]) -> set[int]:
    """Return the places inside a word where one part ends and the next begins, in characters."""
    return set(np.cumsum([len(part) for part in parts])[:-1].tolist())


def boundary_counts(
    produced: Sequence[set[int]], gold: Sequence[set[int]]
) -> tuple[CountArray, CountArray, CountArray]:
    """Return the numbers of correct, produced and gold boundaries of each word, each of shape (words,)."""
    correct = [len(cuts & wanted) for cuts, wanted in zip(produced, gold, strict=True)]
    return (
        np.array(correct, np.int64),
        np.array([len(cuts) for cuts in produced], np.int64),
        np.array([len(wanted) for wanted in gold], np.int64),
    )
