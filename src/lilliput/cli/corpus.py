"""`lilliput corpus` estimates and builds corpora, and filters tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lilliput.cli._frame import add_group, deliver, echo
from lilliput.cli._hints import shortened, suggest, unless, unused
from lilliput.cli._options import (
    ExecutorOption,
    HubOption,
    JsonOption,
    OnErrorOption,
    SetOption,
    TextColumnOption,
    WordListOption,
    WordProfileOption,
)
from lilliput.cli.vocabulary import show_damaged_places, show_transcripts
from lilliput.core.wording import spoken_duration, spoken_interval, spoken_size

if TYPE_CHECKING:
    from lilliput.language import CorpusSettings, Source

SourcesArgument = Annotated[
    list[str],
    typer.Argument(help="Files, folders, globs, URLs, package:NAME, or hub:NAME with --hub."),
]
_ALL = "all"
_SHOWN_WORDS = 10
CorpusArgument = Annotated[Path, typer.Argument(help="Folder of a corpus.")]
ProcessesOption = Annotated[
    int | None, typer.Option("--workers", help="Number of processes that work at the same time.")
]


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    group = add_group(
        app, "corpus", "Build corpora of a reduced language, and filter tables by a vocabulary."
    )
    group.command()(build)
    group.command()(estimate)
    group.command(name="filter")(filter_command)
    group.command()(score)
    group.command()(prune)


def build(
    sources: SourcesArgument,
    vocabulary: WordListOption,
    out: Annotated[Path, typer.Option(help="Folder for the corpora.")],
    word_profile: WordProfileOption = "modern",
    text_column: TextColumnOption = None,
    on_error: OnErrorOption = "stop",
    unconstrained: Annotated[
        bool, typer.Option(help="Also build an unconstrained corpus of the same size.")
    ] = True,
    executor: ExecutorOption = "inline",
    workers: ProcessesOption = None,
    hub: HubOption = False,
    set_values: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the constrained corpus, and an unconstrained one of the same size and sources.

    They go to OUT/constrained and OUT/unconstrained. Safe to repeat: an interrupted build goes on.

    Example: lilliput corpus build stories/ --vocabulary vocabulary --word-profile modern --out corpora
    """
    from lilliput.core.executors import make_executor
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.language import build_corpus, build_matched_corpus, read_vocabulary

    settings = _settings(word_profile, on_error, set_values)
    given, reporter = _sources(sources, text_column), reporter_for_terminal()
    words = read_vocabulary(vocabulary)
    with make_executor(executor, workers) as pool:
        shared: dict[str, Any] = {"reporter": reporter, "executor": pool, "hub": hub}
        shared["leave_out"] = [out, vocabulary]  # They may lie in the folder of the texts.
        record = build_corpus(given, words, out / "constrained", settings, **shared)
        if unconstrained:
            matched = build_matched_corpus(
                given, out / "constrained", out / "unconstrained", **shared
            )
            record = record | {"unconstrained": matched}
    deliver(record, as_json, lambda: _show_build(record, out))


def _show_build(record: Mapping[str, Any], out: Path) -> None:
    echo(
        f"{record['documents']:,} documents, {record['spans']:,} spans, {record['kept']:,} kept, "
        f"{record['duplicates']:,} duplicates, {record['written']:,} written ({record['words']:,} words)."
    )
    for reason, number in record["dropped"].items():
        echo(f"  dropped, {reason.replace('_', ' ')}: {number:,}")
    for reason, number in record["damaged"].items():
        echo(f"  damaged, {reason.replace('_', ' ')}: {number:,}")
    show_damaged_places(record.get("damaged_places"))
    show_transcripts(record.get("transcripts"))
    if words := record.get("words_to_add"):
        shown = ", ".join(f"{word} ({spans:,})" for word, spans in words[:_SHOWN_WORDS])
        echo(f"Words that would keep more spans, each alone: {shown}.")
    suggest("tokenizer", "train", out / "constrained", out=unused("tokenizers"))


