"""Define the special tokens in one place: RoBERTa's five, in RoBERTa's order."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing

BOS, PAD, EOS, UNK, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
SPECIAL_TOKENS = (BOS, PAD, EOS, UNK, MASK)
SPECIAL_TOKENS_MAP = {
    "bos_token": BOS,
    "eos_token": EOS,
    "unk_token": UNK,
    "sep_token": EOS,
    "pad_token": PAD,
    "cls_token": BOS,
    "mask_token": MASK,
}


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the special tokens; every id below `count` is special.

    Attributes:
        bos: Begins a sequence, `<s>`.
        pad: Fills a batch, `<pad>`.
        eos: Ends a sequence, `</s>`.
        unk: Stands for text outside the alphabet, `<unk>`.
        mask: Hides a token that is to be predicted, `<mask>`.
        count: How many there are.
    """

    bos: int = 0
    pad: int = 1
    eos: int = 2
    unk: int = 3
    mask: int = 4
    count: int = 5


SPECIAL_IDS = SpecialIds()


def add_special_tokens(tokenizer: Tokenizer) -> None:
    """Declare the special tokens of a tokenizer whose first ids are theirs, and frame sequences.

    `<mask>` takes the space before it, as in RoBERTa: it stands where a word with its space stood.
    """
    tokenizer.add_special_tokens(
        [
            AddedToken(token, lstrip=token == MASK, normalized=False, special=True)
            for token in SPECIAL_TOKENS
        ]
    )
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A {EOS}",
        pair=f"{BOS} $A {EOS} {EOS} $B {EOS}",
        special_tokens=[(BOS, SPECIAL_IDS.bos), (EOS, SPECIAL_IDS.eos)],
    )
