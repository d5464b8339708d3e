"""The recipe of one run: a TOML file that names a token store, a folder, a model and a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt

from lilliput.architecture import ModelConfig
from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Settings, parse_settings
from lilliput.core.toml import read_toml, with_overrides
from lilliput.tokenization import open_store
from lilliput.training.config import RunConfig, TrainingConfig


class _Recipe(Settings):
    """The keys of the file."""

    tokens: str = Field(description="Folder of the token store, relative to the recipe.")
    out: str = Field(description="Folder of the run, relative to the recipe.")
    seed: NonNegativeInt = Field(0, description="Of weights, data order, masks and dropout.")
    model: dict[str, Any] = Field(description="Layout and sizes.")
    training: TrainingConfig = Field(
        default_factory=lambda: parse_settings(TrainingConfig, {}),
        description="See TrainingConfig.",
    )


@dataclass(frozen=True)
class RunRecipe:
    """A configuration with its places on disk."""

    config: RunConfig
    tokens: Path
    out: Path


def read_recipe(path: Path, overrides: Iterable[str] = ()) -> RunRecipe:
    """The run that a recipe describes.

    The model's vocabulary and longest sequence are taken from the token store and from
    `training.max_seq_length` where the recipe leaves them out.

    Args:
        path: TOML file.
        overrides: `KEY=VALUE` with dotted keys, each put in the place of the file's value.

    Raises:
        InputError: The file or the token store is not there.
        ConfigurationError: A key is unknown, or a value breaks a rule.
    """
    recipe = parse_settings(_Recipe, with_overrides(read_toml(path), overrides), where=path.name)
    tokens = path.parent / recipe.tokens
    model = _model_values(recipe.model, tokens, recipe.training)
    values = {"model": model, "training": recipe.training, "seed": recipe.seed}
    config = parse_settings(RunConfig, values, where=path.name)
    return RunRecipe(config, tokens, path.parent / recipe.out)


def _model_values(
    given: Mapping[str, Any], tokens: Path, training: TrainingConfig
) -> dict[str, Any]:
    if "layout" not in given:
        raise ConfigurationError(
            "model.layout must be given", remedy="For example: layout = 'roberta'"
        )
    values: dict[str, Any] = {"vocab_size": open_store(tokens).vocab_size, **given}
    if "max_position_embeddings" in values:
        return values
    filled = ModelConfig.for_layout(max_seq_length=training.max_seq_length, **values)
    return filled.model_dump()
