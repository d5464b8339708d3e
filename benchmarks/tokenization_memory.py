"""Peak memory of training and measuring a tokenizer on a corpus with ever more distinct words.

    python benchmarks/tokenization_memory.py --megabytes 500

The text is drawn from Zipf's law without an end, so that it meets new words for ever and the bound on
distinct words is reached early; from there on the memory must not depend on the corpus.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import _tokenization_corpus as made
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.artefacts import building, read_manifest
from lilliput.tokenization import (
    CompareSettings,
    TokenizerSettings,
    compare_tokenizers,
    train_tokenizer,
)

_EXPONENT = 1.35
_WORDS = 110
_LETTERS = np.array(list("etaoinshrdlucmfwypvbgkjq"))


def spell(number: int) -> str:
    """A word for each number, short for small ones."""
    letters = []
    while number:
        number, digit = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[digit])
    return "".join(letters)


def documents(megabytes: int) -> Iterator[list[str]]:
    rng = np.random.default_rng(0)
    written = 0
    while written < megabytes * 1_000_000:
        numbers = np.minimum(rng.zipf(_EXPONENT, (4096, _WORDS)), 10**12)
        texts = [" ".join(map(spell, row)) for row in numbers.tolist()]
        written += sum(map(len, texts))
        yield texts


def write(out: Path, megabytes: int) -> Path:
    with building(out, "corpus", 1, {"megabytes": megabytes}) as build:
        for shard, texts in enumerate(documents(megabytes)):
            split = ["validation" if i % 50 == 0 else "train" for i in range(len(texts))]
            pq.write_table(
                pa.table({"text": texts, "split": split}), build.path(f"shards/{shard:05d}.parquet")
            )
    return out


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--kind", default="byte-bpe")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        corpus = write(Path(name) / "corpus", options.megabytes)
        before, started = peak_mib(), time.perf_counter()
        settings = TokenizerSettings(kind=options.kind, vocab_size=40_000)
        folder = train_tokenizer(corpus, Path(name) / "tokenizer", settings)
        trained, seconds = peak_mib(), time.perf_counter() - started
        compare_tokenizers(corpus, [folder], settings=CompareSettings(resamples=200))
        facts = read_manifest(folder).facts
    keys = ("words", "words_dropped", "pieces")
    print(made.versions())
    print(json.dumps({"megabytes": options.megabytes, "kind": options.kind, "seconds": round(seconds)}
                     | {"peak_mib_before": before, "peak_mib_trained": trained, "peak_mib_compared": peak_mib()}
                     | {key: facts[key] for key in keys}))  # fmt: skip


if __name__ == "__main__":
    main()
