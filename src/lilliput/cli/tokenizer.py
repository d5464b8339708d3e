"""`lilliput tokenizer` trains candidates, compares and picks them, and encodes a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lilliput.cli._frame import add_group, deliver, echo
from lilliput.cli._hints import offer, suggest, unused
from lilliput.cli._options import (
    CorpusArgument,
    JsonOption,
    OutFolderOption,
    TokenizerKindOption,
    VocabSizeOption,
)

if TYPE_CHECKING:
    from lilliput.tokenization import EncodeResult, StoreEstimate, TokenizerComparison

_COMPARED_SIZES = (1000, 2000, 5000, 10_000, 20_000, 40_000)


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    about = "Train tokenizers, compare them and pick one, encode a corpus."
    group = add_group(app, "tokenizer", about)
    group.command("train", epilog=_TRAIN_EXAMPLE)(train)
    group.command("compare", epilog=_COMPARE_EXAMPLE)(compare)
    group.command("encode", epilog=_ENCODE_EXAMPLE)(encode)


_TRAIN_EXAMPLE = "Example: lilliput tokenizer train corpora/constrained --out tokenizers --kind byte-bpe --vocab-size 19000"
_COMPARE_EXAMPLE = "Example: lilliput tokenizer compare corpora/constrained --out tokenizers --morphology words.tsv --existing roberta-base"
_ENCODE_EXAMPLE = "Example: lilliput tokenizer encode corpora/constrained --tokenizer tokenizers/byte-bpe-19000 --out tokens"


def train(
    corpus: CorpusArgument,
    out: OutFolderOption,
    kind: TokenizerKindOption = None,
    vocab_size: VocabSizeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train tokenizers on the train split, one folder KIND-SIZE each; finished ones are left alone."""
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.tokenization import find_corpus, load_tokenizer, parse_kinds, train_tokenizers

    corpus = find_corpus(corpus)

    folders = train_tokenizers(
        corpus,
        out,
        parse_kinds(kind or ["byte-bpe"]),
        vocab_size or (19_000,),
        reporter=reporter_for_terminal(),
    )
    rows: list[dict[str, Any]] = []
    for folder in folders:
        found = load_tokenizer(folder)
        rows.append(
            {
                "path": str(folder),
                "kind": found.kind,
                "vocab_size_asked": found.vocab_size_asked,
                "vocab_size": found.vocab_size,
                "content": found.content,
            }
        )

    def show() -> None:
        for row in rows:
            reached = f"{row['vocab_size']:,} of {row['vocab_size_asked']:,} tokens"
            echo(f"{row['path']}: {reached}, content {row['content']}")
        suggest("tokenizer", "encode", corpus, tokenizer=folders[0], out=unused("tokens"))

    deliver({"tokenizers": rows}, as_json, show)


def compare(
    corpus: CorpusArgument,
    out: OutFolderOption,
    kind: TokenizerKindOption = None,
    vocab_size: VocabSizeOption = None,
    existing: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a tokenizer to compare with the trained ones. Repeat the option for several."
        ),
    ] = None,
    morphology: Annotated[
        Path | None,
        typer.Option(
            help="Reference segmentations of words: Parquet, or lines of word<tab>mor phemes."
        ),
    ] = None,
    task_data: Annotated[
        Path | None,
        typer.Option(help="Table or text file on which the share of unknown tokens is measured."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train candidates of every kind and size, measure them, and pick one."""
    from lilliput.core.files import require_file
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.tokenization import (
        KINDS,
        compare_tokenizers,
        find_corpus,
        load_tokenizer,
        parse_kinds,
        train_tokenizers,
    )

    corpus = find_corpus(corpus)
    # What is given is looked at before hours of training.
    for folder in existing or ():
        load_tokenizer(folder)
    for name, path in (("--morphology", morphology), ("--task-data", task_data)):
        if path is not None:
            require_file(path, f"the file of {name}")
    reporter = reporter_for_terminal()
    kinds = parse_kinds(kind) if kind else KINDS
    sizes = vocab_size or _COMPARED_SIZES
    folders = train_tokenizers(corpus, out, kinds, sizes, reporter=reporter)
    found = compare_tokenizers(
        corpus,
        [*folders, *(existing or ())],
        out / "comparison",
        morphology=morphology,
        task_data=task_data,
        reporter=reporter,
    )
    deliver(found.as_record(), as_json, lambda: _show_comparison(found, corpus))


def _show_comparison(found: TokenizerComparison, corpus: Path) -> None:
    echo(f"{'tokenizer':<26}{'ids':>8}{'isolated':>10}{'context':>9}{'ESMS':>7}{'F1':>7}{'b/B':>7}")
    for row in found.rows:
        echo(
            f"{row.name:<26}{row.vocab_size:>8,}{row.word_split_ratio_isolated:>10.3f}"
            f"{row.word_split_ratio_in_context:>9.3f}{row.exact_match_score:>7.3f}"
            f"{row.boundary_f1:>7.3f}{row.bits_per_byte_unigram:>7.3f}"
        )
    echo(f"\nPicked {found.picked.name}: {found.picked.rule}.")
    for name, reason in found.picked.lost.items():
        echo(f"- {name} {reason}.")
    suggest("tokenizer", "encode", corpus, tokenizer=found.picked_folder, out=unused("tokens"))


def encode(
    corpus: CorpusArgument,
    out: OutFolderOption,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a tokenizer, or of several and their comparison; else the folder tokenizers beside OUT, where one is trained if there is none."
        ),
    ] = None,
    vocab_size: Annotated[
        int | None, typer.Option(help="Rows of the models' vocabulary, if more than the ids.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that encode at the same time.")
    ] = 1,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only estimate tokens and size.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Encode every split of a corpus into a token store."""
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.tokenization import (
        default_tokenizer,
        encode_corpus,
        estimate_store,
        find_corpus,
        find_tokenizer,
    )

    corpus = find_corpus(corpus)
    reporter = reporter_for_terminal()
    if tokenizer is None:
        chosen = default_tokenizer(corpus, out, reporter=reporter)
    else:
        chosen = find_tokenizer(tokenizer)
    if estimate:
        coming = estimate_store(corpus, chosen, vocab_size=vocab_size)
        deliver(coming.as_record(), as_json, lambda: _show_estimate(coming))
        return
    found = encode_corpus(
        corpus,
        chosen,
        out,
        vocab_size=vocab_size,
        workers=workers,
        reporter=reporter,
    )
    record = {**found.as_record(), "tokenizer": str(chosen)}
    deliver(record, as_json, lambda: _show_store(found))


def _show_estimate(coming: StoreEstimate) -> None:
    tokens, size = coming.tokens, coming.disk_bytes
    echo(f"{coming.documents:,} documents")
    for name, found, unit in (("tokens", tokens, 1), ("MB", size, 1_000_000)):
        bounds = (
            ""
            if found.low is None or found.high is None
            else (f" ({found.low / unit:,.1f} to {found.high / unit:,.1f})")
        )
        echo(f"{found.value / unit:,.1f} {name}{bounds}")


def _show_store(found: EncodeResult) -> None:
    done = " (found done)" if found.skipped else ""
    echo(f"{found.tokens:,} tokens of {found.documents:,} documents in {found.folder}{done}")
    for split, amount in found.by_split.items():
        echo(f"  {split:<11}{amount['tokens']:>14,} tokens {amount['documents']:>12,} documents")
    offer("To train a model on it (docs/training.md shows a recipe)", "train", "RECIPE")
