"""The five kinds of tokenizer: how each cuts text into pieces, and how its model is assembled."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from lilliput.core.errors import ConfigurationError
from lilliput.tokenization.settings import KindName
from lilliput.tokenization.special import SPECIAL_IDS, UNK, add_special_tokens

CONTINUING = "##"
_LONGEST_WORD = 100  # Characters; WordPiece tries every prefix of a longer one.


@dataclass(frozen=True)
class TokenizerKind:
    """Describe one kind of tokenizer.

    Attributes:
        name: As users write it.
        scheme: Kinds of one scheme cut text into the same pieces.
        algorithm: "bpe" or "unigram": what trains the vocabulary. Kinds with equal scheme and
            algorithm share one training.
        pre_tokenizer: Makes the pieces; no token crosses their borders.
        decoder: Joins tokens back into text.
        continuing: Mark of pieces inside a word, or nothing.
    """

    name: KindName
    scheme: str
    algorithm: str
    pre_tokenizer: Callable[[], Any]
    decoder: Callable[[], Any]
    continuing: str = ""

    @property
    def training(self) -> tuple[str, str]:
        """Return what kinds that are trained together have in common."""
        return self.scheme, self.algorithm


def _byte_level() -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def _metaspace() -> Any:
    """Return a pre-tokenizer that turns spaces into the mark of a word's start; punctuation stands alone, as in SentencePiece."""
    return pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])


def _marked_inside() -> Any:
    return decoders.WordPiece(prefix=CONTINUING, cleanup=False)


_BERT = pre_tokenizers.BertPreTokenizer
KIND: Mapping[str, TokenizerKind] = {
    kind.name: kind
    for kind in (
        TokenizerKind("byte-bpe", "bytes", "bpe", _byte_level, decoders.ByteLevel),
        TokenizerKind("bpe", "words", "bpe", _BERT, _marked_inside, CONTINUING),
        TokenizerKind("wordpiece", "words", "bpe", _BERT, _marked_inside, CONTINUING),
        TokenizerKind("unigram", "spaces", "unigram", _metaspace, decoders.Metaspace),
        TokenizerKind("sentencepiece-bpe", "spaces", "bpe", _metaspace, decoders.Metaspace),
    )
}


def parse_kinds(names: Sequence[str]) -> list[KindName]:
    """Return the kinds that a user has named.

    Raises:
        ConfigurationError: No kind has one of these names.
    """
    for name in names:
        if name not in KIND:
            near = difflib.get_close_matches(name, KIND, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Use one of: {', '.join(KIND)}."
            raise ConfigurationError(
                "the kind of tokenizer must be known", got=repr(name), remedy=hint
            )
    return [KIND[name].name for name in names]


def assemble_bpe(
    kind: TokenizerKind, tokens: Sequence[str], merges: Sequence[tuple[str, str]]
) -> Tokenizer:
    """Return a tokenizer of a BPE-trained kind from its tokens (in order of their ids) and merges."""
    vocab = {token: position for position, token in enumerate(tokens)}
    if kind.name == "wordpiece":
        model: Any = models.WordPiece(
            vocab,
            unk_token=UNK,
            max_input_chars_per_word=_LONGEST_WORD,
            continuing_subword_prefix=CONTINUING,
        )
    elif kind.scheme == "bytes":
        model = models.BPE(vocab, list(merges))
    else:
        prefix = {"continuing_subword_prefix": kind.continuing} if kind.continuing else {}
        model = models.BPE(vocab, list(merges), unk_token=UNK, **prefix)
    return _finished(Tokenizer(model), kind)


def assemble_unigram(kind: TokenizerKind, pieces: Sequence[tuple[str, float]]) -> Tokenizer:
    """Return a Unigram tokenizer from its pieces with their log-probabilities, in order of their ids."""
    return _finished(Tokenizer(models.Unigram(list(pieces), unk_id=SPECIAL_IDS.unk)), kind)


def _finished(tokenizer: Tokenizer, kind: TokenizerKind) -> Tokenizer:
    tokenizer.pre_tokenizer = kind.pre_tokenizer()
    tokenizer.decoder = kind.decoder()
    add_special_tokens(tokenizer)
    return tokenizer
