"""Which tokenizer suits these texts? Three kinds at two sizes, measured on text they did not see.

    python examples/compare_tokenizers.py FOLDER [OUT]

OUT keeps the corpus and every trained tokenizer; a second call finds them done.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from lilliput.language import CorpusSettings, Source, build_corpus, build_vocabulary
from lilliput.tokenization import TokenizerComparison, compare_tokenizers, train_tokenizers


def main(
    texts: str, out: str = "tokenizers-of-my-texts", sizes: Sequence[int] = (1000, 2000)
) -> TokenizerComparison:
    """The table of candidates and the one that was picked."""
    source = Source(path=texts, text_unit="section")  # A few long files are cut into documents.
    settings = CorpusSettings(min_words=12, validation_share=0.1, test_share=0.0)
    corpus = Path(out) / "corpus"
    build_corpus([source], build_vocabulary([source], coverage=0.98), corpus, settings)
    folders = train_tokenizers(corpus, Path(out), ["byte-bpe", "wordpiece", "unigram"], sizes)
    found = compare_tokenizers(corpus, folders, Path(out) / "comparison")
    for row in found.rows:
        low, high = row.intervals["word_split_ratio_in_context"]
        print(
            f"{row.name:<16}{row.word_split_ratio_in_context:.3f} tokens a word [{low:.3f}, {high:.3f}]"
        )
    print(f"Picked {found.picked.name}: {found.picked.rule}.")
    return found


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:3])
