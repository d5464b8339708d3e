"""The page Tokenizers: candidates, how they split words, and why one was picked."""

from __future__ import annotations

from dataclasses import replace

from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.table.tidy import Cell
from lilliput.report.drawing.figures import Axis, Control, DataTable, Figure, FigureLayer, Option
from lilliput.report.page import Page, PageContent, applies_to_studies, register_page
from lilliput.report.parts import (
    Missing,
    TableCell,
    TableColumn,
    TableRow,
    TableView,
    as_sentences,
    number_cell,
    quantity_cell,
    text_cell,
)
from lilliput.report.reading.evidence import Evidence
from lilliput.report.reading.tokenizers import ComparedTokenizer, LanguageTokenizers

_MEASURES = {
    "word_split_ratio_in_context": "Sub-tokens a word, in context",
    "word_split_ratio_isolated": "Sub-tokens a word, alone",
    "exact_match_score": "Exact match with word parts",
    "boundary_f1": "Boundary F1 of word parts",
    "bits_per_byte_unigram": "Bits a byte under token frequencies",
    "kept_whole": "Share of words kept whole",
    "unknown_rate": "Share of unknown tokens",
}
_MEASURES_IN_PROSE = {
    "word_split_ratio_in_context": "number of sub-tokens a word, in context,",
    "boundary_f1": "boundary F1 of word parts",
}
# Left out of the table at first.
_EXTRA = ("word_split_ratio_isolated", "exact_match_score", "unknown_rate")
_HOVER = ("name", "corpus", "picked")


def build_tokenizers(evidence: Evidence, findings: Findings) -> PageContent:
    """Return every compared tokenizer with its scores, curves over size, and the reason for the picked one."""
    del findings
    comparisons = evidence.comparisons
    if not comparisons:
        return PageContent({"missing": _missing(evidence)})
    table = _data(comparisons)
    measures = [name for name in _MEASURES if name in table]
    controls = (_control(measures),) if measures else ()
    content = {
        "missing": None,
        "sentences": [_reason(comparison) for comparison in comparisons],
        "tables": [_view(comparison) for comparison in comparisons],
    }
    figures = (_figure(comparisons),) if measures else ()
    return PageContent(content, figures, {"tokenizers": table}, controls)


def _missing(evidence: Evidence) -> Missing:
    where = "this study" if evidence.is_study else "a plain table"
    return Missing(
        f"There is no comparison of tokenizers in {where}.",
        "lilliput tokenizer compare STUDY/corpora/NAME --out STUDY/tokenizers/NAME/comparison",
    )


def _control(measures: list[str]) -> Control:
    return Control("measure", "Measure", tuple(Option(m, _MEASURES[m]) for m in measures))


def _data(comparisons: tuple[LanguageTokenizers, ...]) -> DataTable:
    """Return one row for each candidate; `MEASURE_low` and `MEASURE_high` hold the bounds."""
    rows: list[dict[str, Cell]] = []
    for comparison in comparisons:
        for candidate in comparison.candidates:
            row: dict[str, Cell] = {
                "name": candidate.name,
                "kind": candidate.kind,
                "corpus": comparison.language,
                "curve": f"{candidate.kind}, {comparison.language}",
                "vocab_size": candidate.count("vocab_size"),
                "picked": candidate.name == comparison.picked,
            }
            for name in _MEASURES:
                measure = candidate.measure(name)
                row |= {
                    name: measure.value,
                    f"{name}_low": measure.low,
                    f"{name}_high": measure.high,
                }
            rows.append(row)
    return DataTable.from_rows(rows)


def _figure(comparisons: tuple[LanguageTokenizers, ...]) -> Figure:
    colour = "curve" if len(comparisons) > 1 else "kind"
    line = FigureLayer(
        "tokenizers", "lines", "vocab_size", "$measure", series="curve", colour=colour, hover=_HOVER
    )  # fmt: skip
    points = replace(line, mark="points", series=None, low="$measure_low", high="$measure_high")
    return Figure(
        id="tokenizer-curves",
        title="Each kind of tokenizer over vocabulary size",
        text=as_sentences([_picked_sentence(comparison) for comparison in comparisons]),
        x=Axis("Vocabulary size (tokens)", log=True),
        y=Axis("{measure}"),
        layers=(line, points),
        note="Fewer sub-tokens a word is better, down to 1; matches are better the higher. Each point "
        "is one trained tokenizer; bars are 95 % intervals over the words it was measured on.",
    )


def _picked_sentence(comparison: LanguageTokenizers) -> str:
    if not comparison.picked:
        return f"No tokenizer was picked for {comparison.language}."
    return f"For {comparison.language}, {comparison.picked} was picked."


def _reason(comparison: LanguageTokenizers) -> str:
    """Return which one was picked, by which rule, and which one the models use."""
    rule = _in_words(comparison.rule.rstrip("."))
    used = comparison.trained_with
    return as_sentences(
        [
            _picked_sentence(comparison),
            f"The rule: {rule}." if rule else "",
            _used_sentence(used, comparison.picked) if used else "",
        ]
    )


def _used_sentence(used: str, picked: str) -> str:
    if used == picked:
        return "The models were trained with it."
    return f"The recipe trains the models with {used} all the same."


def _view(comparison: LanguageTokenizers) -> TableView:
    measures = [m for m in _MEASURES if any(m in c.record for c in comparison.candidates)]
    return TableView(
        id=f"tokenizers-{comparison.language}",
        caption=f"Candidates for {comparison.language}; the picked one is marked. Each was trained once; "
        "intervals are over the words it was measured on.",
        columns=(
            TableColumn("Tokenizer"),
            TableColumn("Size", numeric=True),
            TableColumn("Verdict"),
            *(TableColumn(_MEASURES[m], numeric=True, is_extra=m in _EXTRA) for m in measures),
        ),
        rows=tuple(
            TableRow(
                (
                    text_cell(candidate.name or candidate.kind),
                    number_cell(candidate.count("vocab_size")),
                    _verdict(comparison, candidate),
                    *(quantity_cell(candidate.measure(m)) for m in measures),
                ),
                picked=candidate.name == comparison.picked,
            )
            for candidate in comparison.candidates
        ),
    )


def _verdict(comparison: LanguageTokenizers, candidate: ComparedTokenizer) -> TableCell:
    if candidate.name == comparison.picked:
        return text_cell("picked")
    return text_cell(_in_words(comparison.lost.get(candidate.name, "")))


def _in_words(reason: str) -> str:
    """Return a reason of the rule with its two measures in words."""
    for name, words in _MEASURES_IN_PROSE.items():
        reason = reason.replace(name, words)
    return reason


register_page(
    Page(
        "tokenizers",
        "Tokenizers",
        order=30,
        build=build_tokenizers,
        template="tokenizers.html",
        applies_to=applies_to_studies,
    )
)
