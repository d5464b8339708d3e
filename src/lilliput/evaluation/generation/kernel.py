# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""One pass of new tokens through a causal model, with the keys and values of earlier tokens kept.

A pass takes N rows. A row is one new token: its id, the text it belongs to, its place in that text. A
prompt of five tokens is five rows of one pass; later passes hold one row for each unfinished text.

    texts      the cat   |  a
    pass 1     the, cat, a     at places 0, 1 and 0     logits are asked for at rows 1 and 2
    pass 2     sat, dog        at places 2 and 1        logits at both rows

So texts of different lengths need no padding. Matrix products go to BLAS; everything between them is a
compiled loop, because torch's cost of starting an operation is larger than a small model's arithmetic.

Axes: N rows, M rows whose logits are asked for, S texts, C places, A heads, W width of a head, H hidden,
E embedding, D decoder width, V vocabulary.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

Array32 = NDArray[np.float32]
IntArray = NDArray[np.int64]

GELU, GEGLU, SWIGLU = range(3)
# Places of the cache are a multiple of this, the floats of one vector.
LANES = 16
# Sums may be taken in another order, so that the compiler adds up sixteen numbers at once.
_SUMS = {"reassoc", "contract"}


class Norm(NamedTuple):
    """Hold the gains and biases of norms of one kind, one row for each layer; `kind` 0 is no norm at all."""

    kind: int  # 0 none, 1 LayerNorm, 2 RMSNorm
    eps: float
    gain: Array32
    bias: Array32


class Linear(NamedTuple):
    """Hold matrices of one kind, stacked by layer: (layers, in, out), and biases (layers, out)."""

    weight: Array32
    bias: Array32
    has_bias: bool


class DecoderWeights(NamedTuple):
    """Hold everything that a pass reads of a model; matrices are turned so that rows multiply them from the left."""

    word: Array32
    position: Array32  # (places, E); no rows where positions are rotary
    cosines: Array32  # (places, W/2); no rows where positions are learned
    sines: Array32
    embedding_norm: Norm
    projection: Linear  # no layers where E = H
    projection_norm: Norm
    attention_norm: Norm
    qkv: Linear
    attention_out: Linear
    feed_forward_norm: Norm
    up: Linear
    down: Linear
    final_norm: Norm
    head: Linear  # no layers where nothing stands before the decoder
    head_norm: Norm
    decoder: Linear
    heads: int
    activation: int
    is_pre: bool
    skip_first_norm: bool


class Cache(NamedTuple):
    """Hold keys and values of all places so far, (S, layers, A, W, C); C is a multiple of `LANES`, zeros lie ahead."""

    keys: Array32
    values: Array32


@nb.njit(nogil=True, cache=True, fastmath=_SUMS)
def _normalised(x: Array32, norm: Norm, layer: int) -> Array32:
    if norm.kind == 0:
        return x
    rows, width = x.shape
    out = np.empty_like(x)
    for n in range(rows):
        mean = np.float32(0.0)
        if norm.kind == 1:
            for i in range(width):
                mean += x[n, i]
            mean /= np.float32(width)
        square = np.float32(0.0)
        for i in range(width):
            square += (x[n, i] - mean) * (x[n, i] - mean)
        scale = np.float32(1.0 / math.sqrt(square / width + norm.eps))
        for i in range(width):
            out[n, i] = (x[n, i] - mean) * scale * norm.gain[layer, i] + norm.bias[layer, i]
    return out


@nb.njit(nogil=True, cache=True)
def _product(x: Array32, linear: Linear, layer: int) -> Array32:
    out = np.dot(x, linear.weight[layer])
    if linear.has_bias:
        for n in range(out.shape[0]):
            for i in range(out.shape[1]):
                out[n, i] += linear.bias[layer, i]
    return out


@nb.njit(nogil=True, cache=True)
def _gelu(x: float) -> float:
    return np.float32(0.5 * x * (1.0 + math.erf(x * 0.7071067811865476)))


@nb.njit(nogil=True, cache=True, fastmath=_SUMS)
def _exponentials(x: Array32, bits: NDArray[np.int32]) -> None:
    """Replace `x` by exp(x), within two units in the last place, by operations that the compiler vectorises.

    exp(x) = 2^n exp(r), n the nearest whole number to x / ln 2; 2^n is written as the exponent of a float.
    The library's exp takes one number at a time, and was half the cost of a step.

    Args:
        x: Shape (n,), changed in place.
        bits: Room for at least n numbers.

    Source: the polynomial of `expf` in S. Moshier's Cephes library.
    """
    powers = bits.view(np.float32)
    for i in range(len(x)):
        value = x[i] if x[i] > np.float32(-87.0) else np.float32(-87.0)
        value = value if value < np.float32(88.0) else np.float32(88.0)
        n = np.floor(value * np.float32(1.44269504) + np.float32(0.5))
        r = value - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
        y = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
        y = y * r + np.float32(8.3334519073e-3)
        y = y * r + np.float32(4.1665795894e-2)
        y = y * r + np.float32(1.6666665459e-1)
        y = y * r + np.float32(5.0000001201e-1)
        x[i] = y * r * r + r + np.float32(1.0)
        bits[i] = (np.int32(n) + np.int32(127)) << np.int32(23)
    for i in range(len(x)):
        x[i] *= powers[i]


