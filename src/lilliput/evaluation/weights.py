"""The two sets of weights of every comparison: what a run learned, and the untrained baseline that it began with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xxhash

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import ArtefactError, ConfigurationError
from lilliput.core.progress import SILENT, Reporter
from lilliput.evaluation.encoding import SequenceEncoder
from lilliput.evaluation.folders import run_origins
from lilliput.language import TextForm, recorded_text_form
from lilliput.models import LanguageModel
from lilliput.training import load_model, read_run_config
from lilliput.training.weights import build_run_model

TRAINED, UNTRAINED = "trained", "untrained"
INITIAL = "initial"


@dataclass(frozen=True)
class ScoredWeights:
    """Weights to fine-tune or to score, with the proof of which they are.

    Attributes:
        name: "trained" or "untrained".
        checkpoint: Folder name under the run's checkpoints.
        model: The weights, float32, on the processor.
        digest: XXH3-128 of all weights as they were loaded.
    """

    name: str
    checkpoint: str
    model: LanguageModel
    digest: str


def weights_digest(model: LanguageModel) -> str:
    """Return XXH3-128 over names and values of all parameters, 32 hexadecimal digits."""
    state = xxhash.xxh3_128()
    for name, parameter in sorted(model.named_parameters()):
        state.update(name.encode())
        state.update(parameter.detach().contiguous().numpy().tobytes())
    return state.hexdigest()


def load_weights(
    run: Path, checkpoint: str = "final", *, untrained: bool = True
) -> list[ScoredWeights]:
    """Return the weights at `checkpoint`, and with `untrained` those the run started from.

    The published baseline without pre-training may have read pre-trained weights, whatever was asked
    for. Here it is proved: the loader refuses a tensor it cannot place, the initial checkpoint must be
    bit for bit what the run's seed draws, and it must differ from the trained one.

    Raises:
        InputError: The run or the checkpoint is not there.
        ArtefactError: The weights are not what their name says.
    """
    weight_sets = [_load(run, TRAINED, checkpoint)]
    if untrained and checkpoint != INITIAL:
        weight_sets.append(_load(run, UNTRAINED, INITIAL))
        _prove_untrained(run, weight_sets[1], weight_sets[0])
    return weight_sets


def _load(run: Path, name: str, checkpoint: str) -> ScoredWeights:
    model = load_model(run, checkpoint)
    return ScoredWeights(name, checkpoint, model, weights_digest(model))


def _prove_untrained(run: Path, untrained: ScoredWeights, trained: ScoredWeights) -> None:
    config = read_run_config(run)
    drawn = dict(build_run_model(config).named_parameters())
    held = dict(untrained.model.named_parameters())
    if config.training.decoder_bias_init != "drawn":
        held["decoder_bias"] = drawn["decoder_bias"]  # It comes from the tokens, not from the seed.
    if not all(torch.equal(drawn[name], held[name]) for name in drawn):
        raise ArtefactError(
            f"the initial checkpoint of {run} must hold the weights that its seed draws",
            got=f"other weights (digest {untrained.digest})",
            remedy="Train the run again in another folder.",
        )
    if untrained.digest == trained.digest:
        raise ArtefactError(
            f"the {trained.checkpoint} checkpoint of {run} must differ from the initial one",
            got=f"the same weights (digest {trained.digest})",
        )


def text_form_of_run(run: Path) -> TextForm | None:
    """Return the form of the text that a run learned from; None where neither it nor its tokens say."""
    form = recorded_text_form(read_manifest(run, "run"))
    store = run_origins(run).tokens if form is None else None
    return form if store is None else recorded_text_form(read_manifest(store))


def text_form_record(run: Path) -> dict[str, Any] | None:
    """Return the text form of a run as plain data, for the identity of its evaluations."""
    text_form = text_form_of_run(run)
    return None if text_form is None else text_form.model_dump()


def load_encoder(
    run: Path, tokenizer: Path, model: LanguageModel, reporter: Reporter = SILENT
) -> SequenceEncoder:
    """Return what turns texts into the ids of a run's model, as the run's own corpus was turned into them.

    Args:
        run: Folder of the run.
        tokenizer: Folder of its tokenizer.
        model: The run's, whose vocabulary is checked.
        reporter: Hears where nothing says what was done to the corpus's text.

    Raises:
        ConfigurationError: It is another tokenizer.
    """
    text_form = text_form_of_run(run)
    if text_form is None:
        reporter.say(
            "Neither the run nor its tokens say what was done to the corpus's text (lower-casing, for one): "
            "texts go to the tokenizer as they stand."
        )
    encoder = SequenceEncoder.load(tokenizer, text_form)
    check_vocabulary(run, model, encoder)
    return encoder


def check_vocabulary(run: Path, model: LanguageModel, encoder: SequenceEncoder) -> None:
    """Refuse a tokenizer other than the run's.

    Where the run's token store lies beside it, the content must be the same; elsewhere the model must
    have all ids.

    Raises:
        ConfigurationError: It is another tokenizer.
    """
    store = run_origins(run).tokens
    known = read_manifest(store).inputs["tokenizer"] if store else None
    ids = model.config.vocab_size
    if encoder.vocab_size > ids or known not in (None, encoder.loaded.content):
        raise ConfigurationError(
            f"the tokenizer must be the one the model was trained with ({ids} ids)",
            got=f"{encoder.loaded.folder} with {encoder.vocab_size} ids",
            remedy="Give the tokenizer of this run's language.",
        )
