# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Find the spans of many documents at once, over Arrow buffers and without copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lilliput.language.spans.rules import ScannerRules, compile_rules
from lilliput.language.spans.settings import SpanSettings
from lilliput.language.words.profiles import WordProfile
from lilliput.language.words.text_form import composed
from lilliput.language.words.vocabulary import Vocabulary

_SHAPES = {"windows": 0, "sentences": 1, "runs": 2}

_ANY_SHARE = 1e18  # More than any number of unknown words.

# İ lower-cases to two characters and Σ by its neighbours; documents with them are lower-cased whole.
_CONTEXT_DEPENDENT = ("\u0130", "\u03a3")


@dataclass(frozen=True)
class FoundSpans:
    """Hold the spans of a batch of documents, in order.

    Attributes:
        texts: The documents as scanned; offsets count its bytes.
        document: Row of the document of each span; int64, as all that follow.
        start: First byte of each span in the buffer of `texts`.
        stop: Byte after its last.
        first_word: Rank of its first whitespace word in the document.
        last_word: Rank after its last.
        words: Words of the profile in it.
        verdict: See `verdicts`.
        words_read: Words of the profile in all documents.
        unknown_read: Those that are not in the vocabulary.
    """

    texts: pa.LargeStringArray
    document: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    first_word: NDArray[np.int64]
    last_word: NDArray[np.int64]
    words: NDArray[np.int64]
    verdict: NDArray[np.int64]
    words_read: int
    unknown_read: int


class SpanFinder:
    """Find spans with the fast scanner, for one span rule and one vocabulary.

    Args:
        settings: The rule.
        vocabulary: The words admitted; None admits all.
    """

    def __init__(self, settings: SpanSettings, vocabulary: Vocabulary | None) -> None:
        self.settings = settings
        forms = None if vocabulary is None else vocabulary.forms(settings.profile)
        self.rules: ScannerRules = compile_rules(settings.profile, forms)

    @property
    def limits(self) -> tuple[int, NDArray[np.int64], float]:
        """Return the rule in numbers: shape, (span_words, stride, least words, no overlap), unknown share."""
        settings = self.settings
        numbers = (
            settings.span_words,
            settings.stride_words,
            settings.least_words,
            int(settings.overlap == "remove"),
        )
        share = _ANY_SHARE if self.rules.admits_all else float(settings.unknown_share)
        return _SHAPES[settings.shape], np.array(numbers, dtype=np.int64), share

    def find(self, texts: pa.Array) -> FoundSpans:
        """Return the spans of each document in an Arrow array of strings; nulls have none."""
        from lilliput.language.spans.kernels.select import find_in_batch

        texts = prepared(texts, self.settings.profile)
        offsets, data = buffers(texts)
        rules = self.rules
        table, words, unknown = find_in_batch(
            data, offsets, present(texts), *self.limits,
            rules.classes, rules.lower, rules.switches, rules.table,
        )  # fmt: skip
        unknown = 0 if rules.admits_all else int(unknown)
        return FoundSpans(texts, *table.T, words_read=int(words), unknown_read=unknown)


def prepared(texts: pa.Array, profile: WordProfile) -> pa.LargeStringArray:
    """Return the texts as the scanner wants them: large strings in the form of the profile.

    They are lower-cased only where a table of characters cannot do it later.
    """
    from lilliput.language.spans.kernels.scan import holds_context_dependent

    texts = texts.cast(pa.large_string())
    if profile.characters == "composed":
        texts = _composed(texts)
    if profile.letters != "python_word":
        return texts
    offsets, data = buffers(texts)
    if not holds_context_dependent(data, offsets[0], offsets[-1]):
        return texts
    return pa.array(
        [text and _lower_if_needed(text) for text in texts.to_pylist()], pa.large_string()
    )


def _composed(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    from lilliput.language.spans.kernels.scan import documents_to_compose

    offsets, data = buffers(texts)
    marked = documents_to_compose(data, offsets, present(texts))
    rows = np.flatnonzero(marked)
    if not rows.size:
        return texts
    old = texts.take(pa.array(rows)).to_pylist()
    new = [composed(text, folds_case=True) for text in old]
    if new == old:
        return texts
    mask = pa.array(marked)
    return pc.replace_with_mask(texts, mask, pa.array(new, pa.large_string()))


def buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return views of an array's offsets (rows + 1) and of its bytes."""
    _, offsets, data = texts.buffers()
    if len(texts) == 0 or offsets is None:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    view = np.frombuffer(offsets, np.int64, len(texts) + 1, texts.offset * 8)
    return view, np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)


def present(texts: pa.Array) -> NDArray[np.bool_]:
    """Return which rows are not null."""
    return np.asarray(texts.is_valid().to_numpy(zero_copy_only=False))


def _lower_if_needed(text: str) -> str:
    return text.lower() if any(c in text for c in _CONTEXT_DEPENDENT) else text
