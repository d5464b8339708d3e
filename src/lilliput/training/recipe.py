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
from lilliput.training.config import TrainingConfig, refuse_overridden_dropout
from lilliput.training.idle_settings import refuse_idle_settings
from lilliput.training.run_config import RunConfig
from lilliput.training.weights import read_start


class _Recipe(Settings):
    """Hold the keys of the file."""

    tokens: str = Field(description="Folder of the token store, relative to the recipe.")
    out: str = Field(description="Folder of the run, relative to the recipe.")
    seed: NonNegativeInt = Field(0, description="Of weights, data order, masks and dropout.")
    start_from: str = Field(
        "", description="Hugging Face folder of a model to go on training, relative to the recipe."
    )
    model: dict[str, Any] = Field(
        default_factory=dict,
        description="Layout and sizes; those of `start_from` when it is given.",
    )
    training: TrainingConfig = Field(
        default_factory=lambda: parse_settings(TrainingConfig, {}),
        description="See TrainingConfig.",
    )


@dataclass(frozen=True)
class RunRecipe:
    """Hold a configuration with its places on disk."""

    config: RunConfig
    tokens: Path
    out: Path
    weights_from: Path | None = None


def read_recipe(
    path: Path, overrides: Iterable[str] = (), start_from: Path | None = None
) -> RunRecipe:
    """Return the run that a recipe describes.

    The model's vocabulary and longest sequence are taken from the token store and from
    `training.max_seq_length` where the recipe leaves them out.

    Args:
        path: TOML file.
        overrides: `KEY=VALUE` with dotted keys, each put in the place of the file's value.
        start_from: Hugging Face folder to go on from, in the place of the recipe's.

    Raises:
        InputError: The file or the token store is not there.
        ConfigurationError: A key is unknown, or a value breaks a rule.
    """
    recipe = parse_settings(_Recipe, with_overrides(read_toml(path), overrides), where=path.name)
    tokens = path.parent / recipe.tokens
    folder = start_from or (path.parent / recipe.start_from if recipe.start_from else None)
    training = recipe.training.located(path.parent)
    if training.order.score:
        order = training.order.seen_from(tokens)
        training = training.model_copy(update={"order": order})
    values: dict[str, Any] = {"training": training, "seed": recipe.seed}
    refuse_overridden_dropout(recipe.model, training)
    if folder is None:
        values["model"] = _model_values(recipe.model, tokens, training)
    else:
        start = read_start(folder, open_store(tokens))
        values["model"] = _agreed_model(recipe.model, start.model, folder)
        values["initial_weights"] = start.content
    config = parse_settings(RunConfig, values, where=path.name)
    refuse_idle_settings(config)
    return RunRecipe(config, tokens, path.parent / recipe.out, folder)


def _agreed_model(given: Mapping[str, Any], imported: ModelConfig, folder: Path) -> dict[str, Any]:
    """Return the imported model; what the recipe says of it must be true."""
    values = imported.model_dump()
    for name, value in given.items():
        if name in values and values[name] != value:
            raise ConfigurationError(
                f"model.{name} must be that of the model in {folder}, {values[name]!r}",
                got=repr(value),
                remedy="Leave the table [model] out: the folder says what the model is.",
            )
    return values | dict(given)


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
