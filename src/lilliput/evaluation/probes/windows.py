"""Cut held-out documents into short windows: sentences, or pieces of long ones."""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lilliput.core.seeding import stream_key
from lilliput.evaluation.settings import ProbeSettings
from lilliput.language import iter_texts

# After a full stop, question or exclamation mark and perhaps a closing quote; without a space where
# the script uses none.
_SENTENCE_END = re.compile(r"(?<=[.!?…।])\s+|(?<=[.!?…]['\"”’)\]])\s+|(?<=[。！？])\s*")
_SPACELESS_WORD = 20
"""Mean letters a space-separated word above which a script is taken to write no spaces."""
_SPANS_PER_EXAMPLE = 6


@dataclass(frozen=True)
class Window:
    """Hold consecutive words of one document.

    Attributes:
        units: Words; characters where the script writes no spaces.
        joiner: What stands between units.
        doc_id: Id of the document.
        label: Source label.
    """

    units: tuple[str, ...]
    joiner: str
    doc_id: str
    label: str

    @property
    def text(self) -> str:
        """Return the window as text."""
        return self.joiner.join(self.units)


@dataclass(frozen=True)
class DocumentWindows:
    """The windows of one document: one list a span, in reading order."""

    doc_id: str
    label: str
    spans: tuple[tuple[Window, ...], ...]

    @property
    def windows(self) -> Iterator[Window]:
        """Yield all windows of the document."""
        for span in self.spans:
            yield from span


def read_documents(corpus: Path, settings: ProbeSettings, seed: int) -> list[DocumentWindows]:
    """Return documents of the held-out splits in an order drawn by `seed`, cut into windows.

    Of a large corpus only as many spans are kept as the probes can use, whole documents first.
    """
    limit = _SPANS_PER_EXAMPLE * (settings.max_train_examples + settings.max_dev_examples)
    rows = heapq.nsmallest(limit, _rows(corpus, settings, seed))
    spans: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
    for key, doc_id, _, label, text in rows:
        spans[key, doc_id].append((label, text))
    joiner = _joiner([text for *_, text in rows])
    documents: list[DocumentWindows] = []
    for (_, doc_id), entries in spans.items():
        label = entries[0][0]
        cut = (tuple(_windows(text, joiner, doc_id, label, settings)) for _, text in entries)
        documents.append(DocumentWindows(doc_id, label, tuple(cut)))
    return documents


def _rows(
    corpus: Path, settings: ProbeSettings, seed: int
) -> Iterator[tuple[int, str, int, str, str]]:
    columns = sorted({"text", "doc_id", "position", settings.source_column})
    for split in settings.splits:
        for batch in iter_texts(corpus, split, columns=columns):
            names = batch[settings.source_column].to_pylist()
            doc_ids = batch["doc_id"].to_pylist()
            positions = batch["position"].to_pylist()
            texts = batch["text"].to_pylist()
            for doc_id, position, name, text in zip(doc_ids, positions, names, texts, strict=True):
                key = stream_key(seed, "document", doc_id)
                yield key, doc_id, int(position), _label(str(name), settings), text


def _label(name: str, settings: ProbeSettings) -> str:
    return name.split(settings.source_prefix, maxsplit=1)[0] if settings.source_prefix else name


def _joiner(texts: Sequence[str]) -> str:
    letters = sum(map(len, texts))
    words = sum(len(text.split()) for text in texts)
    return "" if words and letters / words > _SPACELESS_WORD else " "


def _windows(
    text: str, joiner: str, doc_id: str, label: str, settings: ProbeSettings
) -> Iterator[Window]:
    for sentence in _SENTENCE_END.split(text):
        units = sentence.split() if joiner else [c for c in sentence if not c.isspace()]
        for start in range(0, len(units), settings.max_words):
            piece = tuple(units[start : start + settings.max_words])
            if len(piece) >= settings.min_words:
                yield Window(piece, joiner, doc_id, label)
