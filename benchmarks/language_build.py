"""A whole build, Parquet in to constrained Parquet out, against the same build with the plain rule.

The peer is this project's own build in which the scanner is replaced by the usual way of Python:
one regular expression, one set, the window arithmetic of `language_filter.py`; reading, hashing,
duplicates, splits and writing are the same code. Both use two processes. Each takes its turn in
every round; wall time is measured, start of the processes included.

    python benchmarks/language_build.py TEXTS.parquet --vocabulary words.csv
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lilliput.core.executors import ProcessExecutor
from lilliput.language import CorpusSettings, build_corpus, read_vocabulary
from lilliput.language.corpus import build as build_module
from lilliput.language.corpus import filtering, writing
from lilliput.language.spans.finder import FoundSpans, SpanFinder

SPAN, STRIDE, LEAST = 110, 30, 32
WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
PIECE = re.compile(r"\S+")


class PlainFinder(SpanFinder):
    """Windows of whitespace words by regular expressions and a set."""

    def __init__(self, settings: CorpusSettings, vocabulary: Any) -> None:
        self.settings = settings
        self.words = vocabulary.looked_up(settings.profile)

    def find(self, texts: pa.Array) -> FoundSpans:
        texts = texts.cast(pa.large_string())
        offsets = np.frombuffer(texts.buffers()[1], np.int64, len(texts) + 1, texts.offset * 8)
        rows: list[np.ndarray] = []
        read = missed = 0
        for document, text in enumerate(texts.to_pylist()):
            bounds = np.array([match.span() for match in PIECE.finditer(text)], np.int64)
            if not bounds.size:
                continue
            lowered = text.lower().replace("’", "'")
            matches = [(match.start(), match.group()) for match in WORD.finditer(lowered)]
            flags = [word.replace("'", "") not in self.words for _, word in matches]
            missed_before = np.concatenate([[0], np.cumsum(flags)])
            words = np.searchsorted([at for at, _ in matches], [*bounds[:, 0], len(text)])
            unknown = missed_before[words]
            read, missed = read + int(words[-1]), missed + int(unknown[-1])
            if not text.isascii():
                widths = np.cumsum([0, *(len(character.encode()) for character in text)])
                bounds = widths[bounds]
            first = np.arange(0, len(bounds), STRIDE)
            last = np.minimum(first + SPAN, len(bounds))
            count, bad = words[last] - words[first], unknown[last] - unknown[first]
            verdict = np.where(bad > 0, 1, np.where(count < LEAST, 2, 0))
            ends = bounds + offsets[document]
            rows.append(np.stack([np.full(first.size, document), ends[first, 0], ends[last - 1, 1],
                                  first, last, count, verdict], axis=1))  # fmt: skip
        table = np.concatenate(rows) if rows else np.zeros((0, 7), np.int64)
        return FoundSpans(texts, *table.astype(np.int64).T, words_read=read, unknown_read=missed)


class PlainCounter:
    """Occurrences of each word by the same regular expression."""

    def __init__(self, *_: Any) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, texts: pa.Array) -> np.ndarray:
        for text in texts.to_pylist():
            self.counts.update(w.replace("'", "") for w in WORD.findall(text.lower()))
        return np.full(len(texts), np.nan)


class NothingLacking:
    """The peer does not look for words to add."""

    def __init__(self, finder: Any) -> None: ...

    def add(self, found: Any) -> None: ...

    def as_table(self) -> pa.Table:
        return pa.table({"word": pa.array([], pa.string()), "occurrences": pa.array([], pa.int64()),
                         "gained": pa.array([], pa.int64())})  # fmt: skip


def filter_plainly(task: filtering.FilterTask) -> dict[str, Any]:
    filtering.SpanFinder, filtering.WordsToAdd = PlainFinder, NothingLacking
    return filtering.filter_shard(task)


def write_plainly(task: writing.WriteTask) -> dict[str, Any]:
    writing.WordCounter = PlainCounter
    return writing.write_shard(task)


def timed(given: argparse.Namespace, texts: Path, out: Path) -> tuple[float, dict[str, Any]]:
    rule = CorpusSettings(span_shape="windows", min_words=LEAST, shard_bytes=given.shard_mb << 20)
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    with ProcessExecutor(2) as executor:
        facts = build_corpus(
            [texts], read_vocabulary(given.vocabulary), out, rule, executor=executor
        )
    return time.perf_counter() - started, facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--repeat", type=int, default=1, help="Copies of the text, each salted.")
    parser.add_argument("--shard-mb", type=int, default=4)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {"lilliput": [], "regex + set": []}
    facts: dict[str, dict[str, Any]] = {}
    fast = build_module.filter_shard, build_module.write_shard
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.parquet"
        column = parquet.read_table(given.texts, columns=["text"])["text"].to_pylist()
        sizes = np.cumsum([len(text.encode()) for text in column])
        chosen = column[: int(np.searchsorted(sizes, given.megabytes * 1e6))]
        salted = [f"{text}\n{n}" for n in range(given.repeat) for text in chosen]
        parquet.write_table(pa.table({"text": salted}), texts, row_group_size=1000)
        for number in range(given.rounds):
            for name, parts in (
                ("lilliput", fast),
                ("regex + set", (filter_plainly, write_plainly)),
            ):
                build_module.filter_shard, build_module.write_shard = parts
                taken, facts[name] = timed(given, texts, Path(folder) / "out")
                seconds[name].append(taken)
                print(f"round {number}: {name} {taken:.2f} s", flush=True)
    size = facts["lilliput"]["bytes_in"] / 1e6
    print(f"{size:.1f} MB of text, {given.rounds} rounds, 2 processes")
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        print(f"{name:12s} {middle:6.2f} s ({min(taken):.2f} to {max(taken):.2f}), "
              f"{size / middle:6.1f} MB/s; kept {facts[name]['kept']:,} of {facts[name]['spans']:,}")  # fmt: skip
    ratio = statistics.median(seconds["regex + set"]) / statistics.median(seconds["lilliput"])
    print(f"ratio of medians {ratio:.1f}x")


if __name__ == "__main__":
    main()
