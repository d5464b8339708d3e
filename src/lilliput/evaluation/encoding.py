"""Turn texts of examples into token ids, once, with the special tokens of the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lilliput.core.errors import ArtefactError, InputError
from lilliput.evaluation.tasks.examples import Examples
from lilliput.language import TextForm
from lilliput.tokenization import SPECIAL_IDS, LoadedTokenizer, SpecialIds, load_tokenizer

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class TokenizedText:
    """Hold one text as tokens.

    Attributes:
        ids: Token ids.
        word_numbers: For each token the number of its word, as the pre-tokenizer cuts words.
    """

    ids: tuple[int, ...]
    word_numbers: tuple[int, ...]


@dataclass(frozen=True)
class SequenceEncoder:
    """Hold a tokenizer and its special tokens.

    Attributes:
        loaded: Without truncation and padding; text that spells a special token is text.
        special: Its special ids.
    """

    loaded: LoadedTokenizer
    special: SpecialIds

    @classmethod
    def load(cls, folder: Path, text_form: TextForm | None = None) -> SequenceEncoder:
        """Return the tokenizer in `folder`.

        Args:
            folder: Where it lies.
            text_form: The form of the corpus that the model learned from; every text is brought into it
                first. None where it is not known: the tokenizer's own normalizer alone decides.

        Raises:
            InputError: There is no tokenizer.json.
            ArtefactError: It lacks a special token.
        """
        loaded = load_tokenizer(folder, text_form)
        return cls(loaded, _special_ids(loaded.backend, folder))

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones too."""
        return self.loaded.vocab_size

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens."""
        encodings = self.loaded.backend.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def tokenised(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Return the ids of each text with the words they belong to, without special tokens."""
        encodings = self.loaded.backend.encode_batch(list(texts), add_special_tokens=False)
        return [TokenizedText(tuple(e.ids), _word_numbers(e.word_ids)) for e in encodings]


def _word_numbers(numbers: Sequence[int | None]) -> tuple[int, ...]:
    """Tokens that belong to no word are words of their own."""
    return tuple(-1 - i if number is None else number for i, number in enumerate(numbers))


def _special_ids(tokenizer: Tokenizer, path: Path) -> SpecialIds:
    found: dict[str, int] = {}
    for name, token in (("bos", "<s>"), ("pad", "<pad>"), ("eos", "</s>"), ("mask", "<mask>")):
        number = tokenizer.token_to_id(token)
        if number is None:
            raise ArtefactError(
                f"{path} must define the special token {token}", got="no such token"
            )
        found[name] = int(number)
    return replace(SPECIAL_IDS, **found)


@dataclass(frozen=True)
class EncodedTexts:
    """Token sequences laid end to end.

    Attributes:
        tokens: All ids, int64, shape (tokens,).
        offsets: Start of each sequence and the end of the last, int64, shape (examples + 1,).
    """

    tokens: IntArray
    offsets: IntArray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> IntArray:
        """Tokens of each sequence, shape (examples,)."""
        return np.diff(self.offsets)

    def padded(self, rows: NDArray[np.intp], width: int, pad: int) -> IntArray:
        """Return the sequences at `rows`, padded on the right with `pad` to (len(rows), width)."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        columns = np.arange(width)
        is_token = columns < lengths[:, None]
        places = np.minimum(starts[:, None] + columns, len(self.tokens) - 1)
        return np.where(is_token, self.tokens[places], pad)


def lay_end_to_end(sequences: Sequence[Sequence[int]]) -> EncodedTexts:
    """Return the token sequences as one array with offsets."""
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = (token for sequence in sequences for token in sequence)
    return EncodedTexts(np.fromiter(flat, dtype=np.int64, count=int(offsets[-1])), offsets)


def encode_examples(
    encoder: SequenceEncoder, examples: Examples, max_seq_length: int
) -> EncodedTexts:
    """Return `<s> text </s>`, or `<s> first </s> second </s>`, at most `max_seq_length` tokens each.

    Of a pair that is too long, the longer text is cut first.

    Raises:
        InputError: `max_seq_length` leaves no room for text.
    """
    fields = [encoder.ids(texts) for texts in examples.texts]
    room = max_seq_length - 1 - len(fields)
    if room < len(fields):
        raise InputError("max_seq_length must leave room for text", got=max_seq_length)
    bos, eos = encoder.special.bos, encoder.special.eos
    sequences: list[list[int]] = []
    for parts in zip(*fields, strict=True):
        sequence = [bos]
        for part, size in zip(parts, _sizes_within([len(p) for p in parts], room), strict=True):
            sequence += [*part[:size], eos]
        sequences.append(sequence)
    return lay_end_to_end(sequences)


def _sizes_within(sizes: list[int], room: int) -> list[int]:
    """Return `sizes` cut to `room` in all, the larger first."""
    if len(sizes) == 1:
        return [min(sizes[0], room)]
    first, second = sizes
    if first + second <= room:
        return sizes
    half = room // 2
    if second <= half:
        return [room - second, second]
    if first <= room - half:
        return [first, room - first]
    return [room - half, half]
