"""The page Language: which words are allowed, and what the filter kept and dropped."""

from __future__ import annotations

from itertools import accumulate

from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.quantities import finite, format_count, format_share
from lilliput.core.wording import listed
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.page import Page, PageContent, applies_to_studies, register_page
from lilliput.report.parts import (
    Fact,
    Missing,
    TableColumn,
    TableRow,
    TableView,
    as_sentences,
    number_cell,
    text_cell,
)
from lilliput.report.reading.evidence import Evidence
from lilliput.report.reading.language import Language, VocabularyWords

_CURVE_POINTS = 240
_WORDS_SHOWN = 20
_COUNTS = {
    "documents": "Documents",
    "spans": "Spans cut",
    "kept": "Spans kept",
    "duplicates": "Duplicates removed",
    "written": "Spans written",
    "words": "Words written",
    "bytes_in": "Bytes read",
    "unknown_share": "Share of unknown words in what was read",
}

# What the reasons for dropping a span mean.
_REASONS = {
    "unknown_words": "it held more words outside the vocabulary than the language allows",
    "too_short": "it held fewer words than a span must have",
    "over_quota": "it was not needed: its source had already given as many words as it may, by its quota or "
    "to match another language in size",
}
_STATISTICS = {
    "word_types": "Distinct words",
    "vocabulary_words_used": "Allowed words that occur",
    "unknown_types": "Distinct words outside the vocabulary",
    "spans_gained_at_least": "Dropped spans that would be kept, at least, if the up to 100 words that stand most "
    "in the way were allowed",
}
# Numbers of `statistics.json` that the manifest gives under another name.
_REPEATED = ("word_tokens", "unknown_share_of_input")


def build_language(evidence: Evidence, findings: Findings) -> PageContent:
    """Show vocabulary, coverage, kept and dropped with reasons and samples, and languages compared."""
    del findings
    vocabulary, languages = evidence.vocabulary, evidence.languages
    figures: list[Figure] = []
    tables: dict[str, DataTable] = {}
    if vocabulary is not None and vocabulary.has_frequencies:
        tables["coverage"] = _coverage_table(vocabulary)
        figures.append(_coverage_figure(vocabulary))
    to_add = _words_to_add(languages)
    if len(to_add):
        tables["words-to-add"] = to_add
        figures.append(_words_to_add_figure(languages))
    content = {
        "facts": _facts(vocabulary, languages),
        "vocabulary": vocabulary,
        "missing_vocabulary": _missing_vocabulary(evidence),
        "missing_languages": _missing_languages(evidence),
        "comparison": _comparison(languages),
        "drops": [_drops(language) for language in languages if language.dropped],
        "languages": languages,
        "sentence": _sentence(languages),
        "sources": [_sources(language) for language in languages if language.sources],
    }
    return PageContent(content, tuple(figures), tables)


def _missing_vocabulary(evidence: Evidence) -> Missing | None:
    if evidence.vocabulary is not None:
        return None
    return Missing(
        "No vocabulary lies in this study, so which words were allowed cannot be shown.",
        "lilliput vocabulary build SOURCES --out STUDY/vocabulary",
    )


def _missing_languages(evidence: Evidence) -> Missing | None:
    if evidence.languages:
        return None
    return Missing(
        "No corpus lies in this study, so what was kept and dropped cannot be shown.",
        "lilliput corpus build SOURCES --vocabulary FILE --out STUDY/corpora/NAME",
    )


def _facts(vocabulary: VocabularyWords | None, languages: tuple[Language, ...]) -> list[Fact]:
    facts: list[Fact] = []
    if vocabulary is not None:
        facts.append(Fact("Allowed words", format_count(len(vocabulary.words))))
        counted = (
            format_count(sum(vocabulary.frequencies))
            if vocabulary.has_frequencies
            else "not counted"
        )
        facts.append(Fact("Their occurrences", counted))
    for language in languages:
        share = f"{format_share(language.kept_share)} of spans kept" if language.dropped else ""
        words = format_count(language.count("words"))
        facts.append(Fact(f"Words, {language.name}", words, share))
    return facts


def _sentence(languages: tuple[Language, ...]) -> str:
    filtered = [language for language in languages if language.dropped]
    return as_sentences([_kept_sentence(language) for language in filtered])


def _kept_sentence(language: Language) -> str:
    spans, kept = language.count("spans"), language.count("kept")
    if not spans or kept is None:
        return ""
    reason, count = next(iter(language.dropped.items()))
    return (
        f"Of {format_count(spans)} spans cut for the language {language.name}, {format_count(kept)} "
        f"({format_share(kept / spans)}) were kept; the most frequent reason for dropping one was "
        f"“{_in_words(reason)}” ({format_share(count / spans)} of all spans)"
        f"{f': {_REASONS[reason]}' if reason in _REASONS else ''}."
    )


def _in_words(reason: str) -> str:
    return reason.replace("_", " ")


def _coverage_table(vocabulary: VocabularyWords) -> DataTable:
    total = sum(vocabulary.frequencies) or 1
    covered = [count / total for count in accumulate(vocabulary.frequencies)]
    ranks = _log_spaced(len(covered), _CURVE_POINTS)
    return DataTable(
        {
            "words": list(ranks),
            "coverage": [100 * covered[rank - 1] for rank in ranks],
            "word_at_rank": [vocabulary.words[rank - 1] for rank in ranks],
        }
    )


def _log_spaced(last: int, points: int) -> list[int]:
    return sorted({max(1, round(last ** (i / (points - 1)))) for i in range(points)} | {last})


