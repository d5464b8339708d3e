"""Peak memory of training, measuring and encoding on a corpus with ever more distinct words.

    python benchmarks/tokenization_memory.py TEXTS.parquet --megabytes 100
    python benchmarks/tokenization_memory.py TEXTS.parquet --megabytes 1000

The texts are repeated until the corpus is large enough, and every 40th word is replaced by one that occurs
nowhere else. So new words come for ever and the bound on distinct words is reached; from there
on the memory must not depend on the size of the corpus.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import _tokenization_corpus as made
import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.artefacts import building, read_manifest
from lilliput.tokenization import KINDS, compare_tokenizers, encode_corpus, train_tokenizers

_SHARD_BYTES = 100_000_000
_SALTED = 40  # One word of so many is new.
_LETTERS = "etaoinshrdlucmfwypvbgkjq"


def spell(number: int) -> str:
    """A word for each number, short for small ones."""
    letters = []
    while number:
        number, digit = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[digit])
    return "".join(letters)


def documents(sources: list[Path], megabytes: int) -> Iterator[list[str]]:
    """The texts of all sources again and again, each time with other words among them."""
    written = salted = 0
    for source in itertools.cycle(sources):
        for batch in pq.ParquetFile(source).iter_batches(2000, columns=["text"]):
            texts: list[str] = []
            for text in batch.column("text").to_pylist():
                words = text.split()
                for i in range(0, len(words), _SALTED):
                    words[i] = "q" + spell(salted)
                    salted += 1
                texts.append(" ".join(words))
            written += sum(map(len, texts))
            yield texts
            if written >= megabytes * 1_000_000:
                return


def write(sources: list[Path], out: Path, megabytes: int) -> Path:
    """A corpus of shards of about a hundred megabytes."""
    with building(out, "corpus", 1, {"megabytes": megabytes}) as build:
        schema = pa.schema({"text": pa.string(), "split": pa.string()})
        shard, writer, size = 0, None, 0
        for texts in documents(sources, megabytes):
            if writer is None or size > _SHARD_BYTES:
                if writer is not None:
                    writer.close()
                path = build.path(f"shards/{shard:05d}.parquet")
                writer, size, shard = (
                    pq.ParquetWriter(path, schema, compression="zstd"),
                    0,
                    shard + 1,
                )
            split = ["validation" if i % 50 == 0 else "train" for i in range(len(texts))]
            writer.write_table(pa.table({"text": texts, "split": split}, schema))
            size += sum(map(len, texts))
        writer.close()
    return out


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--vocab-size", type=int, default=40_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        corpus, out = Path(name) / "corpus", Path(name) / "tokenizers"
        # In a process of its own, since the peak of this one counts.
        writer = multiprocessing.get_context("spawn").Process(
            target=write, args=(options.texts, corpus, options.megabytes)
        )
        writer.start()
        writer.join()
        peaks = {"before": peak_mib()}
        folders = []
        for kind in options.kinds:
            folders += train_tokenizers(corpus, out, [kind], [options.vocab_size])
            peaks[f"{kind} trained"] = peak_mib()
        compare_tokenizers(corpus, folders)
        peaks["compared"] = peak_mib()
        encode_corpus(corpus, folders[0], Path(name) / "tokens")
        peaks["encoded"] = peak_mib()
        facts = read_manifest(folders[0]).facts
    print(f"{options.megabytes} MB of text, {facts['documents']:,} documents in the train split, "
          f"{facts['words']:,} words counted and {facts['words_dropped']:,} dropped; {made.versions()}\n")  # fmt: skip
    print("| after | peak, MiB |\n|---|---|")
    for step, peak in peaks.items():
        print(f"| {step} | {peak:,} |")


if __name__ == "__main__":
    main()
