"""The runs that a recipe expands to: every shape of each grid block, times all that the block multiplies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Literal

from lilliput.architecture import ModelConfig, format_shape
from lilliput.core.errors import ConfigurationError
from lilliput.core.hashing import content_id
from lilliput.core.settings import parse_settings
from lilliput.study.recipe.families import quantity_of
from lilliput.study.recipe.grid import GridBlock, Variant
from lilliput.study.recipe.needed_runs import with_needed_runs
from lilliput.study.recipe.schema import Recipe
from lilliput.training.config import TrainingConfig, refuse_overridden_dropout
from lilliput.training.run_config import RunConfig
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
        is_searched: Whether its learning rate is searched; until it is found, the recipe's stands in for it.
        needs: Names of the runs that must be finished before it, such as its teachers, as its settings write them.
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
    is_searched: bool = False
    needs: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """Return what people call it; unique within a study."""
        return _words(self.family, self.shape, self.budget, f"seed {self.seed}")

    @property
    def family(self) -> str:
        """Runs that differ in size, budget and seed alone; laws are fitted within one."""
        return _words(self.language, self.profile, self.variant, self.rate)

    def config(self, vocab_size: int) -> RunConfig:
        """Return the run's whole configuration.

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
        """Return what stands beside the run's configuration in its record."""
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


@dataclass(frozen=True)
class StudyGrid:
    """A recipe with the runs that its grid expands to; made once and handed on.

    Attributes:
        recipe: The checked recipe.
        runs: All runs, each once, in the order of the grid.
    """

    recipe: Recipe
    runs: tuple[PlannedRun, ...]

    @property
    def vocab_size(self) -> int:
        """The vocabulary that the chosen tokenizer was asked for."""
        return asked_vocab_size(self.recipe)

    @property
    def searched(self) -> tuple[PlannedRun, ...]:
        """The runs whose learning rate is searched."""
        return tuple(run for run in self.runs if run.is_searched)

    @property
    def scored_names(self) -> frozenset[str]:
        """Names of the runs that are fine-tuned and scored when they are trained."""
        return frozenset(run.name for run in self.runs if run.scored)

    def configs(self) -> list[RunConfig]:
        """Return the configuration of each run, with the vocabulary that was asked for."""
        return [run.config(self.vocab_size) for run in self.runs]


def expand_recipe(recipe: Recipe) -> StudyGrid:
    """Expand the recipe's grid into its runs.

    Every shape is checked here, so that a wrong one is refused before anything is built.

    Raises:
        ConfigurationError: A run's settings break a rule, two different runs have one name, or one run has two.
    """
    runs: dict[str, PlannedRun] = {}
    configs: dict[str, RunConfig] = {}
    for run in _expand(recipe):
        config = run.config(asked_vocab_size(recipe))
        if run.name not in runs:
            runs[run.name], configs[run.name] = run, config
            continue
        twin = runs[run.name]
        if configs[run.name] != config or twin.is_searched != run.is_searched:
            raise ConfigurationError(
                "runs of the grid that differ must differ in name", got=f"two called {run.name!r}",
                remedy="Name the variant of one of their blocks.",
            )  # fmt: skip
        runs[run.name] = replace(twin, scored=twin.scored or run.scored)
    if not runs:
        raise ConfigurationError("the grid must have at least one run", got="none")
    _require_distinct(runs, configs)
    _require_read(recipe, runs.values())
    return StudyGrid(recipe, with_needed_runs(recipe, runs, configs))


def _require_read(recipe: Recipe, runs: Iterable[PlannedRun]) -> None:
    """Raise ConfigurationError where nothing reads one of the recipe's scores."""
    pruned = (language.pruned for language in recipe.languages.values())
    read = {one.by for one in pruned if one} | {run.training.order.score for run in runs}
    for name in recipe.scores:
        if name not in read:
            raise ConfigurationError(
                "every score of [scores] must be read by a pruned language or a data order",
                got=f"{name!r}, which nothing reads",
                remedy="Name it as `by`, or take it out of the recipe.",
            )


