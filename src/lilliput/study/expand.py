"""From a recipe to its runs: every shape under every language, profile and seed of each grid block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lilliput.architecture import ModelConfig
from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import parse_settings
from lilliput.study.grid import format_shape
from lilliput.study.recipe import Recipe
from lilliput.training.config import RunConfig, TrainingConfig
from lilliput.training.switches import profile_values

_BUDGETS = frozenset({"max_steps", "max_tokens", "num_train_epochs"})


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study, before the tokenizer says how large its vocabulary is.

    Attributes:
        language: Which corpus it learns.
        profile: Its training profile.
        shape: E/H/I/A/L.
        sizes: The five sizes.
        seed: Of weights, order and masks.
        variant: Name of what its grid block changes; empty when nothing.
        training: Its recipe.
        model: Fields of the model beside sizes and vocabulary.
    """

    language: str
    profile: str
    shape: str
    sizes: Mapping[str, int]
    seed: int
    variant: str
    training: TrainingConfig
    model: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What people call it; unique within a study."""
        return f"{self.family} {self.shape} seed {self.seed}"

    @property
    def family(self) -> str:
        """Runs that differ in size and seed alone; laws are fitted within one."""
        return " ".join(filter(None, (self.language, self.profile, self.variant)))

    def config(self, vocab_size: int) -> RunConfig:
        """The run's whole configuration.

        Raises:
            ConfigurationError: The sizes do not fit together.
        """
        fields = {"layout": "electra", **self.model, **self.sizes}
        model = ModelConfig.for_layout(
            str(fields.pop("layout")),
            max_seq_length=self.training.max_seq_length,
            vocab_size=vocab_size,
            **fields,
        )
        return RunConfig(model=model, training=self.training, seed=self.seed)

    def info(self) -> dict[str, Any]:
        """What stands beside the run's configuration in its record."""
        return {
            "name": self.name,
            "language": self.language,
            "profile": self.profile,
            "family": self.family,
            "shape": self.shape,
        }


def planned_runs(recipe: Recipe) -> list[PlannedRun]:
    """All runs of the recipe, each once, smallest shapes first within a language.

    Every shape is checked here, so that a wrong one is refused before anything is built.
    """
    runs: dict[str, PlannedRun] = {}
    for run in _expand(recipe):
        run.config(assumed_vocab_size(recipe))
        runs.setdefault(run.name, run)
    if not runs:
        raise ConfigurationError("the grid must have at least one run", got="none")
    return list(runs.values())


def _expand(recipe: Recipe) -> Iterator[PlannedRun]:
    for block in recipe.grid:
        for language in block.languages:
            for profile in block.profiles:
                training = _with_changes(_with_profile(recipe.training, profile), block.training)
                model = recipe.model | block.model
                for sizes in block.expand():
                    for seed in block.seeds:
                        yield PlannedRun(
                            language, profile, format_shape(sizes), sizes, seed, block.variant,
                            training, model,
                        )  # fmt: skip


def _with_profile(training: TrainingConfig, profile: str) -> TrainingConfig:
    """The study's recipe under another profile; switches that were set one by one stay."""
    values = training.model_dump(exclude={"switches"}, exclude_unset=True)
    base = profile_values(training.profile)
    chosen = {k: v for k, v in training.switches.model_dump().items() if v != base[k]}
    return parse_settings(
        TrainingConfig, values | {"profile": profile, "switches": chosen}, "the grid"
    )


def _with_changes(training: TrainingConfig, changes: Mapping[str, Any]) -> TrainingConfig:
    """The recipe with the keys that one grid block changes."""
    if not changes:
        return training
    values = training.model_dump(exclude_unset=True)
    if _BUDGETS & changes.keys():
        values = {key: value for key, value in values.items() if key not in _BUDGETS}
    values |= changes
    switches = training.switches.model_dump() | dict(changes.get("switches", {}))
    return parse_settings(TrainingConfig, values | {"switches": switches}, "the grid")


def assumed_vocab_size(recipe: Recipe) -> int:
    """The vocabulary that the chosen tokenizer was asked for."""
    return int(recipe.tokenizers.train_with.rsplit("-", 1)[1])
