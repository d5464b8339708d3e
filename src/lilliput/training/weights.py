"""The weights of a run: built from its seed or imported from a Hugging Face folder, and moved in and out by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.architecture import ModelConfig
from lilliput.core.errors import ArtefactError, ConfigurationError, InputError
from lilliput.core.files import require_file
from lilliput.core.hashing import file_hash
from lilliput.models import AttentionKernel, LanguageModel, build_model, load_hugging_face
from lilliput.models.hugging_face.layouts import read_foreign_config
from lilliput.tokenization import TokenStore
from lilliput.tokenization.same_ids import require_same_ids
from lilliput.training.checkpoints import WEIGHTS, read_checkpoint
from lilliput.training.data.unigram import log_unigram
from lilliput.training.run_config import RunConfig


def build_run_model(
    config: RunConfig, attention_kernel: AttentionKernel = "plain"
) -> LanguageModel:
    """Return the run's model at step 0, with the switches of the room `models` applied."""
    return build_model(
        config.built_model(),
        config.seed,
        config.initialisation(),
        attention_kernel=attention_kernel,
    )


def named_weights(model: LanguageModel) -> dict[str, Tensor]:
    """Return copies of all parameters by name; tied ones appear once."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def load_weights(model: LanguageModel, weights: Mapping[str, Tensor], where: str) -> None:
    """Copy `weights` into `model`.

    Raises:
        ArtefactError: A tensor is missing, unknown, or of another shape; the message names it.
    """
    parameters = dict(model.named_parameters())
    unmatched = sorted(parameters.keys() ^ weights.keys())
    unmatched += [n for n in parameters if n in weights and parameters[n].shape != weights[n].shape]
    if unmatched:
        raise ArtefactError(
            f"the tensors of {where} must be exactly those of its model",
            got=f"no match for {', '.join(unmatched)}",
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


@dataclass(frozen=True)
class ImportedStart:
    """Hold what a run that goes on from a folder takes from it.

    Attributes:
        model: Shape and layout.
        content: Hash of the weights; it enters the run's identity.
    """

    model: ModelConfig
    content: str


def read_start(folder: Path, store: TokenStore) -> ImportedStart:
    """Return the model in `folder`, if it reads the very ids of the token store.

    Raises:
        InputError: A file is missing, or the layout is not one of ours.
        ConfigurationError: The tokenizer in the folder is not the one that wrote the store.
    """
    config = require_file(folder / "config.json", "the configuration of the model to go on from")
    weights = require_file(folder / WEIGHTS, "the weights of the model to go on from")
    _, model = read_foreign_config(config)
    require_same_ids(folder, model.vocab_size, store)
    return ImportedStart(model, file_hash(weights))


def build_start(
    config: RunConfig,
    attention_kernel: AttentionKernel,
    initial: Path,
    folder: Path | None,
    train_tokens: NDArray[Any],
) -> LanguageModel:
    """Return the run's model before its first step.

    Args:
        config: Names the weights, if they are imported, by their hash.
        attention_kernel: See `Transformer`.
        initial: Checkpoint of the untrained weights; a run once begun starts from there, so that it
            needs the folder no more.
        folder: Hugging Face folder.
        train_tokens: Of the train split; their frequencies may be the start of the logits' bias.

    Raises:
        InputError: The weights are imported and there is no folder.
        ConfigurationError: The folder holds other weights.
    """
    model = build_run_model(config, attention_kernel)
    if model.decoder_bias is not None and config.training.decoder_bias_init == "log_unigram":
        with torch.no_grad():
            bias = log_unigram(train_tokens, config.model.vocab_size)
            model.decoder_bias.copy_(torch.from_numpy(bias))
    if not config.initial_weights:
        return model
    if initial.is_dir():
        load_weights(model, read_checkpoint(initial).weights, where=str(initial))
        return model
    if folder is None:
        raise InputError(
            "a run with initial_weights needs the folder that holds them",
            got="none",
            remedy="Give it with --from FOLDER, or as start_from in the recipe.",
        )
    content = file_hash(require_file(folder / WEIGHTS, "the weights of the model to go on from"))
    if content != config.initial_weights:
        raise ConfigurationError(
            f"{folder} must hold the weights with which the run was configured",
            got=f"{content}, not {config.initial_weights}",
        )
    load_weights(model, named_weights(load_hugging_face(folder)), where=str(folder))
    return model
