"""How likely a model finds sentences: pseudo-log-likelihood of masked models, likelihood of causal ones.

The masked copies of all sentences of one length are laid out as one table, where copies that say the
same (the sentences of a pair, but for the word in which they differ) are kept once. Batches have no
padding; the last layer and the vocabulary head are computed at the scored positions alone.

B batch, L length, H hidden, D width of the head, N scored positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.evaluation.batching import prediction_batches
from lilliput.evaluation.encoding import EncodedTexts, TokenizedText, lay_end_to_end
from lilliput.evaluation.settings import PairSettings
from lilliput.models import LanguageModel
from lilliput.tokenization import SpecialIds
from lilliput.training.execution.vocabulary_head import token_losses

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class MaskedCopies:
    """Masked copies of sentences; C copies, position 0 is `<s>`.

    Attributes:
        sentence: Number of the sentence of each, shape (C,).
        first: First masked position, shape (C,).
        stop: End of the masked positions, shape (C,).
        step: Every how many positions from `first` to `stop` one is masked.
        scores_all: Whether every masked token is scored, and not the first alone.
    """

    sentence: IntArray
    first: IntArray
    stop: IntArray
    step: int
    scores_all: bool

    def is_masked(self, rows: IntArray, length: int) -> NDArray[np.bool_]:
        """Return which positions of the copies `rows` are masked, shape (len(rows), length)."""
        columns = np.arange(length)
        first, stop = self.first[rows, None], self.stop[rows, None]
        return (columns >= first) & (columns < stop) & ((columns - first) % self.step == 0)

    def scored(self, rows: IntArray, length: int) -> tuple[IntArray, IntArray]:
        """Return the number among `rows`, and position, of each scored token."""
        if self.scores_all:
            copy_N, place_N = np.nonzero(self.is_masked(rows, length))
            return copy_N, place_N
        return np.arange(len(rows)), self.first[rows]


def score_sentences(
    model: LanguageModel,
    sentences: Sequence[TokenizedText],
    special: SpecialIds,
    settings: PairSettings,
) -> FloatArray:
    """Return the log-likelihood of each sentence in nats, shape (sentences,).

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
        copies = masked_copies([one.word_numbers for one in sentences], settings)
        totals, counts = _masked(model, framed, copies, special, settings)
    return totals / counts if settings.normalise else totals


def _check_method(model: LanguageModel, settings: PairSettings) -> None:
    if (settings.method == "causal") != model.config.is_causal:
        kind = "causal" if model.config.is_causal else "masked"
        raise InputError(
            f"a {kind} model must be scored by a method for {kind} models",
            got=f"method {settings.method!r}",
            remedy="Use causal for causal models; plain, within_word_l2r or masked_once for masked ones.",
        )


def longest_sentence(model: LanguageModel) -> int:
    """Return how many tokens a sentence may have, beside `<s>` and (masked models) `</s>`."""
    config = model.config
    return config.max_position_embeddings - config.position_offset - (1 if config.is_causal else 2)


def _check_lengths(model: LanguageModel, framed: EncodedTexts, frame: int) -> None:
    room = longest_sentence(model) + frame
    longest = int(framed.lengths.max(initial=0))
    if longest > room:
        raise InputError(
            f"sentences must have at most {room - frame} tokens for this model",
            got=longest - frame,
        )
    if int(framed.lengths.min(initial=frame + 1)) <= frame:
        raise InputError("sentences must have at least one token", got="an empty sentence")


def masked_copies(words: Sequence[Sequence[int]], settings: PairSettings) -> MaskedCopies:
    """Return the masked copies that a method needs of sentences, given the word of each of their tokens.

    "plain" masks the scored token alone; "within_word_l2r" also the later tokens of its word, so that
    a word's end does not give its beginning away; "masked_once" masks every `parts`-th token of a pass
    and scores all of them.
    """
    counts = np.array([len(numbers) for numbers in words])
    is_once = settings.method == "masked_once"
    passes = np.minimum(counts, settings.masked_once_parts) if is_once else counts
    sentence = np.repeat(np.arange(len(words)), passes)
    first = 1 + np.arange(len(sentence)) - np.repeat(np.cumsum(passes) - passes, passes)
    if is_once:
        # A sentence shorter than the parts has one token a pass, and no second one within any step.
        return MaskedCopies(sentence, first, counts[sentence] + 1, settings.masked_once_parts, True)
    stop = first + 1
    if settings.method == "within_word_l2r":
        stop = 1 + np.concatenate([_word_ends(np.asarray(numbers)) for numbers in words])
    return MaskedCopies(sentence, first, stop, 1, False)


