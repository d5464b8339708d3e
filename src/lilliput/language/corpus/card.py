"""The dataset card of a corpus: what it holds, by which rules, from where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def corpus_card(
    facts: Mapping[str, Any], statistics: Mapping[str, Any], settings: Mapping[str, Any]
) -> str:
    """Return the card in Markdown, with the header that dataset hubs read."""
    sources = _table(
        ("source", "documents", "spans", "passing", "written", "words"),
        [
            (
                name,
                *(f"{c[key]:,}" for key in ("documents", "spans", "passing", "written", "words")),
            )
            for name, c in facts["sources"].items()
        ],
    )
    splits = _table(
        ("split", "spans", "words"),
        [(s, f"{c['spans']:,}", f"{c['words']:,}") for s, c in facts["splits"].items()],
    )
    dropped = _table(("reason", "spans"), [(r, f"{n:,}") for r, n in facts["dropped"].items()])
    rules = _table(("setting", "value"), [(f"`{k}`", f"{v}") for k, v in sorted(settings.items())])
    return f"""---
{_language(settings)}size_categories: []
configs:
- config_name: default
  data_files: shards/*.parquet
---

# A corpus of a reduced language

{facts["written"]:,} spans, {facts["words"]:,} words, {statistics["word_types"]:,} word types, from {facts["documents"]:,} documents.
{facts["spans"]:,} spans were examined, {facts["kept"]:,} pass the rules, {facts["duplicates"]:,} of them are duplicates.

## Sources

{sources}

## Splits

{splits}

## Dropped spans

{dropped}

A sample of dropped spans lies in `dropped.parquet`, more statistics in `statistics.json`.

{_ages(statistics)}{_words_to_add(statistics)}## Rules

{rules}

{case_note(settings)}The text keeps the licences of its sources.
"""


def _language(settings: Mapping[str, Any]) -> str:
    """Return the line of the header that names the language, where it is stated."""
    code = str(settings.get("text_language") or "")
    return f"language: {code}\n" if code else ""


def case_note(settings: Mapping[str, Any]) -> str:
    """Return what lower-casing takes from a language that is not stated to be English; else nothing."""
    is_english = str(settings.get("text_language") or "").lower().split("-")[0] == "en"
    is_lowered = bool((settings.get("text_form") or {}).get("lower_case"))
    if is_english or not is_lowered:
        return ""
    return (
        "All text is lower-cased: what the language says by capitals alone is lost, such as the nouns of German "
        "(Weg and weg, Reden and reden are one word here).\n\n"
    )


def _ages(statistics: Mapping[str, Any]) -> str:
    ages = statistics.get("mean_age_of_first_use_months")
    if ages is None:
        return ""
    return f"""## Age of acquisition

The words of a span were first used at a mean age of {ages["mean"]:.1f} months
(standard deviation {ages["sd"]:.1f} over {ages["spans"]:,} spans; words of unknown age are left out).

"""


def _words_to_add(statistics: Mapping[str, Any]) -> str:
    words = statistics.get("words_to_add")
    if not words:
        return ""
    listed = ", ".join(f"{word.replace('|', chr(92) + '|')} ({spans:,})" for word, spans in words)
    together = statistics.get("spans_gained_at_least")
    sentence = "" if together is None else f" Together they would keep at least {together:,}."
    return f"""## Words that would keep more spans

In brackets, how many dropped spans the rule would keep at their start if that word alone were
added to the vocabulary, before duplicates.{sentence}

{listed}

"""


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)  # fmt: skip
