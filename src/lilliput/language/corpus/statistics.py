"""What a corpus holds, in numbers: words, types, Zipf curve, coverage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lilliput.language.corpus.ages import sum_ages
from lilliput.language.corpus.settings import CorpusSettings
from lilliput.language.corpus.tally import Tally
from lilliput.language.words.vocabulary import Vocabulary

_ZIPF_RANKS = tuple(10**k * m for k in range(7) for m in (1, 2, 5))
_CURVE_SIZES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)


def corpus_statistics(
    types: Counter[str],
    written: Sequence[Mapping[str, Any]],
    tally: Tally,
    vocabulary: Vocabulary | None,
    settings: CorpusSettings,
) -> dict[str, Any]:
    """The statistics of the spans that were written.

    Args:
        types: Occurrences of each word in them.
        written: The records of the shards.
        tally: What was read.
        vocabulary: Admitted words; None admits all.
        settings: The rules.
    """
    ranked = sorted(types.items(), key=lambda item: (-item[1], item[0]))
    total = sum(types.values())
    result: dict[str, Any] = {
        "word_tokens": total,
        "word_types": len(types),
        "most_frequent": ranked[:50],
        "zipf": [[rank, ranked[rank - 1][1]] for rank in _ZIPF_RANKS if rank <= len(ranked)],
        "unknown_share_of_input": tally.counts["unknown_read"] / max(1, tally.counts["words_read"]),
    }
    if ages := sum_ages(record["ages"] for record in written):
        result["mean_age_of_first_use_months"] = ages
    if vocabulary is not None and total:
        admitted = vocabulary.looked_up(settings.profile)
        result["vocabulary_words_used"] = len(admitted & types.keys())
        sizes = [size for size in _CURVE_SIZES if size < len(vocabulary)] + [len(vocabulary)]
        result["coverage_by_size"] = vocabulary.coverage_curve(types, sizes)
    return result
