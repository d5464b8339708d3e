"""An encoder with a pooled head, cut down to what a task can reach."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lilliput.core.errors import ConfigurationError
from lilliput.core.seeding import generator
from lilliput.evaluation.settings import FineTuningSettings, Pooling
from lilliput.models import LanguageModel, pool

_HEAD_STD = 0.02


class Classifier(nn.Module):
    """Compute logits, or one number, from the pooled hidden states of an encoder.

    The letters at the end of a tensor's name are its axes: B batch, L length, H hidden, C outputs.

    Args:
        encoder: A model of one's own: its language-model head is taken off.
        outputs: Width of the result.
        settings: Pooling, head and dropout.
        seed: Of the head's weights.
    """

    def __init__(
        self, encoder: LanguageModel, outputs: int, settings: FineTuningSettings, seed: int
    ) -> None:
        super().__init__()
        hidden = encoder.config.hidden_size
        self.encoder = encoder
        self.encoder.drop_head()
        self.pooling: Pooling = settings.pooling
        self.attends_to_padding = settings.attend_to_padding
        self.cuts_at_zero = outputs == 1 and settings.regression == "relu"
        self.dropout = nn.Dropout(settings.classifier_dropout)
        self.dense = _linear(hidden, hidden) if settings.head == "tanh" else None
        self.out = _linear(hidden, outputs)
        has_positions = settings.pooling == "positions"
        self.positions = _linear(settings.max_seq_length, 1) if has_positions else None
        _draw_head(self, seed)

    def forward(self, ids_BL: Tensor, is_token_BL: Tensor | None) -> Tensor:
        """Return the outputs (B, C); `is_token_BL` is None where nothing is padding."""
        mask = None if self.attends_to_padding else is_token_BL
        if self.pooling == "first" and not self.encoder.config.is_causal:
            # Nothing else of the last layer is needed: a fifth of the time of four layers.
            pooled_BH = self.encoder.encode_at(ids_BL, torch.zeros_like(ids_BL[:, 0]), mask)
        else:
            pooled_BH = self._pool(self.encoder.encode(ids_BL, mask), is_token_BL)
        if self.dense is not None:
            pooled_BH = torch.tanh(self.dense(self.dropout(pooled_BH)))
        out_BC = self.out(self.dropout(pooled_BH))
        return functional.relu(out_BC) if self.cuts_at_zero else out_BC

    def _pool(self, hidden_BLH: Tensor, is_token_BL: Tensor | None) -> Tensor:
        if self.positions is not None:
            return self.positions(hidden_BLH.transpose(1, 2)).squeeze(-1)
        assert self.pooling != "positions"
        return pool(hidden_BLH, is_token_BL, self.pooling)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear map whose weights are yet to be drawn; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        return nn.Linear(inputs, outputs)


def keep_word_rows(model: LanguageModel, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut the word embeddings of `model` down to `ids`; the new number of each old id comes back.

    A task sees a fraction of the vocabulary. Rows it never sees get no gradient and change no output,
    so training without them gives the same predictions, while gradients and optimizer shrink.

    Args:
        model: Changed in place; every other row is gone.
        ids: The ids that may occur, shape (kept,); padding and what stands before it keep their
            numbers.

    Returns:
        New numbers, shape (vocab_size,); -1 for ids that are gone.

    Raises:
        ConfigurationError: An id lies outside the model's vocabulary.
    """
    table = model.embeddings.word
    pad = model.config.pad_token_id
    kept = np.union1d(ids, np.arange(pad + 1))
    if int(kept[-1]) >= table.num_embeddings or int(kept[0]) < 0:
        raise ConfigurationError(
            f"token ids must lie inside the model's vocabulary of {table.num_embeddings}",
            got=int(kept[-1]),
            remedy="Use the tokenizer that this model was trained with.",
        )
    rows = torch.from_numpy(kept)
    weight = table.weight.detach()[rows].clone()
    model.embeddings.word = nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=pad)
    numbers = np.full(table.num_embeddings, -1, dtype=np.int64)
    numbers[kept] = np.arange(len(kept))
    return numbers


def _draw_head(model: Classifier, seed: int) -> None:
    """Draw small normal weights and zero biases, a function of the seed alone."""
    with torch.no_grad():
        for name, part in (("dense", model.dense), ("out", model.out), ("pos", model.positions)):
            if part is None:
                continue
            draws = generator(seed, "head", name).standard_normal(tuple(part.weight.shape))
            part.weight.copy_(torch.from_numpy(draws * _HEAD_STD))
            part.bias.zero_()
    if model.positions is not None:
        # A plain mean to begin with: weights near zero would hide the input from the head.
        nn.init.constant_(model.positions.weight, 1.0 / model.positions.in_features)
