"""Peak memory of a build on a large input beside a tenth of it; one process, inline.

The input is made by repeating a text with salt inside, so that spans differ. Each build runs in a
process of its own, whose largest resident size the system reports.

    python benchmarks/language_memory.py TEXTS.parquet --vocabulary words.csv
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from lilliput.language import CorpusSettings, build_corpus, read_vocabulary


def make_input(texts: list[str], megabytes: float, out: Path) -> None:
    """Copies of the texts until there are so many megabytes; each names its round in two places."""
    schema = pa.schema([("text", pa.string())])
    left = megabytes * 1e6
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        number = 0
        while left > 0:
            salt = "".join("abcdefghij"[int(digit)] for digit in str(number))
            for first in range(0, len(texts), 1000):
                batch = [
                    f"{text} {salt} {text[:200]} {salt}." for text in texts[first : first + 1000]
                ]
                writer.write_table(pa.table({"text": batch}, schema))
                left -= sum(map(len, batch))
                if left <= 0:
                    break
            number += 1


def build(texts: Path, vocabulary: Path, out: Path) -> None:
    started = time.perf_counter()
    rule = CorpusSettings(word_profile="cpp")  # Keeps most, hence the most duplicates to find.
    facts = build_corpus([texts], read_vocabulary(vocabulary), out, rule)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{facts['bytes_in'] / 1e6:8.1f} MB in, peak {peak:6.1f} MB, "
          f"{time.perf_counter() - started:6.1f} s, kept {facts['kept']:,} of {facts['spans']:,} spans, "
          f"written {facts['written']:,}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=2000)
    parser.add_argument("--out", type=Path, help="Build the corpus of TEXTS here, and only that.")
    given = parser.parse_args()
    if given.out:
        build(given.texts, given.vocabulary, given.out)
        return
    texts = parquet.read_table(given.texts, columns=["text"])["text"].to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        for part in (0.1, 1):
            made = Path(folder) / "texts.parquet"
            make_input(texts, part * given.megabytes, made)
            subprocess.run(
                [sys.executable, __file__, str(made), "--vocabulary", str(given.vocabulary),
                 "--out", f"{folder}/corpus-{part:g}"],
                check=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
