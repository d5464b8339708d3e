"""Texts that a causal model writes on from prompts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator
from lilliput.evaluation.encoding import SequenceEncoder
from lilliput.evaluation.folders import evaluation_folders
from lilliput.evaluation.generation.decoder import CachedDecoder, Decoder, PlainDecoder
from lilliput.evaluation.generation.sampling import choose
from lilliput.evaluation.generation.settings import GenerationSettings
from lilliput.evaluation.weights import load_encoder
from lilliput.models import LanguageModel
from lilliput.training import load_model

Stopped = Literal["end", "length", "context"]
_SHOWN = 60


@dataclass(frozen=True)
class Sample:
    """Hold one text that a model made.

    Attributes:
        prompt: What it began with, as given.
        text: What the model added, as text.
        ids: The added tokens; the one that ended the text is not among them.
        stopped: Why it stopped: the model ended the text ("end"), `max_new_tokens` were added ("length"),
            or the model's context is full ("context").
        sample: Number of the text among those of its prompt, from 0.
    """

    prompt: str
    text: str
    ids: tuple[int, ...]
    stopped: Stopped
    sample: int = 0

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class GeneratedTexts:
    """Hold the texts of one call with its speed.

    Attributes:
        samples: In the order of the prompts, and of the samples of each.
        seconds: Wall time of making them, without loading the model and compiling.
    """

    samples: tuple[Sample, ...]
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        """Return new tokens per second."""
        return sum(len(one.ids) for one in self.samples) / max(self.seconds, 1e-9)


def generate_texts(
    run: Path,
    prompts: Sequence[str],
    *,
    settings: GenerationSettings | None = None,
    tokenizer: Path | None = None,
    checkpoint: str = "final",
    reporter: Reporter = SILENT,
) -> GeneratedTexts:
    """Let a causal run go on with prompts.

    A prompt is brought into the text form of the run's corpus (lower case, for one). White space at its
    end is left out, because a space belongs to the token of the next word.

    Args:
        run: Folder of the run.
        prompts: Texts to begin with.
        settings: How tokens are chosen; greedy, 64 tokens by default.
        tokenizer: Folder of the run's tokenizer; found in its study when None.
        checkpoint: "final" or "step-N".
        reporter: Where progress goes.

    Raises:
        InputError: The model is masked; or a prompt is empty, has no known token or is too long.
    """
    settings = settings or GenerationSettings()
    model = load_model(run, checkpoint)
    require_kind(run, model, is_causal=True)
    folder = tokenizer or evaluation_folders(run, "generate", None, None, checkpoint).tokenizer
    encoder = load_encoder(run, folder, model, reporter)
    encoded = encode_prompts(encoder, prompts, model.config.max_seq_length)
    decoder = CachedDecoder(model) if settings.use_cache else PlainDecoder(model)
    if settings.use_cache:  # The first call compiles.
        _warm_up(decoder)
    started = time.perf_counter()
    found = generate_tokens(
        model, encoded, settings, end=encoder.special.eos, decoder=decoder, reporter=reporter
    )
    seconds = time.perf_counter() - started
    samples = [
        Sample(
            prompts[number // settings.samples],
            encoder.loaded.backend.decode(list(ids), skip_special_tokens=True),
            ids,
            stopped,
            number % settings.samples,
        )
        for number, (ids, stopped) in enumerate(found)
    ]
    return GeneratedTexts(tuple(samples), seconds)


def _warm_up(decoder: Decoder) -> None:
    decoder.open(1, 1)
    decoder.advance([0], [[0]])


def require_kind(run: Path, model: LanguageModel, *, is_causal: bool) -> None:
    """Refuse a masked model where a causal one is needed, and the other way round.

    Raises:
        InputError: The model is of the other kind; the message names the verb for it.
    """
    if model.config.is_causal == is_causal:
        return
    if is_causal:
        raise InputError(
            "only a causal model can go on with a prompt",
            got=f"a masked model in {run}",
            remedy='Fill gaps with it: lilliput fill RUN "the <mask> sat".',
        )
    raise InputError(
        "only a masked model can fill gaps",
        got=f"a causal model in {run}",
        remedy="Let it go on with a text: lilliput generate RUN --prompt TEXT.",
    )


def encode_prompts(
    encoder: SequenceEncoder, prompts: Sequence[str], max_seq_length: int
) -> list[list[int]]:
    """Return the ids of each prompt, `<s>` first.

    Raises:
        InputError: There is no prompt, or one that is empty, has no known token, or leaves no room for
            another token.
    """
    if not prompts:
        raise InputError(
            "there must be at least one prompt",
            got="none",
            remedy="Give one with --prompt TEXT, or a file with --prompts FILE.",
        )
    bare = [prompt.rstrip() for prompt in prompts]
    for number, (prompt, text) in enumerate(zip(prompts, bare, strict=True), 1):
        if not text.strip():
            raise InputError("a prompt must hold text", got=f"{prompt!r} as prompt {number}")
    encoded = encoder.ids(bare)
    for number, (prompt, ids) in enumerate(zip(prompts, encoded, strict=True), 1):
        shown = repr(prompt if len(prompt) <= _SHOWN else prompt[:_SHOWN] + "…")
        if all(token == encoder.loaded.unknown_id for token in ids):
            raise InputError(
                "a prompt must have at least one token that the tokenizer knows",
                got=f"{shown} as prompt {number}, with none",
                remedy="Use words of the run's language.",
            )
        if 1 + len(ids) >= max_seq_length:
            raise InputError(
                f"a prompt must have at most {max_seq_length - 2} tokens for this model",
                got=f"{len(ids)} tokens in prompt {number}, {shown}",
                remedy="Shorten it, or use a model with a larger max_seq_length.",
            )
    return [[encoder.special.bos, *ids] for ids in encoded]


def generate_tokens(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    settings: GenerationSettings,
    *,
    end: int,
    decoder: Decoder | None = None,
    reporter: Reporter = SILENT,
) -> list[tuple[tuple[int, ...], Stopped]]:
    """Return the new tokens of each prompt and why they stop; `settings.samples` texts a prompt, in order.

    Args:
        model: A causal model.
        prompts: Token ids of each prompt, with whatever stands before it (`<s>`).
        settings: How tokens are chosen.
        end: The token that ends a text; it is not returned.
        decoder: Where the logits come from; by default with kept keys and values if the settings say so.
        reporter: Where progress goes.
    """
    decoder = decoder or (CachedDecoder(model) if settings.use_cache else PlainDecoder(model))
    texts = [
        _Text(list(prompt), generator(settings.seed, "generate", number, sample))
        for number, prompt in enumerate(prompts)
        for sample in range(settings.samples)
    ]
    with reporter.task("texts", total=len(texts), unit="texts") as progress:
        for batch in _batches(texts, settings.batch_size):
            _finish(batch, decoder, settings, end, model.config.max_seq_length)
            progress.advance(len(batch))
    return [(tuple(text.added), text.stopped) for text in texts]


class _Text:
    """Hold a text that is still being generated."""

    def __init__(self, prompt: list[int], draws: np.random.Generator) -> None:
        self.prompt = prompt
        self.draws = draws
        self.added: list[int] = []
        self.stopped: Stopped = "length"


def _batches(texts: Sequence[_Text], size: int) -> Iterator[list[_Text]]:
    """Yield texts whose prompts have like lengths, so that they fill their caches alike."""
    ordered = sorted(texts, key=lambda text: len(text.prompt))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _finish(
    batch: list[_Text], decoder: Decoder, settings: GenerationSettings, end: int, context: int
) -> None:
    longest = max(len(text.prompt) for text in batch) + settings.max_new_tokens
    decoder.open(len(batch), min(context, longest))
    going = list(range(len(batch)))
    new = [text.prompt for text in batch]
    for step in range(settings.max_new_tokens):
        logits = decoder.advance(going, new)
        chosen = choose(logits, settings, [batch[i].draws for i in going])
        for i, token in zip(going, chosen, strict=True):
            text = batch[i]
            if token == end:
                text.stopped = "end"
                continue
            text.added.append(token)
            if len(text.prompt) + len(text.added) >= context:
                text.stopped = "context" if step + 1 < settings.max_new_tokens else "length"
        going = [
            i
            for i, token in zip(going, chosen, strict=True)
            if token != end and len(batch[i].prompt) + len(batch[i].added) < context
        ]
        if not going:
            return
        new = [batch[i].added[-1:] for i in going]
