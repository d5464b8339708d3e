"""The whole study of 5 kinds x 6 sizes, beside the peers' way, in pieces.

    python benchmarks/tokenization_study.py TEXTS.parquet --words 20000000 --work DIR --part lilliput
    python benchmarks/tokenization_study.py TEXTS.parquet --words 20000000 --work DIR --part peers --kinds bpe
    python benchmarks/tokenization_study.py TEXTS.parquet --work DIR --part table

The peers' way trains each of the 30 tokenizers from the text with the same library and the same
pre-tokenizers, then encodes the words of 10,000 documents one by one in Python for the split ratio, as
the paper's released code did. Ours counts words once, trains the kinds built on byte-pair encoding once
at the largest size, and measures nine things more than the peers' way, with intervals.

Every piece adds its seconds to DIR/times.jsonl, wall and processor seconds (of all threads). On a machine
that is shared with other work compare processor seconds. A kind's sizes that the peers' way was not given time for are
filled by the mean of its others, and the table says how many there were.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import _tokenization_corpus as made
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lilliput.core.artefacts import read_manifest
from lilliput.core.progress import PlainReporter
from lilliput.tokenization import KINDS, SPECIAL_TOKENS, compare_tokenizers, train_tokenizers
from lilliput.tokenization.counting.texts import texts_of
from lilliput.tokenization.training.kinds import KIND

SIZES = (1000, 2000, 5000, 10_000, 20_000, 40_000)
DOCUMENTS = 10_000


def peer_train(kind: str, size: int, texts: list[str]) -> Tokenizer:
    special = list(SPECIAL_TOKENS)
    common = {"vocab_size": size, "special_tokens": special, "show_progress": False}
    if kind == "byte-bpe":
        tokenizer = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), min_frequency=2, **common
        )
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        trainer = trainers.WordPieceTrainer(min_frequency=2, limit_alphabet=100, **common)
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(unk_token="<unk>", **common)
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        trainer = trainers.BpeTrainer(min_frequency=2, limit_alphabet=100, **common)
    tokenizer.pre_tokenizer = KIND[kind].pre_tokenizer()
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def peer_split_ratio(tokenizer: Tokenizer, texts: list[str]) -> float:
    words = [word for text in texts[:DOCUMENTS] for word in text.split()]
    return sum(len(tokenizer.encode(word, add_special_tokens=False).ids) for word in words) / len(
        words
    )


def cpu_s() -> float:
    """Processor seconds of this process and its children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def record(work: Path, **facts: object) -> None:
    with (work / "times.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\n")
    print(facts, flush=True)


def time_peers(work: Path, corpus: Path, kinds: list[str], sizes: list[int]) -> None:
    texts = [text for batch in texts_of(corpus, "train") for text in batch]
    for kind in kinds:
        for size in sizes:
            wall, cpu = time.perf_counter(), cpu_s()
            ratio = peer_split_ratio(peer_train(kind, size, texts), texts)
            seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": cpu_s() - cpu}
            record(work, way="peers", kind=kind, size=size, ratio=ratio, **seconds)


def time_ours(work: Path, corpus: Path) -> None:
    wall, cpu = time.perf_counter(), cpu_s()
    reporter = PlainReporter()
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        folders = train_tokenizers(corpus, out, KINDS, SIZES, reporter=reporter)
        trained = {"trained_wall_s": time.perf_counter() - wall, "trained_cpu_s": cpu_s() - cpu}
        compare_tokenizers(corpus, folders, out / "comparison", reporter=reporter)
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": cpu_s() - cpu}
    record(work, way="lilliput", **trained, **seconds)


def print_table(work: Path, corpus: Path) -> None:
    lines = (work / "times.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    ours = [row for row in rows if row["way"] == "lilliput"]
    print(f"{read_manifest(corpus).settings['words']:,} words; {made.versions()}\n")
    print("| way | kind | timed | wall s | processor s |\n|---|---|---|---|---|")
    total = {"wall_s": 0.0, "cpu_s": 0.0}
    for kind in KINDS:
        timed = [row for row in rows if row["way"] == "peers" and row["kind"] == kind]
        if not timed:
            continue
        whole = {key: statistics.mean(r[key] for r in timed) * len(SIZES) for key in total}
        total = {key: total[key] + whole[key] for key in total}
        print(f"| peers | {kind} | {len(timed)} of {len(SIZES)} | {whole['wall_s']:.0f} | {whole['cpu_s']:.0f} |")  # fmt: skip
    mine = {key: statistics.median(row[key] for row in ours) for key in total}
    print(f"| lilliput | all | {len(ours)} times | {mine['wall_s']:.0f} | {mine['cpu_s']:.0f} |")
    print(f"| ratio | | | {total['wall_s'] / mine['wall_s']:.1f} | {total['cpu_s'] / mine['cpu_s']:.1f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--words", type=int, default=20_000_000)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--part", choices=["lilliput", "peers", "table"], required=True)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    corpus = made.make_corpus(options.texts, options.work / "corpus", options.words, shards=4)
    if options.part == "lilliput":
        time_ours(options.work, corpus)
    elif options.part == "peers":
        time_peers(options.work, corpus, options.kinds, options.sizes)
    else:
        print_table(options.work, corpus)


if __name__ == "__main__":
    main()
