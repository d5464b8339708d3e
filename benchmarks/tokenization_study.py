"""The whole study of 5 kinds x 6 sizes, beside the peers' way.

    python benchmarks/tokenization_study.py TEXTS.parquet --words 20000000

The peers' way trains each of the 30 tokenizers from the text with the same library and the same
pre-tokenizers, then encodes the words of 10,000 documents one by one in Python for the split ratio, as
the paper's released code did. Ours counts words once, trains the kinds built on byte-pair encoding once
at the largest size, and measures nine things more than the peers' way, with intervals. With --sizes-of-peer the peers' way is
timed on some of the sizes only and scaled up; the table says so.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import _tokenization_corpus as made
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lilliput.core.progress import PlainReporter
from lilliput.tokenization import KINDS, SPECIAL_TOKENS, compare_tokenizers, train_tokenizers
from lilliput.tokenization.kinds import KIND
from lilliput.tokenization.words import texts_of

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


def peers(corpus: Path, sizes: list[int]) -> dict[str, float]:
    texts = [text for batch in texts_of(corpus, "train") for text in batch]
    seconds: dict[str, float] = {}
    for kind in KINDS:
        for size in sizes:
            started = time.perf_counter()
            ratio = peer_split_ratio(peer_train(kind, size, texts), texts)
            seconds[f"{kind}-{size}"] = time.perf_counter() - started
            print(
                f"peer {kind}-{size}: {seconds[f'{kind}-{size}']:.1f} s, ratio {ratio:.3f}",
                flush=True,
            )
    return seconds


def ours(corpus: Path, out: Path) -> float:
    started = time.perf_counter()
    reporter = PlainReporter()
    folders = train_tokenizers(corpus, out, KINDS, SIZES, reporter=reporter)
    compare_tokenizers(corpus, folders, out / "comparison", reporter=reporter)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--words", type=int, default=20_000_000)
    parser.add_argument("--sizes-of-peer", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        corpus = made.make_corpus(options.texts, root / "corpus", options.words, shards=4)
        mine = ours(corpus, root / "tokenizers")
        print(f"lilliput, all {len(KINDS) * len(SIZES)}: {mine:.1f} s", flush=True)
        theirs = peers(corpus, options.sizes_of_peer)
    scaled = sum(theirs.values()) * len(SIZES) / len(options.sizes_of_peer)
    record = {
        "lilliput_s": mine,
        "peers_s": theirs,
        "peers_scaled_s": scaled,
        "ratio": scaled / mine,
    }
    print(
        json.dumps(record)
        if options.json
        else f"{made.versions()}\npeers {scaled:.0f} s, ratio {scaled / mine:.1f}"
    )


if __name__ == "__main__":
    main()