def estimate(
    sources: SourcesArgument,
    vocabulary: WordListOption,
    word_profile: WordProfileOption = "modern",
    text_column: TextColumnOption = None,
    on_error: OnErrorOption = "stop",
    sample_mb: Annotated[float, typer.Option(help="How much of the input to read.")] = 16.0,
    workers: ProcessesOption = None,
    hub: HubOption = False,
    set_values: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a sample and estimate the words kept, the time and the disk, each with an interval.

    `--word-profile all` compares the words kept under every profile.

    Example: lilliput corpus estimate stories/ --vocabulary vocabulary --word-profile modern
    """
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.language import estimate_corpus, read_vocabulary
    from lilliput.language.words.profiles import PROFILES

    words, reporter = read_vocabulary(vocabulary), reporter_for_terminal()

    def estimated(profile: str) -> dict[str, Any]:
        return estimate_corpus(
            _sources(sources, text_column),
            words,
            _settings(profile, on_error, set_values),
            sample_bytes=int(sample_mb * 1e6),
            workers=workers or 1,
            hub=hub,
            leave_out=[vocabulary],
            reporter=reporter,
        )

    if word_profile == _ALL:
        every = {profile: estimated(profile) for profile in PROFILES}
        deliver({"profiles": every}, as_json, lambda: _show_profiles(every))
        return
    record = estimated(word_profile)

    def show() -> None:
        _show_estimate(record)
        suggest(
            "corpus",
            "build",
            *shortened(sources),
            vocabulary=vocabulary,
            out=unused("corpora"),
            word_profile=unless("modern", word_profile),
            text_column=text_column,
            on_error=unless("stop", on_error),
            workers=workers,
            executor="process" if workers else None,
            hub=hub,
            set=set_values,
        )

    deliver(record, as_json, show)


def _show_estimate(record: Mapping[str, Any]) -> None:
    echo(f"words kept   {_interval('{:,.0f}'.format, record['kept'])}")
    echo(f"time         {_interval(_spoken_hours, record['hours'])}")
    echo(f"disk         {_interval(spoken_size, record['disk_bytes'])}")
    for fate in ("dropped", "damaged"):
        for reason, number in record[fate].items():
            echo(f"  {fate} in the sample, {reason.replace('_', ' ')}: {number:,}")
    show_damaged_places(record["damaged_places"])


def _show_profiles(every: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what is kept under each word profile, and why spans of the sample are not."""
    for profile, record in every.items():
        reasons = (f"{reason.replace('_', ' ')} {n:,}" for reason, n in record["dropped"].items())
        dropped = ", ".join(reasons) or "none"
        echo(f"{profile:<7} words kept {_interval('{:,.0f}'.format, record['kept'])}")
        echo(f"        dropped in the sample: {dropped}")
    echo("docs/language.md says how the profiles differ; give one of them with --word-profile.")


def _interval(spoken: Callable[[float], str], found: Mapping[str, Any]) -> str:
    return spoken_interval(spoken, found["value"], found["low"], found["high"])


def _spoken_hours(hours: float) -> str:
    return spoken_duration(3600 * hours)


def filter_command(
    table: Annotated[
        Path, typer.Argument(help="Parquet, CSV or JSON Lines; or a folder of splits.")
    ],
    columns: Annotated[str, typer.Option(help="Names of the text columns, by commas.")],
    vocabulary: WordListOption,
    out: Annotated[Path, typer.Option(help="Where the kept rows go.")],
    word_profile: WordProfileOption = "modern",
    max_unknown: Annotated[int, typer.Option(help="Unknown words a row may have.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Keep the rows of a table whose texts stay within the vocabulary.

    The profile `glue-paper` is the paper's own rule for GLUE.

    Example: lilliput corpus filter cola.parquet --columns sentence --vocabulary vocabulary --out cola-kept.parquet
    """
    from lilliput.language import filter_table, read_vocabulary

    names = [name.strip() for name in columns.split(",") if name.strip()]
    words = read_vocabulary(vocabulary)
    record = filter_table(table, names, words, word_profile, out, max_unknown=max_unknown)

    def show() -> None:
        for split, counts in record["splits"].items():
            echo(f"{split}: {counts['kept']:,} of {counts['rows']:,} rows kept")
        echo(f"{record['kept']:,} of {record['rows']:,} rows kept.")

    deliver(record, as_json, show)


def score(
    corpus: CorpusArgument,
    by: Annotated[
        str,
        typer.Option(
            help="length, rarity, age, age-max, compression, ngram, column or importance."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the scores.")],
    vocabulary: Annotated[
        Path | None, typer.Option(help="Word list with ages, for the scores age and age-max.")
    ] = None,
    executor: ExecutorOption = "inline",
    workers: ProcessesOption = None,
    set_values: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give each span of a corpus a number: how long, rare, late learned or surprising it is.

    Curricula (training.order) and `lilliput corpus prune` read the scores.

    Example: lilliput corpus score corpora/constrained --by rarity --out scores/rarity
    """
    from lilliput.core.executors import make_executor
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.core.toml import with_overrides
    from lilliput.language.scores import score_corpus

    settings = with_overrides({"name": by}, set_values or [])
    with make_executor(executor, workers) as pool:
        record = score_corpus(
            corpus,
            settings,
            out,
            vocabulary=vocabulary,
            reporter=reporter_for_terminal(),
            executor=pool,
        )

    def show() -> None:
        echo(
            f"{record['spans']:,} spans, {record['missing']:,} of the train split without a score."
        )
        if record["quantiles"]:
            shown = "  ".join(f"{float(q):.0%} {v:.4g}" for q, v in record["quantiles"].items())
            echo(f"{by}: mean {record['mean']:.4g}, quantiles {shown}")
        suggest("corpus", "prune", corpus, scores=out, keep="low", rate="0.5", out=unused("pruned"))

    deliver(record, as_json, show)


def prune(
    corpus: CorpusArgument,
    scores: Annotated[Path, typer.Option(help="Folder of the scores (lilliput corpus score).")],
    keep: Annotated[str, typer.Option(help="low, middle, high, gumbel, random or random-mix.")],
    rate: Annotated[float, typer.Option(help="Share of the train spans to keep.")],
    out: Annotated[Path, typer.Option(help="Folder for the pruned corpus.")],
    like: Annotated[
        Path | None,
        typer.Option(help="Pruned corpus whose words of each source random-mix copies."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of random choices.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Keep a share of the train split by a score; the held-out splits stay whole.

    Random pruning at the same rate, with the same mix of sources, is the control.

    Example: lilliput corpus prune corpora/constrained --scores scores/rarity --keep low --rate 0.5 --out pruned
    """
    from lilliput.core.settings import parse_settings
    from lilliput.language.scores import PruningSettings, prune_corpus

    settings = parse_settings(PruningSettings, {"keep": keep, "rate": rate, "seed": seed})
    record = prune_corpus(corpus, out, settings, scores=scores, like=like)

    def show() -> None:
        echo(
            f"{record['kept_spans']:,} of {record['train_spans']:,} spans of the train split kept "
            f"({record['kept_words']:,} of {record['train_words']:,} words)."
        )
        suggest("tokenizer", "train", out, out=unused("tokenizers"))

    deliver(record, as_json, show)


def _settings(word_profile: str, on_error: str, set_values: list[str] | None) -> CorpusSettings:
    from lilliput.core.settings import parse_settings
    from lilliput.core.toml import with_overrides
    from lilliput.language import CorpusSettings

    values = {"word_profile": word_profile, "on_error": on_error}
    return parse_settings(CorpusSettings, with_overrides(values, set_values or []))


def _sources(paths: list[str], text_column: str | None) -> list[Source]:
    from lilliput.language import Source

    return [Source(path=path, text_column=text_column) for path in paths]