@nb.njit(nogil=True, cache=True, fastmath=_SUMS)
def _activated(x: Array32, activation: int) -> Array32:
    rows, width = x.shape
    if activation == GELU:
        for n in range(rows):
            for i in range(width):
                x[n, i] = _gelu(x[n, i])
        return x
    half = width // 2
    out = np.empty((rows, half), np.float32)
    bits = np.empty(half, np.int32)
    for n in range(rows):
        gate, value, row = x[n, :half], x[n, half:], out[n]
        if activation == GEGLU:
            for i in range(half):
                row[i] = _gelu(gate[i]) * value[i]
        else:
            for i in range(half):
                row[i] = -gate[i]
            _exponentials(row, bits)
            for i in range(half):
                row[i] = gate[i] / (np.float32(1.0) + row[i]) * value[i]
    return out


@nb.njit(nogil=True, cache=True)
def _rotate(qkv: Array32, places: IntArray, weights: DecoderWeights, width: int) -> None:
    half = width // 2
    for n in range(qkv.shape[0]):
        place = places[n]
        for first in range(
            0, 2 * weights.heads * width, width
        ):  # All heads of queries, then of keys.
            for w in range(half):
                cosine, sine = weights.cosines[place, w], weights.sines[place, w]
                a, b = qkv[n, first + w], qkv[n, first + half + w]
                qkv[n, first + w] = a * cosine - b * sine
                qkv[n, first + half + w] = b * cosine + a * sine


@nb.njit(nogil=True, cache=True, fastmath=_SUMS)
def _attended(
    qkv: Array32, texts: IntArray, places: IntArray, cache: Cache, layer: int, heads: int
) -> Array32:
    rows, hidden = qkv.shape[0], qkv.shape[1] // 3
    width = hidden // heads
    for n in range(rows):  # All keys first: a row of a prompt sees the rows before it in this pass.
        for a in range(heads):
            for w in range(width):
                i = a * width + w
                cache.keys[texts[n], layer, a, w, places[n]] = qkv[n, hidden + i]
                cache.values[texts[n], layer, a, w, places[n]] = qkv[n, 2 * hidden + i]
    out = np.empty((rows, hidden), np.float32)
    room = np.empty(cache.keys.shape[4], np.float32)
    bits = np.empty(cache.keys.shape[4], np.int32)
    scale = np.float32(1.0 / math.sqrt(width))
    for n in range(rows):
        seen = places[n] + 1
        whole = (seen + LANES - 1) // LANES * LANES  # No numbers are left over for a slow loop.
        scores = room[:whole]
        for a in range(heads):
            keys, values = cache.keys[texts[n], layer, a], cache.values[texts[n], layer, a]
            scores[:] = 0.0
            for w in range(width):
                query, key = qkv[n, a * width + w] * scale, keys[w, :whole]
                for c in range(whole):
                    scores[c] += query * key[c]
            largest = scores[0]
            for c in range(seen):
                largest = scores[c] if scores[c] > largest else largest
            for c in range(whole):
                scores[c] -= largest
            _exponentials(scores, bits)
            scores[seen:] = 0.0
            total = np.float32(0.0)
            for c in range(whole):
                total += scores[c]
            for w in range(width):
                value, found = values[w, :whole], np.float32(0.0)
                for c in range(whole):
                    found += scores[c] * value[c]
                out[n, a * width + w] = found / total
    return out


@nb.njit(nogil=True, cache=True)
def _embedded(ids: IntArray, places: IntArray, weights: DecoderWeights) -> Array32:
    width = weights.word.shape[1]
    out = np.empty((len(ids), width), np.float32)
    for n in range(len(ids)):
        for i in range(width):
            out[n, i] = weights.word[ids[n], i]
            if weights.position.shape[0]:
                out[n, i] += weights.position[places[n], i]
    x = _normalised(out, weights.embedding_norm, 0)
    if weights.projection.weight.shape[0]:
        x = _product(x, weights.projection, 0)
    return _normalised(x, weights.projection_norm, 0)


@nb.njit(nogil=True, cache=True)
def next_logits(
    ids: IntArray,
    texts: IntArray,
    places: IntArray,
    asked: IntArray,
    weights: DecoderWeights,
    cache: Cache,
) -> Array32:
    """Return the logits (M, V) of what follows the rows `asked`; the cache gains all rows.

    Args:
        ids: Token of each row, shape (N,).
        texts: Text of each row, a row of the cache.
        places: Place of each row in its text, from 0; every earlier place is in the cache or among the rows.
        asked: Rows whose logits are wanted, shape (M,).
        weights: Of the model.
        cache: Is changed in place.
    """
    x = _embedded(ids, places, weights)
    hidden = x.shape[1]
    for layer in range(weights.qkv.weight.shape[0]):
        skips = weights.skip_first_norm and layer == 0
        is_normed = weights.is_pre and not skips
        seen = _normalised(x, weights.attention_norm, layer) if is_normed else x
        qkv = _product(seen, weights.qkv, layer)
        if weights.cosines.shape[0]:
            _rotate(qkv, places, weights, hidden // weights.heads)
        y = _attended(qkv, texts, places, cache, layer, weights.heads)
        x = x + _product(y, weights.attention_out, layer)
        if not weights.is_pre:
            x = _normalised(x, weights.attention_norm, layer)
        seen = _normalised(x, weights.feed_forward_norm, layer) if weights.is_pre else x
        inner = _activated(_product(seen, weights.up, layer), weights.activation)
        x = x + _product(inner, weights.down, layer)
        if not weights.is_pre:
            x = _normalised(x, weights.feed_forward_norm, layer)
    last = np.empty((len(asked), hidden), np.float32)
    for m in range(len(asked)):
        last[m] = x[asked[m]]
    last = _normalised(last, weights.final_norm, 0)
    if weights.head.weight.shape[0]:
        last = _activated(_product(last, weights.head, 0), GELU)
        last = _normalised(last, weights.head_norm, 0)
    return _product(last, weights.decoder, 0)
