# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Count the words of texts, and build vocabularies from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.language.reading.documents import (
    Damage,
    Document,
    OnError,
    Source,
    batches_of,
)
from lilliput.language.reading.files import find_files
from lilliput.language.reading.packages import with_packages
from lilliput.language.reading.shards import plan_shards, read_shard
from lilliput.language.spans.counter import WordCounter
from lilliput.language.vocabularies.child_speech import (
    Speakers,
    count_transcript,
    separate_transcripts,
)
from lilliput.language.words.profiles import WordProfile, word_profile
from lilliput.language.words.vocabulary import Vocabulary, from_counts

_MAX_DOCUMENT_BYTES = 64 << 20


def build_vocabulary(
    sources: Iterable[Document] | Sequence[str | Path | Source],
    *,
    profile: str = "modern",
    size: int | None = None,
    coverage: float | None = None,
    min_frequency: int = 1,
    speakers: Speakers = "adults",
    max_age_months: float | None = None,
    on_error: OnError = "stop",
    reporter: Reporter = SILENT,
    hub: bool = False,
) -> Vocabulary:
    """The most frequent words of texts.

    Args:
        sources: Documents in memory, or paths, globs, folders and sources.
        profile: What a word is.
        size: At most so many words.
        coverage: The fewest words that cover this share of all word occurrences.
        min_frequency: Rarer words are left out.
        speakers: Whose words of transcripts count.
        max_age_months: Only transcripts with a child up to this age.
        on_error: Whether damaged input stops the work.
        reporter: Where progress goes.
        hub: Whether sources may be fetched from the network.

    Raises:
        InputError: The texts hold no word.
    """
    counts: Counter[str] = Counter()
    ages: dict[str, float] = {}
    rule = word_profile(profile)
    transcripts, others = separate_transcripts(sources)
    with reporter.task("count words", unit="documents") as progress:
        for transcript in transcripts:
            count_transcript(
                transcript, rule, speakers, max_age_months, counts, ages, Damage(on_error)
            )
            progress.advance()
        counter = WordCounter(rule)
        for batch in iter_documents(others, on_error=on_error, hub=hub) if others else ():
            counter.add(batch.column("text"))
            progress.advance(batch.num_rows)
        counts.update(counter.counts)
    if not counts:
        raise InputError(
            "a vocabulary needs texts with words",
            got="no word",
            remedy="Name text files, or tables with a column of texts, that hold some.",
        )
    return from_counts(
        counts, size=size, coverage=coverage, min_frequency=min_frequency, ages=ages or None
    )


def count_words(texts: pa.Array, profile: WordProfile) -> Counter[str]:
    """Occurrences of each word in an Arrow array of strings."""
    counter = WordCounter(profile)
    counter.add(texts)
    return counter.counts


def iter_documents(
    given: Iterable[Document] | Sequence[str | Path | Source],
    *,
    on_error: OnError = "stop",
    hub: bool = False,
) -> Iterator[pa.RecordBatch]:
    """All documents as record batches (see documents.BATCH_SCHEMA)."""
    items = [given] if isinstance(given, str | Path | Source) else list(given)
    items = list(with_packages(items))
    documents = [item for item in items if isinstance(item, Document)]
    sources = [item for item in items if not isinstance(item, Document)]
    if documents:
        yield from batches_of(documents)
    if documents and not sources:
        return
    damage = Damage(on_error)
    files = find_files(sources, hub=hub)
    for shard in plan_shards(files, _MAX_DOCUMENT_BYTES, damage):
        yield from read_shard(shard, damage)
