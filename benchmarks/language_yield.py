"""How many words of each source survive each word profile, with its own default span rule.

python benchmarks/language_yield.py CORPORA_FOLDER --vocabulary words.csv
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from lilliput.language import iter_documents, read_vocabulary
from lilliput.language.corpus.counts import SpanCounts
from lilliput.language.spans.finder import SpanFinder
from lilliput.language.spans.settings import SpanSettings
from lilliput.language.spans.verdicts import KEPT

# In `paper`, windows overlap; without the overlap its figure is comparable with the other two.
RULES = {
    "paper": SpanSettings(word_profile="paper", overlap="remove", stride_words=1),
    "cpp": SpanSettings(word_profile="cpp"),
    "modern": SpanSettings(word_profile="modern"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--vocabulary", type=Path, required=True)
    given = parser.parse_args()
    vocabulary = read_vocabulary(given.vocabulary)
    finders = {name: SpanFinder(rule, vocabulary) for name, rule in RULES.items()}
    kept: dict[str, Counter[str]] = {}
    for batch in iter_documents(sorted(given.corpora.glob("*/*.parquet")), on_error="skip"):
        for name, finder in finders.items():
            found = finder.find(batch.column("text"))
            counts = SpanCounts()
            counts.add_batch(batch, found)
            sources = np.array(batch.column("source").to_pylist())[found.document]
            length = found.last_word - found.first_word
            for source in counts.sources:
                rows = (sources == source) & (found.verdict == KEPT)
                kept.setdefault(source, Counter())[name] += int(length[rows].sum())
            if name == "modern":
                for source in counts.sources:
                    own = np.array(batch.column("source").to_pylist()) == source
                    texts = batch.column("text").filter(pa.array(own)).to_pylist()
                    kept[source]["words"] += sum(len(text.split()) for text in texts if text)
    print("| source | words | paper | cpp | modern |\n| --- | --- | --- | --- | --- |")
    for source, counts in [*sorted(kept.items()), ("all", sum(kept.values(), Counter()))]:
        cells = (f"{counts[name]:,}" for name in ("words", *RULES))
        print(f"| {source} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
