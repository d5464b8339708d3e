"""The check that a model from elsewhere reads the very ids of a token store."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lilliput.core.errors import ConfigurationError
from lilliput.tokenization.folder import load_tokenizer
from lilliput.tokenization.store import TokenStore
from lilliput.tokenization.symbols import token_bytes, word_start


def require_same_ids(folder: Path, vocab_size: int, store: TokenStore) -> None:
    """Refuse a model whose ids stand for other text than those of the store.

    Args:
        folder: Folder of the model, with its tokenizer.
        vocab_size: Ids of the model.
        store: The token store.

    Raises:
        ConfigurationError: The tokenizer in the folder is not the one that wrote the store.
    """
    remedy = "Encode the corpus with the tokenizer in that folder: lilliput tokenizer encode."
    if vocab_size != store.vocab_size:
        raise ConfigurationError(
            f"the model in {folder} must have the token store's {store.vocab_size} ids",
            got=vocab_size,
            remedy=remedy,
        )
    tokenizer = load_tokenizer(folder)
    if tokenizer.vocab_size > store.vocab_size:
        raise ConfigurationError(
            f"the tokenizer in {folder} must have at most the model's {store.vocab_size} ids",
            got=tokenizer.vocab_size,
        )
    # The store keeps what each id stands for by length and place in a word, not by its text.
    sizes, starts = (make(tokenizer, store.vocab_size) for make in (token_bytes, word_start))
    differs = (sizes != store.token_bytes) | (starts != store.word_start)
    if differs.any():
        raise ConfigurationError(
            f"the tokenizer in {folder} must be the one that wrote the token store",
            got=f"another: id {int(np.flatnonzero(differs)[0])} is not the same text",
            remedy=remedy,
        )
