"""The tokenizer study: every kind from 1,000 to 40,000 ids on a constrained and an unconstrained corpus.

    lilliput corpus build SOURCES --vocabulary aochildes_word_frequency.csv --word-profile modern --out corpora
    python benchmarks/tokenization_sizes.py corpora/constrained corpora/unconstrained --out study \
        --morphology sigmorphon2022_eng_words.parquet --figure docs/tokenization_study.svg

Prints a Markdown table for each corpus and draws the curves. Safe to repeat: finished tokenizers are kept.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

from lilliput.core.artefacts import read_manifest
from lilliput.core.progress import PlainReporter
from lilliput.tokenization import (
    KINDS,
    CompareSettings,
    KindName,
    TokenizerRow,
    choose_tokenizer,
    compare_tokenizers,
    parse_kinds,
    train_tokenizers,
)

SIZES = (1000, 2000, 5000, 10_000, 19_000, 31_000, 40_000)
PANELS = (
    ("word_split_ratio_in_context", "tokens per word, in context"),
    ("boundary_f1", "boundary F1"),
    ("bits_per_byte_unigram", "unigram bits per byte"),
)


def study(
    corpus: Path, out: Path, kinds: list[KindName], morphology: Path | None
) -> list[TokenizerRow]:
    """One comparison a kind, so that an interrupted study goes on with the next."""
    reporter = PlainReporter()
    rows: list[TokenizerRow] = []
    for kind in kinds:
        folders = train_tokenizers(corpus, out, [kind], SIZES, reporter=reporter)
        found = compare_tokenizers(
            corpus,
            folders,
            out / f"comparison-{kind}",
            settings=CompareSettings(resamples=300),
            morphology=morphology,
            reporter=reporter,
        )
        rows.extend(found.rows)
    return rows


def saturated(rows: list[TokenizerRow]) -> Iterator[tuple[str, TokenizerRow]]:
    """Rows by rising size, with the size asked for in words; equal ones, where nothing was left to learn, once."""
    for kind in KINDS:
        mine = sorted((r for r in rows if r.kind == kind), key=lambda r: r.vocab_size_asked)
        for _, group in itertools.groupby(mine, key=lambda r: r.vocab_size):
            first, *others = group
            yield f"{first.vocab_size_asked:,}" + (" and more" if others else ""), first


def print_table(corpus: Path, rows: list[TokenizerRow]) -> None:
    splits = read_manifest(corpus).facts["splits"]
    print(f"\n**{corpus.name}**: {splits}; {rows[0].boundary_words} gold words\n")
    print(
        "| kind | asked | reached | isolated | in context (95 %) | ESMS | F1 | kept whole | unused | `<unk>` | bits/byte |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for asked, row in saturated(rows):
        low, high = row.intervals["word_split_ratio_in_context"]
        print(
            f"| {row.kind} | {asked} | {row.vocab_size:,} | {row.word_split_ratio_isolated:.3f} "
            f"| {row.word_split_ratio_in_context:.3f} ({low:.3f}-{high:.3f}) | {row.exact_match_score:.3f} "
            f"| {row.boundary_f1:.3f} | {row.kept_whole:.3f} | {row.unused_tokens:,} "
            f"| {row.unknown_rate:.4f} | {row.bits_per_byte_unigram:.3f} |"
        )  # fmt: skip
    picked = choose_tokenizer(rows, CompareSettings().split_ratio_tolerance)
    print(f"\nPicked: {picked.name}; {picked.rule}. Pareto: {', '.join(picked.pareto)}.")


def draw(results: dict[str, list[TokenizerRow]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams["svg.hashsalt"] = "lilliput"
    figure, axes = plt.subplots(
        len(results), len(PANELS), figsize=(11, 3.2 * len(results)), squeeze=False
    )
    for line, (name, all_rows) in zip(axes, results.items(), strict=True):
        for axis, (measure, label) in zip(line, PANELS, strict=True):
            for kind in dict.fromkeys(row.kind for row in all_rows):
                rows = sorted((r for r in all_rows if r.kind == kind), key=lambda r: r.vocab_size)
                x = [row.vocab_size for row in rows]
                axis.plot(x, [getattr(row, measure) for row in rows], marker="o", ms=3, label=kind)
            axis.set(xscale="log", xlabel="ids reached", ylabel=label, title=name)
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--morphology", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    results = {
        corpus.name: study(
            corpus, options.out / corpus.name, parse_kinds(options.kinds), options.morphology
        )
        for corpus in options.corpora
    }
    for corpus in options.corpora:
        print_table(corpus, results[corpus.name])
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
