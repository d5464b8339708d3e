"""Compute the log-likelihood of choices after a question.

It is exact for causal models, and computed token by token for masked ones.

N predicted tokens, B batch, L length, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.core.arrays import FloatArray
from lilliput.evaluation.batching import prediction_batches
from lilliput.evaluation.encoding import EncodedTexts, SequenceEncoder, lay_end_to_end
from lilliput.models import LanguageModel
from lilliput.tokenization import SpecialIds
from lilliput.training.execution.vocabulary_head import token_losses

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Continuation:
    """Tokens to predict, and those before them; `<s>` is in neither."""

    before: tuple[int, ...]
    ids: tuple[int, ...]


def encode_continuations(
    encoder: SequenceEncoder, pairs: Iterable[tuple[str, str]]
) -> list[Continuation]:
    """Return the tokens of each (text before, text to predict), cut as lm-eval cuts them.

    White space at the end of the first text is moved to the second, because it belongs to the token of the next
    word. Both are tokenised as one, and what goes beyond the tokens of the first text alone is to be predicted.
    """
    moved: list[tuple[str, str]] = []
    for before, text in pairs:
        bare = before.rstrip()
        moved.append((bare, before[len(bare) :] + text))
    whole = encoder.ids([before + text for before, text in moved])
    first = encoder.ids([before for before, _ in moved])
    return [
        Continuation(tuple(all_ids[: len(ids)]), tuple(all_ids[len(ids) :]))
        for all_ids, ids in zip(whole, first, strict=True)
    ]


def frame_tokens(is_causal: bool) -> int:
    """Return how many special tokens stand around a text: `<s>`, and in masked models `</s>`."""
    return 1 if is_causal else 2


def fits(model: LanguageModel, one: Continuation) -> bool:
    """Return whether there is something to predict, and the model can read it all."""
    frame = frame_tokens(model.config.is_causal)
    return bool(one.ids) and len(one.before) + len(one.ids) + frame <= model.config.max_seq_length


@torch.inference_mode()
def score_continuations(
    model: LanguageModel,
    continuations: Sequence[Continuation],
    special: SpecialIds,
    batch_tokens: int = 2048,
) -> FloatArray:
    """Return the log-likelihood of each continuation in nats, float64 of shape (continuations,).

    Of a masked model it is the pseudo-log-likelihood: the sum over its tokens, each masked alone, everything else in
    sight (Salazar et al. 2020, arXiv 1910.14659).
    """
    after = () if model.config.is_causal else (special.eos,)
    framed = lay_end_to_end([(special.bos, *one.before, *one.ids, *after) for one in continuations])
    first = np.array([1 + len(one.before) for one in continuations], np.int64)
    counts = np.array([len(one.ids) for one in continuations], np.int64)
    totals = np.zeros(len(continuations))
    scored = _causal if model.config.is_causal else _masked
    for rows, losses in scored(model, framed, first, counts, special, batch_tokens):
        np.add.at(totals, rows, -losses)
    return totals


def _causal(
    model: LanguageModel,
    framed: EncodedTexts,
    first: IntArray,
    counts: IntArray,
    special: SpecialIds,
    batch_tokens: int,
) -> Iterator[tuple[NDArray[np.intp], FloatArray]]:
    device = next(model.parameters()).device
    for rows in prediction_batches(framed.lengths, batch_tokens):
        width = int(framed.lengths[rows].max())
        ids_BL = framed.padded(rows, width, special.pad)
        place = np.arange(width)
        asked = (place >= first[rows, None]) & (place < (first + counts)[rows, None])
        batch_N, place_N = np.nonzero(asked)
        # Padding comes last, where no predicted token of a causal model sees it.
        hidden_BLH = model.encode(torch.from_numpy(ids_BL).to(device))
        hidden_NH = hidden_BLH[torch.from_numpy(batch_N), torch.from_numpy(place_N - 1)]
        yield rows[batch_N], _losses(model, hidden_NH, ids_BL[batch_N, place_N])


def _masked(
    model: LanguageModel,
    framed: EncodedTexts,
    first: IntArray,
    counts: IntArray,
    special: SpecialIds,
    batch_tokens: int,
) -> Iterator[tuple[NDArray[np.intp], FloatArray]]:
    device = next(model.parameters()).device
    text_C = np.repeat(np.arange(len(framed)), counts)
    place_C = np.arange(len(text_C)) - np.repeat(np.cumsum(counts) - counts, counts) + first[text_C]
    lengths_C = framed.lengths[text_C]
    for length in np.unique(lengths_C).tolist():
        copies = np.flatnonzero(lengths_C == length)
        size = max(1, batch_tokens // length)
        for start in range(0, len(copies), size):
            chosen = copies[start : start + size]
            rows, places = text_C[chosen], place_C[chosen]
            ids_BL = framed.padded(rows, length, special.pad)
            targets = ids_BL[np.arange(len(rows)), places]
            ids_BL[np.arange(len(rows)), places] = special.mask
            hidden_BH = model.encode_at(
                torch.from_numpy(ids_BL).to(device), torch.from_numpy(places).to(device)
            )
            yield rows, _losses(model, hidden_BH, targets)


def _losses(model: LanguageModel, hidden_NH: Tensor, targets_N: IntArray) -> FloatArray:
    z_ND = model.head_hidden(hidden_NH)
    targets = torch.from_numpy(targets_N).to(z_ND.device)
    found = token_losses(z_ND, model.decoder_weight, model.decoder_bias, targets)
    return found.double().cpu().numpy()
