"""Which 110-word spans of real English survive a vocabulary: the scanner against what else is used.

Each way gets the same documents and takes its turn in every round, on one thread; CPU seconds of
the process are counted, since other work may share the machine. The work timed is the decision:
from texts in memory to the number of windows that pass. CountVectorizer gets a tenth of the
documents, and must keep the same windows of them as the profile `paper` does. The others need
only come close: they count words as their pattern finds them, which is less work than ours. The
last row is a plain pass over the same bytes, the limit of any filter.

    python benchmarks/language_filter.py TEXTS.parquet --vocabulary words.csv
"""

from __future__ import annotations

# ruff: noqa: E402  (thread counts are read when the libraries are imported)
import os

for variable in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import argparse
import json
import platform
import re
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lilliput.language import read_vocabulary, word_profile
from lilliput.language.spans.finder import SpanFinder, buffers
from lilliput.language.spans.settings import SpanSettings

SPAN, STRIDE, BATCH = 110, 30, 1000


def windows(text: str) -> list[str]:
    words = text.lower().split(" ")
    return [" ".join(words[i : i + SPAN]) for i in range(0, len(words), STRIDE)]


def as_the_paper(texts: list[str], words: frozenset[str]) -> int:
    """CountVectorizer over batches of 1,000 overlapping spans, through a dense frame."""
    import pandas as pd
    from sklearn.feature_extraction.text import CountVectorizer

    spans = [span for text in texts for span in windows(text)]
    kept = 0
    for first in range(0, len(spans), BATCH):
        cleaned = [re.sub(r"http\S*", "#HLINK", re.sub(r"\b\d+", "#NUMBER ", s.replace("-", " ")))
                   for s in spans[first : first + BATCH]]  # fmt: skip
        vectorizer = CountVectorizer()
        counts = vectorizer.fit_transform(cleaned).toarray()
        frame = pd.DataFrame(counts, columns=vectorizer.get_feature_names_out())
        unknown = [name for name in frame.columns if name not in words]
        is_clean = (frame[unknown].sum(axis=1) == 0) & (frame.sum(axis=1) > 40)
        kept += int(is_clean.sum())
    return kept


def count_windows(unknown: np.ndarray) -> int:
    """Windows without an unknown word, by its flags in order."""
    before = np.concatenate([[0], np.cumsum(unknown)])
    starts = np.arange(0, len(unknown), STRIDE)
    stops = np.minimum(starts + SPAN, len(unknown))
    return int(((before[stops] == before[starts]) & (stops - starts > 40)).sum())


def by_regex(texts: list[str], words: frozenset[str]) -> int:
    """One pattern, one set, the same window arithmetic."""
    pattern = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
    kept = 0
    for text in texts:
        flags = [word.replace("'", "") not in words for word in pattern.findall(text.lower())]
        kept += count_windows(np.array(flags, dtype=np.int32))
    return kept


def by_polars(texts: list[str], words: frozenset[str]) -> int:
    """`extract_all` and `is_in`, offsets of documents by their lengths."""
    import polars as pl

    frame = pl.DataFrame({"text": texts}).select(
        pl.col("text").str.to_lowercase().str.extract_all(r"[a-z0-9']+")
    )
    lengths = frame["text"].list.len().to_numpy().astype(np.int64)
    flags = frame["text"].explode().is_in(list(words)).not_().fill_null(False).to_numpy()
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    return sum(count_windows(flags[a:b]) for a, b in pairwise(bounds.tolist()))


def by_tokenizers(texts: list[str], words: frozenset[str]) -> int:
    """A WordLevel tokenizer, its unknown id as the flag."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    ids = {word: rank for rank, word in enumerate(sorted(words - {"[UNK]"}), start=1)}
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0} | ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("[^a-z0-9']+"), "removed")
    kept = 0
    for first in range(0, len(texts), BATCH):
        for encoding in tokenizer.encode_batch_fast(texts[first : first + BATCH]):
            kept += count_windows(np.array(encoding.ids) == 0)
    return kept


def measure(
    ways: dict[str, tuple[Callable[[], int], int]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """MB/s of each way in each round, ways in turns, and the windows that each keeps."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    kept: dict[str, int] = {}
    for _ in range(rounds):
        for name, (work, size) in ways.items():
            started = time.process_time()
            kept[name] = work()
            speeds[name].append(size / 1e6 / (time.process_time() - started))
    return speeds, kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()

    column = parquet.read_table(given.texts)["text"].combine_chunks().cast(pa.large_string())
    ends = buffers(column)[0][1:]
    texts = column[: int(np.searchsorted(ends, given.megabytes * 1e6))]
    part = texts[: max(1, len(texts) // 10)]
    vocabulary = read_vocabulary(given.vocabulary)
    paper, modern = (vocabulary.looked_up(word_profile(p)) for p in ("paper", "modern"))
    rules = {p: SpanSettings(word_profile=p, span_shape="windows", min_words=41) for p in ("paper", "modern", "cpp")}  # fmt: skip
    finders = {name: SpanFinder(rule, vocabulary) for name, rule in rules.items()}
    for finder in finders.values():
        finder.find(texts[:10])
    data = buffers(pa.concat_arrays([texts]))[1]
    plain, few = texts.to_pylist(), part.to_pylist()
    size, small = (int(pa.compute.sum(pa.compute.binary_length(t)).as_py()) for t in (texts, part))
    ways: dict[str, tuple[Callable[[], int], int]] = {
        **{f"lilliput, {p}": (lambda f=f: int((f.find(texts).verdict == 0).sum()), size) for p, f in finders.items()},
        "CountVectorizer, dense (paper)": (lambda: as_the_paper(few, paper), small),
        "regex + set": (lambda: by_regex(plain, modern), size),
        "polars": (lambda: by_polars(plain, modern), size),
        "tokenizers WordLevel": (lambda: by_tokenizers(plain, modern), size),
        "copy of the bytes": (lambda: int(data.copy()[0]), size),
    }  # fmt: skip
    by_the_paper = as_the_paper(few, paper)
    ours = int((finders["paper"].find(part).verdict == 0).sum())
    if ours != by_the_paper:
        raise SystemExit(f"CountVectorizer keeps {by_the_paper} windows, the scanner {ours}.")
    speeds, kept = measure(ways, given.rounds)
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    best = max(medians[n] for n in ("regex + set", "polars", "tokenizers WordLevel"))
    record = {
        "machine": platform.machine(), "megabytes": size / 1e6, "rounds": given.rounds,
        "mb_per_s": {n: {"median": medians[n], "low": min(s), "high": max(s)} for n, s in speeds.items()},
        "kept_windows": {n: k for n, k in kept.items() if "copy" not in n},
        "paper_over_countvectorizer": medians["lilliput, paper"] / medians["CountVectorizer, dense (paper)"],
        "modern_over_best_other": medians["lilliput, modern"] / best,
    }  # fmt: skip
    if given.json:
        print(json.dumps(record))
        return
    print(f"{size / 1e6:.1f} MB, {given.rounds} rounds, MB per CPU second: median (low to high)")
    for name, found in speeds.items():
        print(
            f"{name:34s} {medians[name]:9.2f} ({min(found):.2f} to {max(found):.2f})"
            + ("" if "copy" in name else f"   keeps {kept[name]:,}")
        )
    print(f"paper / CountVectorizer {record['paper_over_countvectorizer']:.1f}x")
    print(f"modern / best of the others {record['modern_over_best_other']:.1f}x")


if __name__ == "__main__":
    main()
