"""From a recipe to its runs: every shape of each grid block, times all that the block multiplies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from lilliput.architecture import ModelConfig
from lilliput.core.errors import ConfigurationError
from lilliput.core.hashing import content_id
from lilliput.core.settings import parse_settings
from lilliput.study.recipe.families import quantity_of
from lilliput.study.recipe.grid import GridBlock, format_shape
from lilliput.study.recipe.schema import Recipe
from lilliput.training.config import RunConfig, TrainingConfig, refuse_overridden_dropout
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
        rate: Its learning rate in words, where its block has several.
        budget: Its budget in words, where its block has several.
        scored: Whether it is fine-tuned and scored when it is trained.
    """

    language: str
    profile: str
    shape: str
    sizes: Mapping[str, int]
    seed: int
    variant: str
    training: TrainingConfig
    model: Mapping[str, Any]
    rate: str = ""
    budget: str = ""
    scored: bool = True

    @property
    def name(self) -> str:
        """What people call it; unique within a study."""
        return _words(self.family, self.shape, self.budget, f"seed {self.seed}")

    @property
    def family(self) -> str:
        """Runs that differ in size, budget and seed alone; laws are fitted within one."""
        return _words(self.language, self.profile, self.variant, self.rate)

    def config(self, vocab_size: int) -> RunConfig:
        """The run's whole configuration.

        Raises:
            ConfigurationError: The sizes do not fit together.
        """
        refuse_overridden_dropout(self.model, self.training)
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
            "variant": _words(self.variant, self.rate),
            "family": self.family,
            "shape": self.shape,
        }


def _words(*parts: str) -> str:
    return " ".join(filter(None, parts))


def planned_runs(recipe: Recipe) -> list[PlannedRun]:
    """All runs of the recipe, each once, smallest shapes first within a language.

    Every shape is checked here, so that a wrong one is refused before anything is built.
    """
    runs: dict[str, PlannedRun] = {}
    for run in _expand(recipe):
        config = run.config(assumed_vocab_size(recipe))
        twin = runs.setdefault(run.name, run)
        if twin is not run and twin.config(assumed_vocab_size(recipe)) != config:
            raise ConfigurationError(
                "runs of the grid that differ must differ in name", got=f"two called {run.name!r}",
                remedy="Name the variant of one of their blocks.",
            )  # fmt: skip
        if run.scored:
            runs[run.name] = run
    if not runs:
        raise ConfigurationError("the grid must have at least one run", got="none")
    return list(runs.values())


def require_distinct_runs(recipe: Recipe) -> None:
    """Raise ConfigurationError where two names of the grid are one run: it would have one folder, done once.

    Runs whose learning rate is searched are not known yet, and are left out.
    """
    known = tuple(block for block in recipe.grid if block.learning_rates != "search")
    runs = planned_runs(recipe.model_copy(update={"grid": known})) if known else []
    names: dict[str, str] = {}
    for run in runs:
        settings = run.config(assumed_vocab_size(recipe)).identity_settings()
        other = names.setdefault(content_id([run.language, settings]), run.name)
        if other != run.name:
            raise ConfigurationError(
                "runs of the grid that differ in name must differ in what is trained",
                got=f"{other!r} and {run.name!r}, the same run",
                remedy="Take one of the blocks out, or let its variant change something.",
            )


def _expand(recipe: Recipe) -> Iterator[PlannedRun]:
    for block in recipe.grid:
        for language, profile in product(block.languages, block.profiles):
            yield from _expand_block(recipe, block, language, profile)


def _expand_block(
    recipe: Recipe, block: GridBlock, language: str, profile: str
) -> Iterator[PlannedRun]:
    base = _with_changes(_with_profile(recipe.training, profile), block.training)
    model = recipe.model | block.model
    versions = list(_versions(block, base))

    def measure(quantity: str, sizes: Mapping[str, int]) -> float:
        run = PlannedRun(language, profile, "", sizes, 0, "", base, model)
        config = run.config(assumed_vocab_size(recipe))
        return quantity_of(config.built_model(), quantity, config.objective().predicted_share)

    for sizes in block.expand(measure):
        for rate, budget, training in versions:
            for seed in block.seeds:
                yield PlannedRun(
                    language, profile, format_shape(sizes), sizes, seed, block.variant, training,
                    model, rate, budget, block.scored,
                )  # fmt: skip


def _versions(
    block: GridBlock, training: TrainingConfig
) -> Iterator[tuple[str, str, TrainingConfig]]:
    """Each learning rate and budget of the block, in words where there are several, and the recipe.

    While rates are still to be searched, the recipe's own stands in for them: what a run costs does not
    depend on it.
    """
    rates = block.learning_rates
    for rate in (None,) if rates == "search" else rates or (None,):
        for budget in block.budgets or (None,):
            changes: dict[str, Any] = {} if rate is None else {"learning_rate": rate}
            changes |= {} if budget is None else {"max_steps": budget}
            yield (
                f"lr {rate:g}" if rate and len(rates) > 1 else "",
                f"{budget} updates" if budget and len(block.budgets) > 1 else "",
                _with_changes(training, changes),
            )


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
