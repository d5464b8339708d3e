"""Make the artefact `vocabulary` from texts, transcripts or a list of frequencies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.settings import Settings, parse_settings
from lilliput.core.wording import listed
from lilliput.language.reading.columns import TEXT_NAMES
from lilliput.language.reading.documents import Damage, Document, Source, as_source
from lilliput.language.reading.files import find_files
from lilliput.language.reading.packages import PACKAGE_PREFIX
from lilliput.language.reading.shards import identify
from lilliput.language.vocabularies.counting import build_vocabulary
from lilliput.language.words.profiles import ProfileName
from lilliput.language.words.vocabulary import (
    FREQUENCY_COLUMNS,
    Vocabulary,
    frequency_column,
    from_counts,
    header_of_list,
    read_vocabulary,
    write_vocabulary,
)


class VocabularySettings(Settings):
    """The settings that say which words of the sources make the vocabulary."""

    word_profile: ProfileName = Field(
        default="modern", description="The rule of what a word is: paper, cpp or modern."
    )
    size: PositiveInt | None = Field(
        default=None, description="Most words to keep, the most frequent first."
    )
    coverage: float | None = Field(
        default=None, gt=0, le=1, description="The fewest words that cover this share of the text."
    )
    min_frequency: PositiveInt = Field(default=1, description="Rarer words are left out.")
    speakers: Literal["adults", "children", "all"] = Field(
        default="adults", description="The speakers of transcripts whose words count."
    )
    max_age_months: PositiveFloat | None = Field(
        default=None, description="Only transcripts with a child up to this age in months count."
    )
    on_error: Literal["stop", "skip"] = Field(
        default="stop", description="Damaged input stops the work, or is skipped and counted."
    )

    @classmethod
    def of(cls, **values: Any) -> VocabularySettings:
        """Return checked settings from plain values.

        Raises:
            ConfigurationError: A value breaks a rule.
        """
        return parse_settings(cls, values)


def make_vocabulary(
    sources: Iterable[Document] | Sequence[str | Path | Source],
    out: Path,
    settings: VocabularySettings | None = None,
    *,
    reporter: Reporter = SILENT,
    hub: bool = False,
) -> dict[str, Any]:
    """Write a vocabulary to `out`; the keys of `lilliput vocabulary build --json` come back.

    A single `.csv` file with the columns `word` and `frequency` (or `freq`, `count`, `counts`, `occurrences`), or with
    `word` alone, is a word list; everything else is text whose words are counted. What lies at `out` is no source.
    """
    settings = settings or VocabularySettings()
    given = [sources] if isinstance(sources, str | Path | Source) else list(sources)
    damage = Damage(settings.on_error)
    vocabulary = _vocabulary(given, settings, reporter, hub, damage, out)
    sources = [as_source(item) for item in given if not isinstance(item, Document)]
    packages = [one.path for one in sources if one.path.startswith(PACKAGE_PREFIX)]
    files = [one for one in sources if not one.path.startswith(PACKAGE_PREFIX)]
    inputs = {"sources": identify(find_files(files, hub=hub, leave_out=[out]))} if files else {}
    inputs |= {"packages": " ".join(packages)} if packages else {}
    write_vocabulary(vocabulary, out, settings=settings.model_dump(), inputs=inputs)
    record = vocabulary.as_record()
    if damage.counts:
        record["damaged_input"] = dict(sorted(damage.counts.items()))
        record["damaged_places"] = damage.examples
    if damage.transcripts.files:
        record["transcripts"] = damage.transcripts.as_record()
    return record


def _vocabulary(
    given: Sequence[str | Path | Source | Document],
    settings: VocabularySettings,
    reporter: Reporter,
    hub: bool,
    damage: Damage,
    out: Path,
) -> Vocabulary:
    if len(given) == 1 and isinstance(given[0], str | Path) and is_word_list(Path(given[0])):
        _require_frequencies(Path(given[0]), settings, reporter)
        words = read_vocabulary(Path(given[0]))
        return from_counts(
            dict(zip(words.words, words.frequencies, strict=True)),
            size=settings.size,
            coverage=settings.coverage,
            min_frequency=settings.min_frequency,
        )
    return build_vocabulary(
        given,  # pyright: ignore[reportArgumentType]
        profile=settings.word_profile,
        size=settings.size,
        coverage=settings.coverage,
        min_frequency=settings.min_frequency,
        speakers=settings.speakers,
        max_age_months=settings.max_age_months,
        on_error=settings.on_error,
        reporter=reporter,
        hub=hub,
        damage=damage,
        leave_out=[out],
    )


def _require_frequencies(path: Path, settings: VocabularySettings, reporter: Reporter) -> None:
    """Say where a list of words has columns, and none of frequencies; refuse to rank its words.

    Raises:
        InputError: The most frequent words are wanted.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        _, header = header_of_list(file.readline())
    if frequency_column(header) is not None:
        return
    names = f"the columns {', '.join(header)}"
    if settings.size or settings.coverage:
        raise InputError(
            f"{path} must give each word a frequency, so that the most frequent can be kept",
            got=names,
            remedy=f"Name the column of the numbers {listed(FREQUENCY_COLUMNS, 'or')}, or leave --size and "
            "--coverage out.",
        )
    if len(header) > 1:
        reporter.say(
            f"{path}: every word counts once, since no column is called frequency or count ({names})"
        )


def is_word_list(path: Path) -> bool:
    """Return whether a file is a CSV list of words: with frequencies, or with no other column at all."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        _, header = header_of_list(file.readline())
    return "word" in header and not set(TEXT_NAMES) & set(header)