def _word_ends(words: IntArray) -> IntArray:
    """Return, for each token, the number of tokens up to the end of its word, shape (tokens,)."""
    borders = np.append(np.flatnonzero(np.diff(words)) + 1, len(words))
    return borders[np.searchsorted(borders, np.arange(len(words)), side="right")]


@torch.inference_mode()
def _masked(
    model: LanguageModel,
    framed: EncodedTexts,
    copies: MaskedCopies,
    special: SpecialIds,
    settings: PairSettings,
) -> tuple[FloatArray, IntArray]:
    totals = np.zeros(len(framed))
    counts = np.zeros(len(framed), dtype=np.int64)
    lengths = framed.lengths[copies.sentence]
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        ids_CL = framed.padded(copies.sentence[rows], length, special.pad)
        copy_N, place_N = copies.scored(rows, length)
        targets_N = ids_CL[copy_N, place_N]
        ids_CL[copies.is_masked(rows, length)] = special.mask
        unique_UL, unique_C = np.unique(ids_CL, axis=0, return_inverse=True)
        found_N = _log_probabilities(
            model, unique_UL, unique_C.reshape(-1)[copy_N], place_N, targets_N, settings
        )
        np.add.at(totals, copies.sentence[rows][copy_N], found_N)
        np.add.at(counts, copies.sentence[rows][copy_N], 1)
    return totals, counts


def _log_probabilities(
    model: LanguageModel,
    ids_UL: IntArray,
    row_N: IntArray,
    place_N: IntArray,
    targets_N: IntArray,
    settings: PairSettings,
) -> FloatArray:
    """Return the log-probability in nats of `targets_N` at positions (row_N, place_N) of texts of one length."""
    device = next(model.parameters()).device
    found_N = np.empty(len(targets_N))
    order_N = np.argsort(row_N, kind="stable")
    sorted_N = row_N[order_N]
    size = max(1, settings.batch_tokens // ids_UL.shape[1])
    for start in range(0, len(ids_UL), size):
        low, high = np.searchsorted(sorted_N, (start, start + size))
        chosen = order_N[low:high]
        ids_BL = torch.from_numpy(ids_UL[start : start + size]).to(device)
        batch_N = torch.from_numpy(row_N[chosen] - start).to(device)
        places_N = torch.from_numpy(place_N[chosen]).to(device)
        with _products(device, settings):
            hidden_NH = _hidden_at(model, ids_BL, batch_N, places_N)
            found_N[chosen] = -_losses(model, hidden_NH, targets_N[chosen])
    return found_N


def _products(device: torch.device, settings: PairSettings) -> torch.autocast:
    """Return the block in which matrix products have the dtype that was asked for."""
    is_bf16 = settings.dtype == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_bf16)


def _hidden_at(model: LanguageModel, ids_BL: Tensor, batch_N: Tensor, places_N: Tensor) -> Tensor:
    """Return the last hidden states at positions (batch_N, places_N), (N, H)."""
    places_B = places_N.new_zeros(len(ids_BL)).index_copy_(0, batch_N, places_N)
    if torch.equal(places_B[batch_N], places_N):  # One place a text.
        return model.encode_at(ids_BL, places_B)[batch_N]
    return model.encode(ids_BL)[batch_N, places_N]


def _losses(model: LanguageModel, hidden_NH: Tensor, targets_N: IntArray) -> FloatArray:
    """Return the cross-entropies in nats, shape (N,)."""
    z_ND = model.head_hidden(hidden_NH)
    targets = torch.from_numpy(targets_N).to(z_ND.device)
    losses_N = token_losses(z_ND, model.decoder_weight, model.decoder_bias, targets)
    return losses_N.double().cpu().numpy()


@torch.inference_mode()
def _causal(
    model: LanguageModel, framed: EncodedTexts, special: SpecialIds, settings: PairSettings
) -> tuple[FloatArray, IntArray]:
    totals = np.zeros(len(framed))
    lengths = framed.lengths
    device = next(model.parameters()).device
    for rows in prediction_batches(lengths, settings.batch_tokens):
        width = int(lengths[rows].max())
        ids_BL = framed.padded(rows, width, special.pad)
        batch_N, place_N = np.nonzero(np.arange(width - 1) < lengths[rows][:, None] - 1)
        # Padding comes last, where no scored position of a causal model sees it.
        with _products(device, settings):
            hidden_BLH = model.encode(torch.from_numpy(ids_BL).to(device))
            hidden_NH = hidden_BLH[torch.from_numpy(batch_N), torch.from_numpy(place_N)]
            found_N = -_losses(model, hidden_NH, ids_BL[batch_N, place_N + 1])
        np.add.at(totals, rows[batch_N], found_N)
    return totals, lengths - 1
