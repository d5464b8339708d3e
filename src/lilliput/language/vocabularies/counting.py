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
from lilliput.core.wording import listed, plural
from lilliput.language.reading.documents import (
    Damage,
    Document,
    OnError,
    Source,
    batches_of,
)
from lilliput.language.reading.files import InputFile, find_files
from lilliput.language.reading.packages import with_packages
from lilliput.language.reading.shards import plan_shards, read_shard
from lilliput.language.reading.transcripts import Speakers, is_transcript, read_utterances
from lilliput.language.spans.counter import WordCounter
from lilliput.language.words.profiles import WordProfile, word_profile
from lilliput.language.words.splitting import split_words
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
    damage: Damage | None = None,
    leave_out: Sequence[Path] = (),
) -> Vocabulary:
    """Return the most frequent words of texts.

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
        damage: Takes in what could not be read and what transcripts held, for a report; its own
            `on_error` holds.
        leave_out: Files and folders that a source may hold and that are no input.

    Raises:
        InputError: The texts hold no word.
    """
    rule = word_profile(profile)
    damage = Damage(on_error) if damage is None else damage
    spoken, counter = TranscriptWords(rule, speakers, max_age_months), WordCounter(rule)
    documents, files = _resolve(sources, hub, leave_out)
    others: list[InputFile] = []
    with reporter.task("count words", unit="documents") as progress:
        for file in files:
            if is_transcript(file):
                spoken.add(file, _MAX_DOCUMENT_BYTES, damage)
                progress.advance()
            else:
                others.append(file)
        for batch in _batches(documents, others, damage, reporter):
            counter.add(batch.column("text"))
            progress.advance(batch.num_rows)
    counts = spoken.counts + counter.counts
    if not counts:
        raise InputError(
            "a vocabulary needs texts with words",
            got=_without_words(damage),
            remedy="Name text files, tables with a column of texts, or transcripts whose headers give roles (--speakers says whose words count).",
        )
    return from_counts(
        counts,
        size=size,
        coverage=coverage,
        min_frequency=min_frequency,
        ages=spoken.ages or None,
    )


class TranscriptWords:
    """Occurrences of the words of some speakers, and the youngest age at which each was met.

    Args:
        profile: What a word is.
        speakers: Whose words count.
        max_age_months: Only speech with a child up to this age counts.
    """

    def __init__(
        self, profile: WordProfile, speakers: Speakers, max_age_months: float | None
    ) -> None:
        self._profile, self._oldest = profile, max_age_months
        self._speakers: Speakers = speakers
        self.counts: Counter[str] = Counter()
        self.ages: dict[str, float] = {}

    def add(self, file: InputFile, limit: int, damage: Damage) -> None:
        """Count the words of one transcript; what becomes of utterances goes to `damage.transcripts`."""
        for spoken in read_utterances(file, limit, damage):
            if not damage.transcripts.count(spoken.dropped_for(self._speakers, self._oldest)):
                continue
            words = split_words(spoken.text, self._profile)
            self.counts.update(words)
            age = spoken.child_age_months
            if age is not None:
                for word in words:
                    self.ages[word] = min(age, self.ages.get(word, age))


def _without_words(damage: Damage) -> str:
    said = damage.transcripts
    if not said.utterances:
        return "no word"
    reasons = listed([f"{n:,} {r.replace('_', ' ')}" for r, n in said.dropped.most_common()])
    return f"{plural(said.utterances, 'utterance')}, none of them kept: {reasons}"


def count_words(texts: pa.Array, profile: WordProfile) -> Counter[str]:
    """Return the occurrences of each word in an Arrow array of strings."""
    counter = WordCounter(profile)
    counter.add(texts)
    return counter.counts


def iter_documents(
    given: Iterable[Document] | Sequence[str | Path | Source],
    *,
    on_error: OnError = "stop",
    hub: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Yield all documents as record batches (see documents.BATCH_SCHEMA)."""
    documents, files = _resolve(given, hub)
    yield from _batches(documents, files, Damage(on_error), SILENT)


def _resolve(
    given: Iterable[Document] | Sequence[str | Path | Source],
    hub: bool,
    leave_out: Sequence[Path] = (),
) -> tuple[list[Document], list[InputFile]]:
    """Return the documents that were given in memory, and the files of all sources."""
    items = [given] if isinstance(given, str | Path | Source) else list(given)
    items = list(with_packages(items))
    documents = [item for item in items if isinstance(item, Document)]
    sources = [item for item in items if not isinstance(item, Document)]
    if documents and not sources:
        return documents, []
    return documents, find_files(sources, hub=hub, leave_out=leave_out)


def _batches(
    documents: Iterable[Document], files: Sequence[InputFile], damage: Damage, reporter: Reporter
) -> Iterator[pa.RecordBatch]:
    yield from batches_of(documents)
    for shard in plan_shards(files, _MAX_DOCUMENT_BYTES, damage, reporter=reporter):
        yield from read_shard(shard, damage)
