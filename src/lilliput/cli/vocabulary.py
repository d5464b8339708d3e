"""`lilliput vocabulary` makes word lists from texts, transcripts and other lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lilliput.cli._frame import add_group, deliver, echo
from lilliput.cli._hints import offer, shortened, suggest, unless
from lilliput.cli._options import (
    HubOption,
    JsonOption,
    OnErrorOption,
    TextColumnOption,
    WordProfileOption,
)
from lilliput.core.wording import plural

_SHOWN_PLACES = 10


def show_transcripts(said: Mapping[str, Any] | None) -> None:
    """Print what was read of transcripts, and why utterances were left out."""
    if not said:
        return
    speakers = ", ".join(f"{role} {n:,}" for role, n in said["speakers"].items())
    youngest, oldest = said["child_age_months"]
    ages = "unknown age" if youngest is None else f"{youngest:.1f} months"
    if youngest != oldest:
        ages = f"{youngest:.1f} to {oldest:.1f} months"
    unknown = (
        f", {plural(said['without_age'], 'file')} without an age" if said["without_age"] else ""
    )
    files = plural(said["files"], "transcript")
    echo(f"{files} of children of {ages}{unknown}. Speakers: {speakers}.")
    if said["unread_ages"]:
        echo(f"Ages that cannot be read: {', '.join(map(repr, said['unread_ages']))}.")
    reasons = ", ".join(
        f"{reason.replace('_', ' ')} {n:,}" for reason, n in said["dropped"].items()
    )
    echo(
        f"{said['kept']:,} of {said['utterances']:,} utterances count"
        + (f"; not: {reasons}." if reasons else ".")
    )


def show_damaged_places(places: Sequence[str] | None) -> None:
    """Print where the text was that was left out as damaged, the first places alone."""
    for place in (places or ())[:_SHOWN_PLACES]:
        echo(f"    {place.replace('_', ' ')}")
    if places and len(places) > _SHOWN_PLACES:
        echo("    …")


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    add_group(app, "vocabulary", "Make word lists with frequencies.").command()(build)


def build(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Texts or transcripts (files, folders, globs), or one word list as CSV."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the words go: a .csv file, or a folder.")],
    word_profile: WordProfileOption = "modern",
    size: Annotated[
        int | None, typer.Option(help="Keep at most this many words, the most frequent ones.")
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(help="Keep the fewest words that cover this share of the text, such as 0.98."),
    ] = None,
    min_frequency: Annotated[int, typer.Option(help="Leave out words that occur less often.")] = 1,
    speakers: Annotated[
        str,
        typer.Option(
            help="Whose words of transcripts count: adults, children or all. Roles and ages in the headers decide."
        ),
    ] = "adults",
    max_age_months: Annotated[
        float | None,
        typer.Option(help="Use only transcripts whose child is at most this old, in months."),
    ] = None,
    text_column: TextColumnOption = None,
    on_error: OnErrorOption = "stop",
    hub: HubOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a word list from texts, from transcripts, or from a list of frequencies.

    Example: lilliput vocabulary build stories/*.txt --size 5000 --out vocabulary
    """
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.language import Source, VocabularySettings, make_vocabulary
    from lilliput.language.vocabularies.making import is_word_list

    settings = VocabularySettings.of(
        word_profile=word_profile,
        size=size,
        coverage=coverage,
        min_frequency=min_frequency,
        speakers=speakers,
        max_age_months=max_age_months,
        on_error=on_error,
    )
    given = [Source(path=path, text_column=text_column) for path in sources]
    record = make_vocabulary(
        given if text_column else sources, out, settings, reporter=reporter_for_terminal(), hub=hub
    )

    def show() -> None:
        covers = "covers" if record["words"] == 1 else "cover"
        words = plural(record["words"], "word")
        echo(f"{words} {covers} {record['coverage']:.1%} of {record['tokens']:,}.")
        if record["damaged"]:
            entries = ", ".join(map(repr, record["damaged"]))
            echo(f"{len(record['damaged'])} damaged entries can never match: {entries}")
        for reason, number in record.get("damaged_input", {}).items():
            echo(f"  damaged, {reason.replace('_', ' ')}: {number:,}")
        show_damaged_places(record.get("damaged_places"))
        show_transcripts(record.get("transcripts"))
        options = {"vocabulary": out, "word_profile": unless("modern", word_profile)}
        if len(sources) == 1 and is_word_list(Path(sources[0])):
            offer("To see what it keeps of your texts", "corpus", "estimate", "TEXTS", **options)
        else:
            suggest(
                "corpus",
                "estimate",
                *shortened(sources),
                text_column=text_column,
                on_error=unless("stop", on_error),
                hub=hub,
                **options,
            )

    deliver(record, as_json, show)
