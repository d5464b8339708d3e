"""Which split a document belongs to: a function of its name and the seed."""

from __future__ import annotations

from lilliput.core.seeding import stream_key
from lilliput.language.corpus.settings import CorpusSettings

_KEYS = 1 << 64


def split_of(key: str, settings: CorpusSettings) -> str:
    """The split of everything called `key` (a split group, a document, or a span's hash)."""
    position = stream_key(settings.seed, "split", key) / _KEYS
    if position < settings.validation_share:
        return "validation"
    if position < settings.validation_share + settings.test_share:
        return "test"
    return "train"


def group_key(source: str, doc_id: str, split_group: str | None) -> str:
    """What the split of a document is drawn for."""
    return f"group\x1f{split_group}" if split_group is not None else f"{source}\x1f{doc_id}"
