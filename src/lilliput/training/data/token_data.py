"""The data of a run: the token store as the run reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.core.errors import ConfigurationError, EmptyCorpusError
from lilliput.tokenization import TokenStore, open_store
from lilliput.training.config import TrainingConfig
from lilliput.training.data.batches import BatchRules
from lilliput.training.data.sequences import Sequences, cut_sequences
from lilliput.training.data.unigram import unigram_entropy
from lilliput.training.objectives.base import TokenFacts
from lilliput.training.run_config import RunConfig

# A store up to this size is read into memory; a larger one is paged in by the system.
_IN_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True)
class RunData:
    """Hold both splits, what is predicted in them, and what predicting by frequency alone would cost.

    Attributes:
        train: Sequences of the train split.
        validation: Sequences of the validation split.
        rules: What is predicted in them, and how they become batches.
        token_bytes: Bytes of text of each id, shape (vocab_size,).
        unigram_entropy: Nats per held-out token of a model that knows only frequencies.
        store: Folder of the token store.
    """

    train: Sequences
    validation: Sequences
    rules: BatchRules
    token_bytes: NDArray[Any]
    unigram_entropy: float
    store: Path


def load_data(config: RunConfig, tokens: Path) -> RunData:
    """Return the data of a run.

    Raises:
        ConfigurationError: The model's vocabulary is not the store's.
        EmptyCorpusError: A split has no tokens.
    """
    store = open_store(tokens)
    if config.model.vocab_size != store.vocab_size:
        raise ConfigurationError(
            f"model.vocab_size must be the token store's vocabulary of {store.vocab_size}",
            got=config.model.vocab_size,
            remedy=f"Use {store.vocab_size}, or the store of the tokenizer you meant.",
        )
    train = _split(store, "train", config.training)
    validation = _split(store, "validation", config.training)
    return RunData(
        train=train,
        validation=validation,
        rules=_rules(config, store),
        token_bytes=np.asarray(store.token_bytes),
        unigram_entropy=unigram_entropy(train.tokens, validation.tokens, store.vocab_size),
        store=tokens,
    )


def _split(store: TokenStore, name: str, training: TrainingConfig) -> Sequences:
    tokens, offsets = store.split(name)
    if len(tokens) == 0:
        raise EmptyCorpusError(
            f"the {name} split must have tokens", got=0, remedy="Build a larger corpus."
        )
    if tokens.nbytes <= _IN_MEMORY_BYTES:
        tokens = np.array(tokens)
    return cut_sequences(tokens, np.array(offsets), training.max_seq_length)


def _rules(config: RunConfig, store: TokenStore) -> BatchRules:
    training, switches = config.training, config.training.switches
    return BatchRules(
        objective=config.objective(),
        facts=TokenFacts(store.vocab_size, store.special, np.asarray(store.word_start)),
        max_seq_length=training.max_seq_length,
        is_bidirectional=not config.model.is_causal,
        score_padding=switches.score_padding,
        attend_padding=switches.attend_padding,
    )
