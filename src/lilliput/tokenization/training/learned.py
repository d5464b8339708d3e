"""Learn vocabularies with the upstream trainers, and cut smaller ones from them.

Byte-pair encoding learns its merges one after another, so the vocabulary of k tokens is a prefix of any
larger one: one training at the largest size serves all sizes. The merges are read from the trainer's
result and a tokenizer is assembled anew, which fixes the order of ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lilliput.core.errors import ConfigurationError
from lilliput.tokenization.special import SPECIAL_TOKENS, UNK
from lilliput.tokenization.training.kinds import TokenizerKind, assemble_bpe, assemble_unigram
from lilliput.tokenization.training.pieces import Pieces

_LONGEST_PIECE = 16  # Characters of a Unigram piece, as in SentencePiece.


@dataclass(frozen=True)
class BpeVocabulary:
    """Tokens in the order in which they were learned.

    Attributes:
        base: Special tokens and single characters.
        merges: Pairs in order.
        continuing: Mark of pieces inside a word, or nothing.
    """

    base: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    continuing: str

    def cut(self, vocab_size: int) -> tuple[list[str], list[tuple[str, str]]]:
        """Return the tokens and merges of the vocabulary of at most `vocab_size` tokens.

        A merge that makes a token which another merge made before adds no token.
        """
        tokens = dict.fromkeys(self.base)
        merges: list[tuple[str, str]] = []
        for left, right in self.merges:
            if len(tokens) >= vocab_size:
                break
            merges.append((left, right))
            tokens[left + right.removeprefix(self.continuing)] = None
        return list(tokens), merges


def learn_bpe(
    kind: TokenizerKind, pieces: Pieces, vocab_size: int, min_frequency: int
) -> BpeVocabulary:
    """Learn a BPE vocabulary of at most `vocab_size` tokens; the same pieces give the same one.

    The trainer numbers the marked characters (`##a`) in the order of a hash table, which changes from
    run to run; given as special tokens they have fixed numbers, and ties are broken alike every time.
    """
    marked = [kind.continuing + character for character in pieces.alphabet if kind.continuing]
    base = (*SPECIAL_TOKENS, *marked, *pieces.alphabet)
    _require_room(kind, vocab_size, len(base))
    options: dict[str, Any] = {"continuing_subword_prefix": kind.continuing} if marked else {}
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        special_tokens=[*SPECIAL_TOKENS, *marked],
        initial_alphabet=list(pieces.alphabet),
        limit_alphabet=len(pieces.alphabet),
        **options,
    )
    model = _train(models.BPE(**options), trainer, pieces.feed())
    merges = tuple((left, right) for left, right in model["merges"])
    return BpeVocabulary(base, merges, kind.continuing)


def cut_bpe(vocabulary: BpeVocabulary, kind: TokenizerKind, vocab_size: int) -> Tokenizer:
    """Return the tokenizer of `kind` with at most `vocab_size` tokens.

    Raises:
        ConfigurationError: The special tokens and the alphabet alone need more.
    """
    _require_room(kind, vocab_size, len(vocabulary.base))
    tokens, merges = vocabulary.cut(vocab_size)
    return assemble_bpe(kind, tokens, merges)


def learn_unigram(kind: TokenizerKind, pieces: Pieces, vocab_size: int) -> Tokenizer:
    """Learn a Unigram tokenizer; two trainings on the same pieces may differ in the last digits.

    Raises:
        ConfigurationError: The special tokens and the alphabet alone need more.
    """
    _require_room(kind, vocab_size, len(SPECIAL_TOKENS) + len(pieces.alphabet))
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        show_progress=False,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=list(pieces.alphabet),
        unk_token=UNK,
        max_piece_length=_LONGEST_PIECE,
    )
    model = _train(models.Unigram(), trainer, pieces.feed())
    return assemble_unigram(kind, [(piece, score) for piece, score in model["vocab"]])


def _train(model: Any, trainer: Any, text: Iterator[str]) -> dict[str, Any]:
    """Run an upstream trainer on pieces joined by spaces; the trained model as plain data."""
    learner = Tokenizer(model)
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(text, trainer)
    return json.loads(learner.to_str())["model"]


def _require_room(kind: TokenizerKind, vocab_size: int, needed: int) -> None:
    if vocab_size < needed:
        raise ConfigurationError(
            f"vocab_size of {kind.name} must hold the special tokens and the alphabet, {needed} in all",
            got=vocab_size,
            remedy=f"Use {needed} or more"
            + ("." if kind.scheme == "bytes" else ", or a lower character_coverage."),
        )
