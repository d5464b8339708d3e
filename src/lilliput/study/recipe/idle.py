"""Refuse settings of a recipe that no run of its grid would notice.

A recipe with another scale laid over it, or with another grid, may leave some of its settings to the runs that are not
there: only the recipe as it is written is judged.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from lilliput.core.errors import ConfigurationError
from lilliput.study.recipe.expansion import StudyGrid, expand_recipe
from lilliput.study.recipe.schema import Recipe
from lilliput.training.idle_settings import idle_error, idle_settings
from lilliput.training.run_config import RunConfig
from lilliput.training.switches import Switches, profile_values


def refuse_idle_settings(recipe: Recipe, texts: Container[str]) -> None:
    """Raise ConfigurationError where a setting of the recipe does nothing in any of its runs.

    Examples are a table [search] where no block searches, a variant that no block lists, `training.num_cycles`
    without a cosine, and `training.learning_rate` where every block gives rates of its own.

    Args:
        recipe: The checked recipe.
        texts: Every text of the file, at any scale: what one of its grids names is no mistake.

    Raises:
        ConfigurationError: There is one; the message says what decides in its place.
    """
    if recipe.search and "search" not in texts:
        raise _idle("[search]", 'no block of the grid has learning_rates = "search"')
    for name in recipe.variants:
        if name not in texts:
            raise _idle(f"[variants.{name}]", "no block of the grid lists it")
    grid = expand_recipe(recipe)
    configs = [run.config(grid.vocab_size) for run in grid.runs]
    for name, value in _given(recipe):
        if all(_value(config, name) != value for config in configs) and not _is_searched(
            grid, name
        ):
            raise _idle(f"{'.'.join(name)} = {value!r}", "every block of the grid sets it itself")
    _refuse_unread(configs)


def _idle(what: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} must change something in the study",
        got=f"a grid in which it does nothing: {why}",
        remedy="Leave it out, or change the grid.",
    )


def _is_searched(grid: StudyGrid, name: tuple[str, ...]) -> bool:
    """Return whether runs whose rate is searched still read it: it stands in until the rate is found."""
    return name == ("training", "learning_rate") and bool(grid.searched)


def _given(recipe: Recipe) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield each setting of [training] and [model] that is written there, with its value."""
    for name in recipe.model:
        yield ("model", name), recipe.model[name]
    for name in recipe.training.model_fields_set - {"switches"}:
        yield ("training", name), getattr(recipe.training, name)
    usual = profile_values(recipe.training.profile)
    for name in Switches.model_fields:
        value = getattr(recipe.training.switches, name)
        if value != usual[name]:
            yield ("training", "switches", name), value


def _value(config: RunConfig, name: tuple[str, ...]) -> object:
    found: object = config
    for part in name:
        found = getattr(found, part)
    return found


def _refuse_unread(configs: Sequence[RunConfig]) -> None:
    """Raise ConfigurationError where a setting is read by none of the runs that have it."""
    idle: dict[str, str] = {}
    per_run: list[Mapping[str, str]] = [idle_settings(config) for config in configs]
    for found in per_run:
        idle |= found
    for name, why in idle.items():
        table, key = name.split(".")
        value = next(
            _value(c, (table, key)) for c, f in zip(configs, per_run, strict=True) if name in f
        )
        readers = (
            config for config, found in zip(configs, per_run, strict=True)
            if name not in found and _value(config, (table, key)) == value
        )  # fmt: skip
        if not any(readers):
            raise idle_error(name, value, why)
