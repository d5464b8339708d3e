"""Recipes are read from files, a scale and overrides are laid over, the result is checked, and copies are made for editing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, get_args

from lilliput.core.artefacts import STUDY_RECIPE, read_recorded_settings
from lilliput.core.errors import ConfigurationError, OccupiedFolderError
from lilliput.core.files import write_text
from lilliput.core.settings import parse_settings
from lilliput.core.toml import parse_assignment, parse_toml, read_toml, with_overrides
from lilliput.core.wording import listed
from lilliput.recipes import recipe_text, shipped_recipes
from lilliput.study.recipe.expansion import PlannedRun, StudyGrid, expand_recipe
from lilliput.study.recipe.idle import refuse_idle_settings
from lilliput.study.recipe.schema import Recipe
from lilliput.training.objectives.causal_lm import CausalLM
from lilliput.training.switches import Profile, profile_values

# Tables that act through the runs of the grid alone, or through texts that mention them.
_MAY_BE_IDLE = {"model", "training", "search", "variants"}


def load_recipe(name_or_path: str, assignments: Sequence[str] = ()) -> Recipe:
    """Return the checked recipe, with its scale and then the overrides laid over.

    Args:
        name_or_path: A TOML file, the name of a shipped recipe, or the `study.json` that a study keeps.
        assignments: Overrides, each KEY=VALUE with a dotted key; they win over the scale.

    Raises:
        ConfigurationError: A key is unknown, a value breaks a rule, an override changes nothing, or no such
            recipe or scale.
        InputError: The file is not there or not TOML.
    """
    if (
        Path(name_or_path).name == STUDY_RECIPE
    ):  # Resolved: scale, switches and variants are laid over.
        recorded = with_overrides(read_recorded_settings(Path(name_or_path).parent), assignments)
        return parse_settings(Recipe, recorded, name_or_path).read_from(name_or_path)
    tables = _read_tables(name_or_path)
    recipe = _parsed(tables, assignments, name_or_path)
    _refuse_unused_paths(tables, recipe, assignments)
    _refuse_idle_overrides(tables, recipe, assignments)
    changed = {parse_assignment(text)[0][0] for text in assignments}
    if recipe.scale == "full" and "grid" not in changed:
        refuse_idle_settings(recipe, set(_texts_in(tables)))
    return recipe


def _parsed(tables: Mapping[str, Any], assignments: Sequence[str], where: str) -> Recipe:
    values = with_overrides(_lay_scale(tables, assignments, where), assignments)
    recipe = parse_settings(Recipe, values, where).read_from(where)
    _refuse_lost_switches(recipe, values["training"].get("switches", {}))
    return recipe


def _refuse_unused_paths(
    tables: Mapping[str, Any], recipe: Recipe, assignments: Sequence[str]
) -> None:
    """Raise ConfigurationError where a folder of `paths` is written in no text of the recipe, at any scale."""
    given = {".".join(path): value for path, value in map(parse_assignment, assignments)}
    texts = list(_texts_in([tables, given]))
    used = {name for text in texts for name in re.findall(r"{(.*?)}", text)}
    for name in recipe.paths:
        if name not in used:
            near = difflib.get_close_matches(name, used, n=1)
            known = f"The recipe uses: {listed(sorted(used))}." if used else "The recipe uses none."
            raise ConfigurationError(
                f"a folder under paths must be used in {recipe.where}, as {{{name}}}",
                got=f"paths.{name}, which no text of it mentions",
                remedy=f"Did you mean {near[0]!r}?" if near else known,
            )


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from _texts_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _texts_in(inner)


def _refuse_idle_overrides(
    tables: Mapping[str, Any], recipe: Recipe, assignments: Sequence[str]
) -> None:
    """Raise ConfigurationError where an override changes the recipe, and nothing that the study makes.

    An example is `training.learning_rate` where every block of the grid gives rates of its own. An override
    with the value that the recipe has anyway is no mistake.
    """
    if not any(parse_assignment(text)[0][0] in _MAY_BE_IDLE for text in assignments):
        return
    effects = _effects(recipe)
    for position, text in enumerate(assignments):
        key = parse_assignment(text)[0]
        if key[0] not in _MAY_BE_IDLE:
            continue
        others = [*assignments[:position], *assignments[position + 1 :]]
        try:
            without = _parsed(tables, others, recipe.where)
            is_idle = without != recipe and _effects(without) == effects
        except ConfigurationError:  # The recipe needs it.
            continue
        if is_idle:
            raise ConfigurationError(
                "an override must change something that the study makes",
                got=f"--set {text}, and the plan is the same without it",
                remedy=_remedy_of_idle(key),
            )


def _remedy_of_idle(key: Sequence[str]) -> str:
    if key[0] == "search":
        return 'No block of the grid searches: give one learning_rates = "search".'
    if key[0] == "variants":
        return "No block of the grid lists this variant: name it in the block's variants."
    return f"Every block of the grid sets {key[-1]} itself: change it there, in [[grid]]."


def _effects(recipe: Recipe) -> Mapping[str, Any]:
    """Return all that the study is made of: its runs instead of the tables that they follow from."""
    grid = expand_recipe(recipe)
    rest = recipe.model_dump(mode="json", exclude=_MAY_BE_IDLE | {"grid"})
    return rest | {
        "runs": [_run_effects(grid, run) for run in grid.runs],
        "search": recipe.search if grid.searched else None,
    }


def _run_effects(grid: StudyGrid, run: PlannedRun) -> Mapping[str, Any]:
    config = run.config(grid.vocab_size).model_dump(mode="json")
    if run.is_searched:
        config["training"].pop("learning_rate")
    return {"name": run.name, "scored": run.scored, "config": config}


def _refuse_lost_switches(recipe: Recipe, given: Iterable[str]) -> None:
    """Raise ConfigurationError where a switch that was set holds in one profile of the grid alone.

    A switch that has the value of the recipe's own profile looks the same as one that was not given, once the recipe
    is resolved: a block with another profile has that profile's value.
    """
    own = profile_values(recipe.training.profile)
    for block, variant in ((b, v) for b in recipe.grid for v in b.variants or ("",)):
        profiles: list[Profile] = [one for one in get_args(Profile) if one in block.profiles]
        changes = [block.training, *(one.training for one in recipe.changes_of(variant))]
        for profile, name in product(profiles, given):
            value, others = getattr(recipe.training.switches, name), profile_values(profile)
            is_set_there = any(name in change.get("switches", {}) for change in changes)
            if value == own[name] != others[name] and not is_set_there:
                raise ConfigurationError(
                    f"the switch {name} must hold under every profile of the grid",
                    got=f"{value!r}, which is {recipe.training.profile}'s own, beside profile {profile!r}",
                    remedy=f"Set it in that block: training = {{ switches = {{ {name} = … }} }}.",
                )


def _read_tables(name_or_path: str) -> dict[str, Any]:
    path = Path(name_or_path)
    shipped = name_or_path in shipped_recipes()  # A study's folder often bears the same name.
    if path.is_file() or (not shipped and (path.suffix == ".toml" or path.exists())):
        return read_toml(path)
    beside = path.with_name(f"{path.name}.toml")
    if beside.is_file() and not shipped:
        raise ConfigurationError(
            "the recipe must be a file or one that ships with lilliput",
            got=repr(name_or_path),
            remedy=f"There is a file {beside}: give its name with the .toml.",
        )
    return parse_toml(recipe_text(name_or_path), name_or_path)


def _lay_scale(tables: Mapping[str, Any], assignments: Sequence[str], where: str) -> dict[str, Any]:
    """Return the tables with those of the chosen scale laid over."""
    values = dict(tables)
    scales: Any = values.pop("scales", {})
    if not isinstance(scales, Mapping) or not all(isinstance(s, Mapping) for s in scales.values()):
        raise ConfigurationError(
            f"scales in {where} must be a table of tables, as in [scales.tiny.training]", got=repr(scales)
        )  # fmt: skip
    chosen = str(values.get("scale", "full"))
    for key, value in map(parse_assignment, assignments):
        if key == ("scale",):
            chosen = str(value)
    if chosen == "full":
        return values
    if chosen not in scales:
        raise ConfigurationError(
            "the scale must be one of the recipe's", got=repr(chosen),
            remedy=f"This recipe has: {', '.join(['full', *scales])}.",
        )  # fmt: skip
    return _merge(values, scales[chosen])


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the tables of `top` laid over; lists and values are replaced whole."""
    merged = dict(base)
    for key, value in top.items():
        below: Any = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def init_recipe(name: str, recipe: str, folder: Path, *, is_causal: bool = False) -> Path:
    """Write a copy of the shipped `recipe` to `folder`/`name`.toml, named after it.

    Args:
        name: Name of the study.
        recipe: The shipped recipe.
        folder: Where the file goes.
        is_causal: Whether the models of the copy predict the next token, in the layout `llama`.

    Raises:
        ConfigurationError: No shipped recipe has this name, or its shapes do not suit a causal model.
        OccupiedFolderError: The file exists already.
    """
    path = folder / f"{name}.toml"
    text = recipe_text(recipe)
    if path.exists():
        raise OccupiedFolderError(
            "init must not overwrite a recipe", got=path, remedy="Choose another name."
        )
    text = text.replace(f'name = "{recipe}"', f'name = "{name}"', 1)
    header, rest = text.split("\n\n", maxsplit=1)
    text = f"{_header_of_copy(header, name, recipe)}\n\n{rest}"
    if is_causal:
        text = _made_causal(text)
        _require_sound_copy(text, recipe)
    write_text(path, text)
    return path


