"""Compute the logits of a next token from kept keys and values, or from the whole text anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lilliput.evaluation.generation.kernel import (
    GEGLU,
    GELU,
    LANES,
    SWIGLU,
    Array32,
    Cache,
    DecoderWeights,
    Linear,
    Norm,
    next_logits,
)
from lilliput.models import LanguageModel

Logits = NDArray[np.float32]
_ACTIVATIONS = {"gelu": GELU, "geglu": GEGLU, "swiglu": SWIGLU}


class Decoder(Protocol):
    """Gives the logits of the token that follows each text."""

    def open(self, texts: int, places: int) -> None:
        """Make room for this many new texts of at most this many tokens."""
        ...

    def advance(self, texts: Sequence[int], added: Sequence[Sequence[int]]) -> Logits:
        """Add tokens to some texts and return the logits (len(texts), V) of what follows each."""
        ...


class PlainDecoder:
    """Computes the whole text anew for every token, by the model's own forward pass: the slow twin."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._texts: list[list[int]] = []

    def open(self, texts: int, places: int) -> None:
        """Forget all texts, and begin new ones."""
        del places
        self._texts = [[] for _ in range(texts)]

    @torch.inference_mode()
    def advance(self, texts: Sequence[int], added: Sequence[Sequence[int]]) -> Logits:
        """Add tokens and return the logits of what follows, (len(texts), V)."""
        rows: list[Logits] = []
        for text, ids in zip(texts, added, strict=True):
            self._texts[text].extend(ids)
            hidden_BLH = self._model.encode(torch.tensor([self._texts[text]]))
            rows.append(self._model.logits(hidden_BLH[0, -1:]).float().numpy())
        return np.concatenate(rows)


class CachedDecoder:
    """Keeps keys and values, so that a token costs one row; see `kernel`."""

    def __init__(self, model: LanguageModel) -> None:
        self._weights = decoder_weights(model)
        self._shape = (model.config.num_hidden_layers, model.config.num_built_heads)
        self._width = model.config.head_width
        self._cache = self._room(0, 0)
        self._lengths: NDArray[np.int64] = np.zeros(0, np.int64)

    def _room(self, texts: int, places: int) -> Cache:
        shape = (texts, *self._shape, self._width, -(-places // LANES) * LANES)
        return Cache(np.zeros(shape, np.float32), np.zeros(shape, np.float32))

    def open(self, texts: int, places: int) -> None:
        """Forget all texts, and make room for new ones."""
        self._cache = self._room(texts, places)
        self._lengths = np.zeros(texts, np.int64)

    def advance(self, texts: Sequence[int], added: Sequence[Sequence[int]]) -> Logits:
        """Add tokens and return the logits of what follows, (len(texts), V)."""
        which = np.asarray(texts, np.int64)
        counts = np.fromiter(map(len, added), np.int64, len(added))
        ends = np.cumsum(counts)
        ids = np.fromiter((i for one in added for i in one), np.int64, int(ends[-1]))
        before = np.repeat(self._lengths[which] - (ends - counts), counts)
        places = before + np.arange(len(ids))
        logits = next_logits(
            ids, np.repeat(which, counts), places, ends - 1, self._weights, self._cache
        )
        self._lengths[which] += counts
        return logits


def decoder_weights(model: LanguageModel) -> DecoderWeights:
    """Return the weights of a model, on the processor in float32, as the kernel reads them."""
    plan, config = model.plan, model.config
    layers: list[Any] = list(model.layers)
    places = config.max_seq_length
    rows_L = torch.arange(places) + plan.position_offset
    tables = model.rotation(rows_L[None], torch.float32)
    half = config.head_width // 2
    cosines, sines = (
        (np.zeros((0, half), np.float32),) * 2
        if tables is None
        else tuple(_array(table[0, 0, :, :half]) for table in tables)
    )
    word = model.embeddings.word.weight
    if model.embeddings.token_type is not None:
        word = word + model.embeddings.token_type.weight[0]
    learned = model.embeddings.position
    position = (
        np.zeros((0, config.embedding_size), np.float32)
        if learned is None
        else _array(learned.weight[plan.position_offset :])
    )
    head: Any = model.head if plan.head != "none" else None
    return DecoderWeights(
        word=_array(word),
        position=position,
        cosines=cosines,
        sines=sines,
        embedding_norm=_norms([model.embeddings.norm]),
        projection=_linears([model.projection] if plan.has_projection else []),
        projection_norm=_norms([model.projection_norm]),
        attention_norm=_norms([layer.attention_norm for layer in layers]),
        qkv=_linears([layer.qkv for layer in layers]),
        attention_out=_linears([layer.attention_out for layer in layers]),
        feed_forward_norm=_norms([layer.feed_forward_norm for layer in layers]),
        up=_linears([layer.up for layer in layers]),
        down=_linears([layer.down for layer in layers]),
        final_norm=_norms([model.final_norm]),
        head=_linears([head.dense] if head else []),
        head_norm=_norms([head.norm] if head else []),
        decoder=_decoder(model.decoder_weight, model.decoder_bias),
        heads=config.num_built_heads,
        activation=_ACTIVATIONS[plan.hidden_act],
        is_pre=plan.norm_position == "pre",
        skip_first_norm=plan.skip_first_norm,
    )


def _array(tensor: Tensor) -> Array32:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _decoder(weight_VD: Tensor, bias_V: Tensor | None) -> Linear:
    bias = np.zeros(len(weight_VD), np.float32) if bias_V is None else _array(bias_V)
    return Linear(_array(weight_VD.t())[None], bias[None], bias_V is not None)


def _linears(modules: Sequence[nn.Module]) -> Linear:
    found = [module for module in modules if isinstance(module, nn.Linear)]
    if not found:
        return Linear(np.zeros((0, 0, 0), np.float32), np.zeros((0, 0), np.float32), False)
    weight = np.stack([_array(one.weight.t()) for one in found])
    biases = [one.bias for one in found if one.bias is not None]  # pyright: ignore[reportUnnecessaryComparison]
    bias = np.stack(list(map(_array, biases))) if biases else np.zeros((0, 0), np.float32)
    return Linear(weight, bias, bool(biases))


def _norms(modules: Sequence[nn.Module]) -> Norm:
    """Return the norms of one kind; where the first layer has none, its row is never read."""
    known = [one for one in modules if isinstance(one, (nn.LayerNorm, nn.RMSNorm))]
    if not known:
        return Norm(0, 0.0, np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32))
    width = known[0].weight.shape[0]
    gains = np.ones((len(modules), width), np.float32)
    biases = np.zeros((len(modules), width), np.float32)
    for row, one in enumerate(modules):
        if isinstance(one, (nn.LayerNorm, nn.RMSNorm)):
            gains[row] = _array(one.weight)
            bias = getattr(one, "bias", None)
            if bias is not None:
                biases[row] = _array(bias)
    kind = 1 if isinstance(known[0], nn.LayerNorm) else 2
    return Norm(kind, float(known[0].eps or 0.0), gains, biases)
