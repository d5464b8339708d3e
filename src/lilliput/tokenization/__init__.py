"""The way from text to tokens: train tokenizers of five kinds, measure and pick one, encode a corpus.

A reduced language wants a tokenizer of its own. This room trains candidates on the train split of a
corpus, puts them (and any existing ones) into one table of measures, picks one by a stated rule, and
encodes the corpus into the token store: tokens and document offsets in plain NumPy files, which training
maps into memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.core.lazy import lazy_attributes

if TYPE_CHECKING:
    from lilliput.tokenization.comparison.choice import TokenizerChoice, choose_tokenizer
    from lilliput.tokenization.comparison.compare import (
        TokenizerComparison,
        TokenizerRow,
        compare_tokenizers,
    )
    from lilliput.tokenization.comparison.morphology import (
        PAPER_WORDS,
        exact_match_score,
        exact_match_score_first,
        read_segmentations,
    )
    from lilliput.tokenization.counting.texts import find_corpus
    from lilliput.tokenization.encoding.encode import EncodeResult, encode_corpus
    from lilliput.tokenization.encoding.estimate import StoreEstimate, estimate_store
    from lilliput.tokenization.find import default_tokenizer, find_tokenizer
    from lilliput.tokenization.folder import LoadedTokenizer, load_tokenizer
    from lilliput.tokenization.settings import (
        KINDS,
        CompareSettings,
        KindName,
        TokenizerSettings,
        TrainingTextSettings,
    )
    from lilliput.tokenization.special import SPECIAL_IDS, SPECIAL_TOKENS, SpecialIds
    from lilliput.tokenization.store import TokenStore, open_store
    from lilliput.tokenization.training.kinds import parse_kinds
    from lilliput.tokenization.training.train import train_tokenizer, train_tokenizers

# Loaded when first asked for: a study is planned with this room's settings alone.
_LATER = {
    "default_tokenizer": "find",
    "find_tokenizer": "find",
    "TokenizerComparison": "comparison.compare",
    "TokenizerRow": "comparison.compare",
    "compare_tokenizers": "comparison.compare",
    "EncodeResult": "encoding.encode",
    "encode_corpus": "encoding.encode",
    "LoadedTokenizer": "folder",
    "load_tokenizer": "folder",
    "StoreEstimate": "encoding.estimate",
    "estimate_store": "encoding.estimate",
    "parse_kinds": "training.kinds",
    "PAPER_WORDS": "comparison.morphology",
    "exact_match_score": "comparison.morphology",
    "exact_match_score_first": "comparison.morphology",
    "read_segmentations": "comparison.morphology",
    "TokenizerChoice": "comparison.choice",
    "choose_tokenizer": "comparison.choice",
    "KINDS": "settings",
    "CompareSettings": "settings",
    "KindName": "settings",
    "TokenizerSettings": "settings",
    "TrainingTextSettings": "settings",
    "SPECIAL_IDS": "special",
    "SPECIAL_TOKENS": "special",
    "SpecialIds": "special",
    "TokenStore": "store",
    "open_store": "store",
    "find_corpus": "counting.texts",
    "train_tokenizer": "training.train",
    "train_tokenizers": "training.train",
}

__all__ = [
    "KINDS",
    "PAPER_WORDS",
    "SPECIAL_IDS",
    "SPECIAL_TOKENS",
    "CompareSettings",
    "EncodeResult",
    "KindName",
    "LoadedTokenizer",
    "SpecialIds",
    "StoreEstimate",
    "TokenStore",
    "TokenizerChoice",
    "TokenizerComparison",
    "TokenizerRow",
    "TokenizerSettings",
    "TrainingTextSettings",
    "choose_tokenizer",
    "compare_tokenizers",
    "default_tokenizer",
    "encode_corpus",
    "estimate_store",
    "exact_match_score",
    "exact_match_score_first",
    "find_corpus",
    "find_tokenizer",
    "load_tokenizer",
    "open_store",
    "parse_kinds",
    "read_segmentations",
    "train_tokenizer",
    "train_tokenizers",
]

__getattr__ = lazy_attributes(__name__, _LATER)
