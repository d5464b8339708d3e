"""Encoding a corpus into the token store, beside `tokenizers.encode_batch` and `datasets.map`.

    python benchmarks/tokenization_encode.py TEXTS.parquet --words 5000000 --repeats 3 --work DIR

All read the same corpus with the same byte-level tokenizer. `encode_batch` alone leaves its result in
memory and writes nothing; `datasets.map` writes its Arrow cache; ours writes the store. The corpus and its
tokenizer are kept in DIR and found there again; with --repeats 0 they are only made.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import _tokenization_corpus as made

from lilliput.tokenization import (
    TokenizerSettings,
    encode_corpus,
    load_tokenizer,
    train_tokenizer,
)
from lilliput.tokenization.counting.texts import texts_of
from lilliput.tokenization.store import SPLITS


def encode_batch_alone(texts: list[str], tokenizer: Path) -> int:
    backend = load_tokenizer(tokenizer).backend
    batches = (texts[start : start + 1000] for start in range(0, len(texts), 1000))
    return sum(
        len(encoding.ids)
        for batch in batches
        for encoding in backend.encode_batch(batch, add_special_tokens=False)
    )


def datasets_map(corpus: Path, tokenizer: Path, folder: Path, **options: object) -> int:
    import datasets
    from transformers import AutoTokenizer

    datasets.disable_progress_bars()
    rows = datasets.Dataset.from_parquet(
        [str(path) for path in sorted((corpus / "shards").glob("*.parquet"))],
        cache_dir=str(folder / "cache"),
    )
    encode = AutoTokenizer.from_pretrained(str(tokenizer))
    result = rows.map(
        lambda row: encode(row["text"], add_special_tokens=False),
        remove_columns=rows.column_names,
        load_from_cache_file=False,
        cache_file_name=str(folder / "result.arrow"),
        **options,
    )
    return len(result)


def ours(corpus: Path, tokenizer: Path, folder: Path, workers: int) -> int:
    return encode_corpus(corpus, tokenizer, folder / "tokens", workers=workers).tokens


def timed(work: Callable[[Path], int]) -> float:
    folder = Path(tempfile.mkdtemp())
    started = time.perf_counter()
    work(folder)
    elapsed = time.perf_counter() - started
    shutil.rmtree(folder)
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--words", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    with tempfile.TemporaryDirectory() as name:
        measure(options, options.work or Path(name))


def measure(options: argparse.Namespace, root: Path) -> None:
    corpus = made.make_corpus(options.texts, root / "corpus", options.words, options.shards)
    settings = TokenizerSettings(kind="byte-bpe", vocab_size=19_000)
    tokenizer = train_tokenizer(corpus, root / "tokenizer", settings)
    if not options.repeats:
        return
    texts = [text for split in SPLITS for batch in texts_of(corpus, split) for text in batch]
    n = options.processes
    ways: dict[str, Callable[[Path], int]] = {
        "tokenizers.encode_batch alone": lambda _: encode_batch_alone(texts, tokenizer),
        "lilliput, 1 process": lambda f: ours(corpus, tokenizer, f, 1),
        f"lilliput, {n} processes": lambda f: ours(corpus, tokenizer, f, n),
        "datasets.map, defaults": lambda f: datasets_map(corpus, tokenizer, f),
        f"datasets.map, batched, {n} processes": lambda f: datasets_map(
            corpus, tokenizer, f, batched=True, num_proc=n
        ),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.repeats):
        for way, work in ways.items():
            times[way].append(timed(work))
    with tempfile.TemporaryDirectory() as name:
        tokens = ours(corpus, tokenizer, Path(name), 1)
    assert tokens == encode_batch_alone(texts, tokenizer)
    report(times, sum(len(text.encode()) for text in texts) / 1e6, tokens, options.json)


def report(times: dict[str, list[float]], megabytes: float, tokens: int, as_json: bool) -> None:
    medians = {way: statistics.median(values) for way, values in times.items()}
    if as_json:
        print(json.dumps({"megabytes": megabytes, "tokens": tokens, "seconds": times}))
        return
    base = min(seconds for way, seconds in medians.items() if way.startswith("lilliput"))
    print(f"{megabytes:.1f} MB, {tokens:,} tokens; {made.versions()}")
    print("| way | median s | spread s | MB/s | time / best of ours |")
    print("|---|---|---|---|---|")
    for way, values in times.items():
        spread = f"{min(values):.2f}-{max(values):.2f}"
        speed = megabytes / medians[way]
        print(
            f"| {way} | {medians[way]:.2f} | {spread} | {speed:.1f} | {medians[way] / base:.2f} |"
        )


if __name__ == "__main__":
    main()