# What only masked language models read, with the comment lines that follow.
_OF_MASKS = re.compile(rf"^(?:{'|'.join(CausalLM.ignores)}) *=.*\n(?:[ ]+#.*\n)*", re.M)
_LAYOUT = re.compile(r"^layout *=.*\n(?:[ ]+#.*\n)*", re.M)
_CAUSAL_LAYOUT = """layout = "llama"               # causal: each token is predicted from those before it
"""


def _made_causal(text: str) -> str:
    """Return a recipe of masked language models with a causal layout, and without what only masks read."""
    return _OF_MASKS.sub("", _LAYOUT.sub(_CAUSAL_LAYOUT, text))


def _require_sound_copy(text: str, recipe: str) -> None:
    tables = parse_toml(text, recipe)
    try:
        expand_recipe(_parsed(tables, (), recipe))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"the recipe {recipe} must suit a causal model",
            got=str(error),
            remedy="Use --recipe domain, or mini-gpt, which is causal.",
        ) from None


def _header_of_copy(header: str, name: str, recipe: str) -> str:
    """Return the comments that a shipped recipe begins with, naming the copy, its file and its folder."""
    copied = f"Made with `lilliput init {name} --recipe {recipe}`: edit it"
    header = re.sub(r"Copy (it )?with `lilliput init [^`]*`( and edit)?", copied, header)
    header = re.sub(r"(command +)lilliput quickstart", rf"\1lilliput study run {name}.toml", header)
    header = re.sub(rf"(lilliput study (?:run|plan)) {recipe}(?![\w-])", rf"\1 {name}.toml", header)
    return header.replace(f" --out {recipe}", "").replace(
        f"lilliput-{recipe}/", f"lilliput-{name}/"
    )
