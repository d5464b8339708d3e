"""How likely a model finds sentences: pseudo-log-likelihood of masked models, likelihood of causal ones.

Sentences are tokenised once. The masked copies of all sentences of like length share batches, and the
vocabulary head is computed at the masked positions alone.

B batch, L length, H hidden, N scored positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.core.errors import InputError
from lilliput.evaluation.batching import prediction_batches
from lilliput.evaluation.encoding import EncodedTexts, SpecialIds, Tokenised, lay_end_to_end
from lilliput.evaluation.settings import PairSettings
from lilliput.models import LanguageModel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Query:
    """One masked copy of a sentence.

    Attributes:
        sentence: Number of the sentence.
        masked: Positions shown as `<mask>`.
        scored: Positions whose token is scored, some of them masked.
    """

    sentence: int
    masked: tuple[int, ...]
    scored: tuple[int, ...]


def score_sentences(
    model: LanguageModel,
    sentences: Sequence[Tokenised],
    special: SpecialIds,
    settings: PairSettings,
) -> FloatArray:
    """Log-likelihood of each sentence in nats, shape (sentences,).

    Sources: "plain" is Salazar et al. 2020 (arXiv 1910.14659); "within_word_l2r" Kauf and Ivanova 2023
    (arXiv 2305.10588). "masked_once" is an approximation: tokens masked in one pass do not see each other.

    Args:
        model: In eval mode, on any device.
        sentences: Without special tokens: `<s>` goes before each, and for masked models `</s>` after
            it; neither is scored.
        special: Special ids.
        settings: The method, and whether scores are divided by the number of scored tokens.

    Raises:
        InputError: A sentence is empty or too long for the model; or the method does not fit it.
    """
    _check_method(model, settings)
    after = () if model.config.is_causal else (special.eos,)
    framed = lay_end_to_end([(special.bos, *one.ids, *after) for one in sentences])
    _check_lengths(model, framed, 1 + len(after))
    if settings.method == "causal":
        totals, counts = _causal(model, framed, special, settings)
    else:
        queries = [
            query
            for number, one in enumerate(sentences)
            for query in sentence_queries(number, one.word_numbers, settings)
        ]
        totals, counts = _masked(model, framed, queries, special, settings)
    return totals / counts if settings.normalise else totals


def _check_method(model: LanguageModel, settings: PairSettings) -> None:
    if (settings.method == "causal") != model.config.is_causal:
        kind = "causal" if model.config.is_causal else "masked"
        raise InputError(
            f"a {kind} model must be scored by a method for {kind} models",
            got=f"method {settings.method!r}",
            remedy="Use causal for causal models; plain, within_word_l2r or masked_once for masked ones.",
        )


def _check_lengths(model: LanguageModel, framed: EncodedTexts, frame: int) -> None:
    room = model.config.max_position_embeddings - model.config.position_offset
    longest = int(framed.lengths.max(initial=0))
    if longest > room:
        raise InputError(
            f"sentences must have at most {room - frame} tokens for this model",
            got=longest - frame,
        )
    if int(framed.lengths.min(initial=frame + 1)) <= frame:
        raise InputError("sentences must have at least one token", got="an empty sentence")


def sentence_queries(number: int, words: Sequence[int], settings: PairSettings) -> Iterator[Query]:
    """The masked copies that a method needs of one sentence; position 0 is `<s>`.

    "plain" masks the scored token alone; "within_word_l2r" also the later tokens of its word, so that
    a word's end does not give its beginning away; "masked_once" masks every `parts`-th token of a pass
    and scores all of them.
    """
    count = len(words)
    if settings.method == "masked_once":
        parts = min(settings.masked_once_parts, count)
        for part in range(parts):
            places = tuple(range(1 + part, count + 1, parts))
            yield Query(number, places, places)
        return
    ends = _word_ends(np.asarray(words))
    for i in range(count):
        last = int(ends[i]) if settings.method == "within_word_l2r" else i + 1
        yield Query(number, tuple(range(i + 1, last + 1)), (i + 1,))


def _word_ends(words: IntArray) -> IntArray:
    """For each token the number of tokens up to the end of its word, shape (tokens,)."""
    borders = np.append(np.flatnonzero(np.diff(words)) + 1, len(words))
    return borders[np.searchsorted(borders, np.arange(len(words)), side="right")]


@torch.no_grad()
def _masked(
    model: LanguageModel,
    framed: EncodedTexts,
    queries: Sequence[Query],
    special: SpecialIds,
    settings: PairSettings,
) -> tuple[FloatArray, IntArray]:
    totals = np.zeros(len(framed))
    counts = np.zeros(len(framed), dtype=np.int64)
    sentences = np.array([query.sentence for query in queries])
    lengths = framed.lengths[sentences]
    for rows in prediction_batches(lengths, settings.batch_tokens):
        width = int(lengths[rows].max())
        ids_BL = framed.padded(sentences[rows], width, special.pad)
        scored = [(b, place) for b, i in enumerate(rows) for place in queries[i].scored]
        batch_N, place_N = np.array(scored).T
        targets_N = ids_BL[batch_N, place_N]
        for b, i in enumerate(rows):
            ids_BL[b, list(queries[i].masked)] = special.mask
        found_N = _log_probabilities(model, ids_BL, lengths[rows], batch_N, place_N, targets_N)
        np.add.at(totals, sentences[rows][batch_N], found_N)
        np.add.at(counts, sentences[rows][batch_N], 1)
    return totals, counts


@torch.no_grad()
def _causal(
    model: LanguageModel, framed: EncodedTexts, special: SpecialIds, settings: PairSettings
) -> tuple[FloatArray, IntArray]:
    totals = np.zeros(len(framed))
    lengths = framed.lengths
    for rows in prediction_batches(lengths, settings.batch_tokens):
        width = int(lengths[rows].max())
        ids_BL = framed.padded(rows, width, special.pad)
        batch_N, place_N = np.nonzero(np.arange(width - 1) < lengths[rows][:, None] - 1)
        targets_N = ids_BL[batch_N, place_N + 1]
        found_N = _log_probabilities(model, ids_BL, lengths[rows], batch_N, place_N, targets_N)
        np.add.at(totals, rows[batch_N], found_N)
    return totals, lengths - 1


def _log_probabilities(
    model: LanguageModel,
    ids_BL: IntArray,
    lengths: IntArray,
    batch_N: IntArray,
    place_N: IntArray,
    targets_N: IntArray,
) -> FloatArray:
    """Log-probability in nats of `targets_N` at positions (batch_N, place_N)."""
    device = next(model.parameters()).device
    width = ids_BL.shape[1]
    mask: Tensor | None = None
    if int(lengths.min()) < width:
        mask = torch.from_numpy(np.arange(width) < lengths[:, None]).to(device)
    hidden_BLH = model.encode(torch.from_numpy(ids_BL).to(device), mask)
    hidden_NH = hidden_BLH[torch.from_numpy(batch_N), torch.from_numpy(place_N)]
    logits_NV = model.logits(hidden_NH).float()
    chosen_N = logits_NV.gather(1, torch.from_numpy(targets_N).to(device)[:, None])[:, 0]
    return (chosen_N - logits_NV.logsumexp(1)).double().cpu().numpy()