def _require_distinct(runs: Mapping[str, PlannedRun], configs: Mapping[str, RunConfig]) -> None:
    """Raise ConfigurationError where two names are one run: it would have one folder, done once.

    Runs whose learning rate is searched are not known yet, and are left out.
    """
    names: dict[str, str] = {}
    for run in runs.values():
        if run.is_searched:
            continue
        settings = configs[run.name].identity_settings()
        other = names.setdefault(content_id([run.language, settings]), run.name)
        if other != run.name:
            raise ConfigurationError(
                "runs of the grid that differ in name must differ in what is trained",
                got=f"{other!r} and {run.name!r}, the same run",
                remedy="Take one of the blocks out, or let its variant change something.",
            )


def _expand(recipe: Recipe) -> Iterator[PlannedRun]:
    for block in recipe.grid:
        variants = block.variants or (block.variant,)
        languages = block.languages or tuple(recipe.languages)
        for language, profile, variant in product(languages, block.profiles, variants):
            changes = recipe.changes_of(variant) if block.variants and variant else ()
            yield from _expand_block(recipe, block, language, profile, variant, changes)


def _expand_block(
    recipe: Recipe,
    block: GridBlock,
    language: str,
    profile: str,
    variant: str,
    changes: Sequence[Variant],
) -> Iterator[PlannedRun]:
    base = changed_training(_with_profile(recipe, profile), block.training, recipe.where)
    model = recipe.model | block.model
    rates = block.learning_rates
    for change in changes:
        base = changed_training(base, change.training, recipe.where)
        model |= change.model
        rates = change.learning_rates or rates
    versions = list(_versions(rates, block.budgets, base, recipe.where))
    is_searched = rates == "search"

    def measure(quantity: str, sizes: Mapping[str, int]) -> float:
        run = PlannedRun(language, profile, "", sizes, 0, "", base, model)
        config = run.config(asked_vocab_size(recipe))
        return quantity_of(config.built_model(), quantity, config.objective().predicted_share)

    for sizes in block.expand(measure):
        for rate, budget, training in versions:
            for seed in block.seeds:
                yield PlannedRun(
                    language, profile, format_shape(sizes), sizes, seed, variant, training,
                    model, rate, budget, block.scored, is_searched,
                )  # fmt: skip


def _versions(
    rates: Sequence[float] | Literal["search"],
    budgets: Sequence[int],
    training: TrainingConfig,
    where: str,
) -> Iterator[tuple[str, str, TrainingConfig]]:
    """Yield the training settings of each learning rate and budget, with both in words where there are several.

    While rates are still to be searched, the recipe's own stands in for them: what a run costs does not
    depend on it.
    """
    for rate in (None,) if rates == "search" else rates or (None,):
        for budget in budgets or (None,):
            changes: dict[str, Any] = {} if rate is None else {"learning_rate": rate}
            changes |= {} if budget is None else {"max_steps": budget}
            yield (
                f"lr {rate:g}" if rate and len(rates) > 1 else "",
                f"{budget} steps" if budget and len(budgets) > 1 else "",
                changed_training(training, changes, where),
            )


def _with_profile(recipe: Recipe, profile: str) -> TrainingConfig:
    """Return the recipe's training settings under another profile; switches that were set one by one stay."""
    training = recipe.training
    values = training.model_dump(exclude={"switches"}, exclude_unset=True)
    base = profile_values(training.profile)
    chosen = {k: v for k, v in training.switches.model_dump().items() if v != base[k]}
    return parse_settings(
        TrainingConfig, values | {"profile": profile, "switches": chosen}, recipe.where
    )


def changed_training(
    training: TrainingConfig, changes: Mapping[str, Any], where: str = ""
) -> TrainingConfig:
    """Return the training settings with these keys changed; a budget replaces every other budget."""
    if not changes:
        return training
    values = training.model_dump(exclude_unset=True)
    if _BUDGETS & changes.keys():
        values = {key: value for key, value in values.items() if key not in _BUDGETS}
    values |= changes
    switches = training.switches.model_dump() | dict(changes.get("switches", {}))
    return parse_settings(
        TrainingConfig, values | {"switches": switches}, f"the grid of {where}" if where else ""
    )


def asked_vocab_size(recipe: Recipe) -> int:
    """Return the vocabulary that the chosen tokenizer was asked for."""
    return int(recipe.tokenizers.train_with.rsplit("-", 1)[1])
