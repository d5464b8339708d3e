"""The likeliest tokens in the gaps of a text, as a masked model finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from lilliput.core.errors import ConfigurationError, InputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.evaluation.encoding import SequenceEncoder
from lilliput.evaluation.folders import evaluation_folders
from lilliput.evaluation.generation.generate import require_kind
from lilliput.evaluation.weights import load_encoder
from lilliput.models import LanguageModel
from lilliput.tokenization.special import MASK
from lilliput.training import load_model


@dataclass(frozen=True)
class Candidate:
    """Hold one token for a gap.

    Attributes:
        token: Its id.
        text: What it stands for, with its space where it begins a word.
        probability: Of this token in the gap, the other gaps staying open.
    """

    token: int
    text: str
    probability: float


@dataclass(frozen=True)
class FilledMask:
    """Hold the gaps of one text, each with its likeliest tokens.

    Attributes:
        text: As given.
        gaps: For each `<mask>`, in reading order, the candidates, the likeliest first.
    """

    text: str
    gaps: tuple[tuple[Candidate, ...], ...]

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def fill_masks(
    run: Path,
    texts: Sequence[str],
    *,
    top: int = 5,
    tokenizer: Path | None = None,
    checkpoint: str = "final",
    reporter: Reporter = SILENT,
) -> list[FilledMask]:
    """Return the likeliest tokens for every `<mask>` of each text.

    Args:
        run: Folder of a masked run.
        texts: Each with one `<mask>` or more; brought into the text form of the run's corpus.
        top: Candidates for each gap.
        tokenizer: Folder of the run's tokenizer; found in its study when None.
        checkpoint: "final" or "step-N".
        reporter: Hears what is unclear about the text form.

    Raises:
        InputError: The model is causal; or a text has no gap, no known token, or too many tokens.
        ConfigurationError: `top` is not between 1 and the size of the vocabulary.
    """
    model = load_model(run, checkpoint)
    require_kind(run, model, is_causal=False)
    folder = tokenizer or evaluation_folders(run, "fill", None, None, checkpoint).tokenizer
    encoder = load_encoder(run, folder, model, reporter)
    if not 1 <= top <= encoder.vocab_size:
        raise ConfigurationError(
            f"the number of candidates must be from 1 to {encoder.vocab_size}, the size of the vocabulary",
            got=top,
        )
    backend = _seeing_masks(encoder.loaded.backend)
    encoded = [_encode(backend, encoder, text, model.config.max_seq_length) for text in texts]
    return [
        FilledMask(text, _gaps(model, encoder, ids, top))
        for text, ids in zip(texts, encoded, strict=True)
    ]


def _seeing_masks(backend: Tokenizer) -> Tokenizer:
    """Return a copy of a tokenizer to which `<mask>` in a text is the special token, not text."""
    copy = Tokenizer.from_str(backend.to_str())
    copy.encode_special_tokens = False
    return copy


def _encode(backend: Tokenizer, encoder: SequenceEncoder, text: str, longest: int) -> list[int]:
    special = encoder.special
    ids = backend.encode(text, add_special_tokens=False).ids
    if special.mask not in ids:
        raise InputError(
            f"the text must have at least one gap, written {MASK}",
            got=repr(text),
            remedy=f'For example: lilliput fill RUN "the {MASK} sat".',
        )
    if all(token in (special.mask, encoder.loaded.unknown_id) for token in ids):
        raise InputError(
            "the text must have at least one token that the tokenizer knows, beside its gaps",
            got=f"{text!r}, with none",
        )
    if len(ids) + 2 > longest:
        raise InputError(
            f"the text must have at most {longest - 2} tokens for this model", got=len(ids)
        )
    return [special.bos, *ids, special.eos]


@torch.inference_mode()
def _gaps(
    model: LanguageModel, encoder: SequenceEncoder, ids: Sequence[int], top: int
) -> tuple[tuple[Candidate, ...], ...]:
    places = [place for place, token in enumerate(ids) if token == encoder.special.mask]
    hidden_BLH = model.encode(torch.tensor([ids]))
    probabilities_MV = model.logits(hidden_BLH[0, places]).double().softmax(-1)
    values_MK, tokens_MK = probabilities_MV[:, : encoder.vocab_size].topk(top)
    decode = encoder.loaded.backend.decode
    return tuple(
        tuple(
            Candidate(token, decode([token], skip_special_tokens=False), value)
            for token, value in zip(tokens, values, strict=True)
        )
        for tokens, values in zip(tokens_MK.tolist(), values_MK.tolist(), strict=True)
    )
