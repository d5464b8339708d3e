"""The runs of a study that other runs of it need, such as the teachers of distilled students: which, and in which order.

A student of the shape 16/32/128/2/2 with `teacher = "run:teacher 64/64/256/4/2"` needs the run of the variant
`teacher` with that shape, in its own language and profile, and with its own seed where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import parse_settings
from lilliput.core.wording import listed
from lilliput.training.config import TrainingConfig
from lilliput.training.objectives.base import AUTO, ObjectiveSettings, StudyRun
from lilliput.training.objectives.distillation import RUN_PREFIX, SELF, plain_convention
from lilliput.training.run_config import RunConfig

if TYPE_CHECKING:
    from lilliput.study.recipe.expansion import PlannedRun
    from lilliput.study.recipe.schema import Recipe

_MOST_NAMED = 4


def with_needed_runs(
    recipe: Recipe, runs: Mapping[str, PlannedRun], configs: Mapping[str, RunConfig]
) -> tuple[PlannedRun, ...]:
    """Return the runs with the names of those that each needs.

    Args:
        recipe: Of the study.
        runs: All runs of its grid by name.
        configs: The configuration of each.

    Raises:
        ConfigurationError: A run that is needed is not there, or it is not clear which is meant; a learning rate
            is searched for a run that needs others; two runs need each other.
    """
    found = tuple(_with_needs(run, runs, configs) for run in runs.values())
    asked = recipe.analysis.flops
    if asked != plain_convention(asked) and not any(run.needs for run in found):
        raise ConfigurationError(
            "analysis.flops may count the training of teachers where runs of the grid have teachers",
            got=f"{asked!r}, and no run has one",
            remedy=f"Write {plain_convention(asked)}.",
        )
    if any(run.needs for run in found):
        in_levels(found)
    return found


def _with_needs(
    run: PlannedRun, runs: Mapping[str, PlannedRun], configs: Mapping[str, RunConfig]
) -> PlannedRun:
    written = run.training.objective.study_runs
    if written and run.is_searched:
        raise ConfigurationError(
            "the learning rate of a run that needs other runs cannot be searched",
            got=f"{run.name}, which needs {written[0]!r}",
            remedy="Search it for the plain run, and give that rate.",
        )
    return replace(run, needs={text: _find(run, text, runs, configs) for text in written})


def _find(
    run: PlannedRun,
    text: str,
    runs: Mapping[str, PlannedRun],
    configs: Mapping[str, RunConfig],
) -> str:
    """Return the name of the run that `text` stands for in the settings of `run`."""
    others = [one for one in runs.values() if one.name != run.name]
    if text == SELF:
        plain = _without_objective(configs[run.name])
        matches = [
            one
            for one in others
            if one.language == run.language and configs[one.name].identity_settings() == plain
        ]
        wanted = f"{run.name} trained without a teacher"
    else:
        wanted = text.removeprefix(RUN_PREFIX)
        near = [one for one in others if (one.language, one.profile) == (run.language, run.profile)]
        matches = [one for one in others if one.name == wanted]
        matches = matches or [one for one in near if wanted in _short_names(one)]
        matches = [one for one in matches if one.seed == run.seed] or matches
    if len(matches) == 1:
        return matches[0].name
    names = [one.name for one in (matches or others)[:_MOST_NAMED]]
    raise ConfigurationError(
        f"a run that another one needs must be one run of the grid: {wanted}",
        got=f"{len(matches)} such runs, for {run.name}",
        remedy=f"{'They are' if matches else 'There are'}: {listed(names)}{', …' if len(matches or others) > _MOST_NAMED else ''}.",
    )


def _short_names(run: PlannedRun) -> set[str]:
    """Return the run's name without language, profile and seed, with and without its budget."""
    parts = [part for part in (run.variant, run.rate, run.shape) if part]
    return {" ".join(parts), " ".join([*parts, run.budget]).strip()}


def _without_objective(config: RunConfig) -> dict[str, Any]:
    plain = parse_settings(ObjectiveSettings, {"name": AUTO})
    training = config.training.model_copy(update={"objective": plain})
    return config.model_copy(update={"training": training}).identity_settings()


def in_levels(runs: Sequence[PlannedRun]) -> list[list[PlannedRun]]:
    """Return the runs in levels: those of each need only runs of the levels before it.

    Raises:
        ConfigurationError: Runs need each other in a circle.
    """
    levels: list[list[PlannedRun]] = []
    placed: set[str] = set()
    waiting = list(runs)
    while waiting:
        ready = [run for run in waiting if set(run.needs.values()) <= placed]
        if not ready:
            raise ConfigurationError(
                "runs of the grid must not need each other in a circle", got=waiting[0].name
            )
        levels.append(ready)
        placed |= {run.name for run in ready}
        waiting = [run for run in waiting if run.name not in placed]
    return levels


def located_config(
    recipe: Recipe, run: PlannedRun, vocab_size: int, known: Mapping[str, StudyRun]
) -> RunConfig:
    """Return the configuration of a run with all that its objective and its order read found.

    Paths begin where the command was started, as all paths of a study's recipe do, and a {name} of `paths` stands
    for its folder.

    Args:
        recipe: Of the study.
        run: The run.
        vocab_size: Ids of its tokenizer.
        known: What is known of the runs of earlier levels, by name.

    Raises:
        ConfigurationError: What was found does not suit the run.
        InputError: A file or a folder is not there.
    """
    training = _resolved(recipe, run.training)
    runs = {text: known[name] for text, name in run.needs.items()}
    if not training.order.score:
        return replace(run, training=training.located(Path(), runs)).config(vocab_size)
    # The order reads one of the study's own scores, and the stage that trains knows where it lies.
    objective = training.objective.located_in_study(Path(), runs)
    located = training.model_copy(update={"objective": objective})
    return replace(run, training=located).config(vocab_size)


def _resolved(recipe: Recipe, training: TrainingConfig) -> TrainingConfig:
    """Return the settings with each {name} in texts of objective and order replaced."""
    given = {"objective": training.objective, "order": training.order}
    changed = {
        key: type(settings).model_validate(_in_texts(recipe, settings.model_dump()))
        for key, settings in given.items()
    }
    return training.model_copy(update=changed)


def _in_texts(recipe: Recipe, value: Any) -> Any:
    if isinstance(value, str):
        return recipe.resolve(value)
    if isinstance(value, dict):
        return {key: _in_texts(recipe, inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, (list, tuple)):
        return type(value)(_in_texts(recipe, inner) for inner in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value