def _coverage_figure(vocabulary: VocabularyWords) -> Figure:
    total = sum(vocabulary.frequencies) or 1
    shares = [
        f"the {format_count(n)} most frequent cover {format_share(sum(vocabulary.frequencies[:n]) / total)}"
        for n in (10, 100, 1000, 10_000)
        if n < len(vocabulary.words)
    ]
    sentence = f": {listed(shares)} of the occurrences." if shares else "."
    return Figure(
        id="coverage",
        title="How few words cover most of the language",
        text=f"Share of all word occurrences that the most frequent words make up{sentence}",
        x=Axis("Most frequent words", log=True),
        y=Axis("Occurrences covered (%)"),
        layers=(
            FigureLayer(
                "coverage", "lines", x="words", y="coverage", name="coverage",
                hover=(),
            ),
        ),
        note="Counted on the texts that the vocabulary was made from, over the allowed words only: "
        "an exact count, without sampling error.",
    )  # fmt: skip


def _words_to_add(languages: tuple[Language, ...]) -> DataTable:
    """Return the words that stand most in the way, with the spans that each alone would let in."""
    rows = [
        {"corpus": language.name, "word": word, "spans": spans}
        for language in languages
        for word, spans in reversed(language.words_to_add[:_WORDS_SHOWN])
    ]
    return DataTable.from_rows(rows, ["corpus", "word", "spans"])


def _words_to_add_figure(languages: tuple[Language, ...]) -> Figure:
    together = [
        f"Together the first 100 would let in at least {format_count(gained)} spans of {language.name}."
        for language in languages
        if (gained := finite(language.statistics.get("spans_gained_at_least")))
    ]
    return Figure(
        id="words-to-add",
        title="Words whose admission would keep most more text",
        text=as_sentences(
            ["Each word alone would let in as many spans as its point says, since it is all that they lack.", *together]
        ),
        x=Axis("Spans let in by this word alone"),
        y=Axis(""),
        layers=(
            FigureLayer("words-to-add", "points", x="spans", y="word", colour="corpus", horizontal=True),
        ),
        note="An exact count over the texts that were read.",
    )  # fmt: skip


def _comparison(languages: tuple[Language, ...]) -> TableView | None:
    if not languages:
        return None
    keys = [key for key in _COUNTS if any(lang.count(key) is not None for lang in languages)]
    rows = [
        TableRow((text_cell(_COUNTS[key]), *(number_cell(lg.count(key)) for lg in languages)))
        for key in keys
    ]
    rows.append(
        TableRow(
            (
                text_cell("Words per written span"),
                *(number_cell(_words_per_span(language)) for language in languages),
            )
        )
    )
    rows += _split_rows(languages)
    rows += _statistics_rows(languages)
    return TableView(
        id="corpora",
        caption="The corpora beside each other; exact counts.",
        columns=(
            TableColumn(""),
            *(TableColumn(language.name, numeric=True) for language in languages),
        ),
        rows=tuple(rows),
        is_sortable=False,
    )


def _words_per_span(language: Language) -> float | None:
    words, written = language.count("words"), language.count("written")
    return words / written if words is not None and written else None


def _split_rows(languages: tuple[Language, ...]) -> list[TableRow]:
    names = list(dict.fromkeys(name for lg in languages for name in lg.facts.get("splits") or {}))
    return [
        TableRow(
            (text_cell(f"Words, {name}"), *(number_cell(lg.split_words(name)) for lg in languages))
        )
        for name in names
    ]


def _statistics_rows(languages: tuple[Language, ...]) -> list[TableRow]:
    """Return the plain numbers of `statistics.json` that the manifest does not already give."""
    keys = list(
        dict.fromkeys(
            key
            for language in languages
            for key, value in language.statistics.items()
            if isinstance(value, (int, float)) and key not in (*_COUNTS, *_REPEATED)
        )
    )
    return [
        TableRow(
            (
                text_cell(_STATISTICS.get(key) or _in_words(key).capitalize()),
                *(number_cell(language.statistics.get(key)) for language in languages),
            )
        )
        for key in keys
    ]


def _drops(language: Language) -> TableView:
    spans = language.count("spans") or float("nan")
    return TableView(
        id=f"dropped-{language.id}",
        caption=f"Why spans of {language.name} were dropped; each span counts under its first reason.",
        columns=(
            TableColumn("Reason"),
            TableColumn("Spans", numeric=True),
            TableColumn("Of all", numeric=True),
            TableColumn("Meaning"),
        ),
        rows=tuple(
            TableRow(
                (
                    text_cell(_in_words(reason)),
                    number_cell(count),
                    number_cell(count / spans, format_share(count / spans)),
                    text_cell(_REASONS.get(reason)),
                )
            )
            for reason, count in language.dropped.items()
        ),
    )


def _sources(language: Language) -> TableView:
    """Return what each source gave; exact counts."""
    keys = ("documents", "spans", "kept", "written", "words")
    shown = [key for key in keys if any(key in counts for counts in language.sources.values())]
    return TableView(
        id=f"sources-{language.id}",
        caption=f"Sources of {language.name}; exact counts.",
        columns=(
            TableColumn("Source"),
            *(TableColumn(_COUNTS[key], numeric=True) for key in shown),
        ),
        rows=tuple(
            TableRow((text_cell(name), *(number_cell(finite(counts.get(key))) for key in shown)))
            for name, counts in language.sources.items()
        ),
    )


register_page(
    Page(
        "language",
        "Language",
        order=20,
        build=build_language,
        template="language.html",
        applies_to=applies_to_studies,
    )
)
