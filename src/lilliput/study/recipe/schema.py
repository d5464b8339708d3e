"""The recipe of a study: one TOML file, checked as a whole before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    field_validator,
    model_validator,
)

from lilliput.architecture import FLOPS_CONVENTIONS
from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import (
    FolderName,
    Seed,
    Settings,
    parse_settings,
    require_distinct_folders,
)
from lilliput.core.wording import listed
from lilliput.evaluation.choices.settings import ChoiceProbeSettings, ChoiceSettings
from lilliput.evaluation.context.settings import ContextSettings
from lilliput.evaluation.generation.settings import GenerationSettings
from lilliput.evaluation.settings import FineTuningSettings, PairSettings, ProbeSettings, WordRule
from lilliput.language.words.profiles import ProfileName
from lilliput.study.recipe.grid import (
    MOST_RUNS,
    GridBlock,
    Variant,
    VariantName,
    require_changeable,
)
from lilliput.study.recipe.languages import (
    LanguageRecipe,
    LanguageSizes,
    with_sized_languages,
)
from lilliput.study.store.layout import CHOICES, CONTEXT, GLUE, PAIRS, PROBES, TASKS
from lilliput.tokenization.settings import KindName
from lilliput.training.config import TrainingConfig
from lilliput.training.objectives.distillation import plain_convention


class VocabularyRecipe(Settings):
    """Say where the list of allowed words comes from: a file, or the frequent words of texts."""

    file: str = Field(default="", description="CSV with the columns word and frequency.")
    sources: tuple[str, ...] = Field(default=(), description="Texts to count words in.")
    coverage: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Keep the most frequent words that cover this share of tokens.",
    )
    size: int | None = Field(
        default=None, gt=0, description="Keep this many of the most frequent words."
    )
    word_profile: ProfileName = Field(
        default="modern", description="What a word is: paper, cpp or modern."
    )
    add_words: tuple[str, ...] = Field(
        default=(), description="Words to allow beside these, such as those that a list lacks."
    )

    @model_validator(mode="after")
    def _one_origin(self) -> VocabularyRecipe:
        if bool(self.file) == bool(self.sources):
            raise ValueError("the vocabulary must have either a file or sources")
        if self.file:
            for name in ("coverage", "size", "word_profile"):
                value = getattr(self, name)
                if value != type(self).model_fields[name].default:
                    raise ValueError(
                        f"vocabulary.{name} = {value!r} would do nothing beside vocabulary.file: every word of the "
                        "file is allowed. Leave it out, or name sources in place of the file"
                    )
        return self


class TokenizersRecipe(Settings):
    """Candidates to train and compare, and the one that models are trained with."""

    kinds: tuple[KindName, ...] = Field(
        default=("byte-bpe",), min_length=1, description="Kinds of tokenizer."
    )
    vocab_sizes: tuple[Annotated[int, Field(gt=0, le=1_000_000)], ...] = Field(
        ..., min_length=1, description="Sizes to train each kind at."
    )
    train_with: str = Field(..., description="Candidate KIND-SIZE that the models use.")
    morphology: str = Field(
        default="",
        description="Gold segmentations, Parquet or word<tab>morphemes, that candidates are scored on; else the paper's 13 words.",
    )

    @model_validator(mode="after")
    def _among_candidates(self) -> TokenizersRecipe:
        candidates = [f"{kind}-{size}" for kind in self.kinds for size in self.vocab_sizes]
        if self.train_with not in candidates:
            raise ValueError(f"train_with must be one of {', '.join(candidates)}")
        return self


class GlueRecipe(Settings):
    """Fine-tune on GLUE tasks filtered by the vocabulary."""

    data: str = Field(..., description="Folder with one sub-folder a task, Parquet a split.")
    tasks: tuple[FolderName, ...] = Field(
        ..., min_length=1, description="Names such as cola, sst2."
    )
    rule: WordRule = Field(
        default="corrected", description="Which words are checked: paper, or every one of them."
    )
    fine_tuning: FineTuningSettings = Field(
        default_factory=lambda: parse_settings(FineTuningSettings, {}),
        description="How the tasks are learned, the same from trained and untrained weights; what is left out follows the switches of each run.",
    )

    @model_validator(mode="after")
    def _every_setting_acts(self) -> GlueRecipe:
        self.fine_tuning.require_effect()
        return self


class PairsRecipe(Settings):
    """Score minimal pairs, BLiMP or others, filtered by the vocabulary."""

    data: str = Field(..., description="A file of pairs, or a folder of them, one a paradigm.")
    name: FolderName = Field(
        default="blimp",
        pattern=r"^[a-z0-9][a-z0-9_]*$",
        description="What the mean over the paradigms is called in tables and on the page.",
    )
    rule: WordRule = Field(
        default="corrected", description="Which words are checked: paper, or every one of them."
    )
    scoring: PairSettings | None = Field(
        default=None, description="The method; absent, the plain one of the models' kind."
    )


class ChoicesRecipe(Settings):
    """Multiple choice: the study's own tasks from held-out text, and published ones under the vocabulary."""

    probes: ChoiceProbeSettings | None = Field(
        default_factory=lambda: parse_settings(ChoiceProbeSettings, {}),
        description="How the study's own tasks are made from the held-out text of each language.",
    )
    probes_from: FolderName | Literal[""] = Field(
        default="",
        description="Language whose held-out text makes the tasks of all runs, so that scores can be compared across languages; absent, each its own.",
    )
    data: str = Field(
        default="", description="Folder of published tasks, see docs/evaluation.md; absent, none."
    )
    rule: WordRule = Field(
        default="corrected",
        description="Which words of published tasks are checked: paper, or every one of them.",
    )
    scoring: ChoiceSettings = Field(
        default_factory=lambda: parse_settings(ChoiceSettings, {}),
        description="Solved examples, seeds, sizes.",
    )

    @model_validator(mode="after")
    def _has_tasks(self) -> ChoicesRecipe:
        if self.probes is None and not self.data:
            raise ValueError("choices must have probes, or data with published tasks")
        return self


class SamplesRecipe(Settings):
    """Texts that causal models write, shown side by side for every shape; they enter no score."""

    prompts: tuple[str, ...] = Field(
        ..., min_length=1, description="Texts to go on with, in the languages of the study."
    )
    generation: GenerationSettings = Field(
        default_factory=lambda: parse_settings(GenerationSettings, {"max_new_tokens": 24}),
        description="How tokens are chosen: greedy unless a temperature is given.",
    )


class EmergenceRecipe(Settings):
    """Ask of each choice task and context measure whether it emerges, and how sizes compare across languages."""

    larger: FolderName | Literal[""] = Field(
        default="",
        description="Language whose models are expected to need more parameters for the same score (the unfiltered one).",
    )
    smaller: FolderName | Literal[""] = Field(
        default="",
        description="Language whose models are expected to need fewer (the filtered one).",
    )
    resamples: int = Field(
        default=300, gt=0, le=100_000, description="Draws of seeds and items behind each verdict."
    )


class SearchRecipe(Settings):
    """The short sweep that finds each shape's learning rate, for blocks that say "search"."""

    learning_rates: tuple[PositiveFloat, ...] = Field(
        default=(2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3),
        min_length=3,
        description="Peak rates to try at every shape, rising.",
    )
    max_steps: PositiveInt = Field(default=300, description="Steps of each trial.")
    seeds: tuple[Seed, ...] = Field(
        default=(0,), min_length=1, description="Trials a rate; two or more give an interval."
    )

    @field_validator("learning_rates")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError(f"search.learning_rates must rise, not {list(value)}")
        return value


class AnalysisRecipe(Settings):
    """Choose the FLOPs conventions that the fits and the cost-effectiveness use."""

    flops: str = Field(
        default="flops_executed_masked",
        description="Convention of the compute axis; all are in the tables. In a study with teachers, _and_teacher "
        "after it adds the training of each student's teacher, and _and_shared_teacher its share of that.",
    )
    resamples: int = Field(
        default=500, gt=0, le=100_000, description="Bootstrap resamples, over runs."
    )

    @field_validator("flops")
    @classmethod
    def _known_convention(cls, value: str) -> str:
        if plain_convention(value) not in FLOPS_CONVENTIONS:
            near = difflib.get_close_matches(value, FLOPS_CONVENTIONS, n=1)
            known = near or list(FLOPS_CONVENTIONS)
            raise ValueError(
                f"the convention of FLOPs must be a known one, such as {listed(known, 'or')}"
            )
        return value


class Recipe(Settings):
    """Describe a whole study, from raw text to report."""

    _where: str = PrivateAttr(default="the recipe")

    name: FolderName = Field(..., pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name of the study.")
    seed: Seed = Field(
        default=0, description="Seed of everything that is not a run: splits, probes, samples."
    )
    scale: str = Field(
        default="full", description="Name of a table under `scales` to lay over the recipe."
    )
    paths: dict[str, str] = Field(
        default_factory=dict,
        description="Folders of your own; written {name} in sources and files.",
    )
    vocabulary: VocabularyRecipe
    languages: dict[FolderName, LanguageRecipe] = Field(..., min_length=1)
    language_sizes: LanguageSizes | None = Field(
        default=None, description="Languages of several sizes, made by one table."
    )
    scores: dict[FolderName, dict[str, Any]] = Field(
        default_factory=dict,
        description="Scores of spans under names of your own: `name` of the scorer, and its settings.",
    )
    tokenizers: TokenizersRecipe
    model: dict[str, Any] = Field(
        default_factory=dict, description="What all models share: layout, norm_position, …"
    )
    training: TrainingConfig
    variants: dict[VariantName, Variant] = Field(
        default_factory=dict,
        description="Named changes that a block of the grid may list, so that its runs are made with each.",
    )
    grid: tuple[GridBlock, ...] = Field(..., min_length=1, description="The runs.")
    search: SearchRecipe | None = Field(
        default=None, description="How learning rates are searched, where the grid asks for it."
    )
    probes: ProbeSettings | None = Field(
        default=None, description="Probe tasks from held-out text."
    )
    glue: GlueRecipe | None = Field(default=None, description="GLUE tasks under the vocabulary.")
    pairs: PairsRecipe | None = Field(
        default=None, description="Minimal pairs under the vocabulary."
    )
    choices: ChoicesRecipe | None = Field(
        default=None, description="Multiple choice, zero-shot or few-shot."
    )
    context: ContextSettings | None = Field(
        default=None, description="What context is worth to causal runs, and whether they copy."
    )
    samples: SamplesRecipe | None = Field(
        default=None, description="Texts of the causal models, for reading."
    )
    emergence: EmergenceRecipe | None = Field(
        default=None, description="Whether scores emerge, and sizes at equal score."
    )
    analysis: AnalysisRecipe = AnalysisRecipe()
    checkpoint_quota_gb: float | None = Field(
        default=None,
        ge=0,
        description="Most gigabytes of checkpoints to keep once runs are scored; absent, all are kept.",
    )

    @model_validator(mode="before")
    @classmethod
    def _make_sized_languages(cls, values: Any) -> Any:
        return with_sized_languages(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _pruned_languages_have_origins(self) -> Recipe:
        for name, language in self.languages.items():
            if language.pruned is None:
                continue
            origin, like = language.pruned.of, language.pruned.like
            if origin not in self.languages or self.languages[origin].pruned is not None:
                raise ValueError(
                    f"languages.{name}.pruned.of must name a language that is not pruned"
                )
            other = self.languages[like].pruned if like in self.languages else None
            if like is not None and (other is None or other.of != origin or other.like):
                raise ValueError(
                    f"languages.{name}.pruned.like must name a language pruned from {origin} by a score"
                )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Recipe:
        require_distinct_folders(self.languages)
        for name in self.variants:
            self.changes_of(name)
        for block in self.grid:
            if "search" in self.rates_of(block) and self.search is None:
                raise ValueError("a grid that searches learning rates needs the table [search]")
            for language in block.languages:
                if language not in self.languages:
                    raise ValueError(
                        f"the grid names the language {language!r}, which is not there"
                    )
        for name in self._named_languages():
            if name and name not in self.languages:
                raise ValueError(
                    f"choices and emergence name the language {name!r}, which is not there"
                )
        for name, language in self.languages.items():
            target = language.matched_to
            if target and (
                target not in self.languages
                or self.languages[target].matched_to
                or self.languages[target].pruned
            ):
                raise ValueError(f"languages.{name}.matched_to must name a constrained language")
        return self

    def _named_languages(self) -> tuple[str, ...]:
        choices, emergence = self.choices, self.emergence
        first = (choices.probes_from,) if choices else ()
        return (*first, emergence.larger, emergence.smaller) if emergence else first

    @field_validator("model")
    @classmethod
    def _can_be_set(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return require_changeable(value, "model")

    @model_validator(mode="after")
    def _grid_is_bounded(self) -> Recipe:
        most = 0
        for block in self.grid:
            languages = len(block.languages or self.languages)
            for rates in self.rates_of(block):
                count = 1 if rates == "search" else len(rates) or 1
                most += block.most_runs * languages * count
        if most > MOST_RUNS:
            raise ValueError(
                f"the grid must have at most {MOST_RUNS:,} runs, and this one has up to {most:,}: "
                "cut the study in several"
            )
        return self

    def choice_languages(self) -> tuple[str, ...]:
        """Return the languages whose held-out text makes multiple-choice tasks."""
        if self.choices is None or self.choices.probes is None:
            return ()
        return (self.choices.probes_from,) if self.choices.probes_from else tuple(self.languages)

    def suites(self, *, is_causal: bool) -> tuple[str, ...]:
        """Return the suites that a causal run, or a masked one, is scored on."""
        asked = {
            PROBES: self.probes is not None,
            GLUE: self.glue is not None,
            PAIRS: self.pairs is not None,
            CHOICES: bool(self.choice_languages()),
            TASKS: self.choices is not None and bool(self.choices.data),
            CONTEXT: self.context is not None and is_causal,
        }
        return tuple(suite for suite, is_asked in asked.items() if is_asked)

    def changes_of(self, variant: str) -> tuple[Variant, ...]:
        """Return the changes of a variant of [variants], those of its bases first.

        Raises:
            ValueError: The variant or a base of it is not there, or it is its own base.
        """
        chain: list[str] = []
        name = variant
        while name:
            if name not in self.variants:
                near = difflib.get_close_matches(name, self.variants, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(
                    f"[variants] must have every variant that is named: not {name!r}{hint}"
                )
            if name in chain:
                raise ValueError(f"a variant must not be its own base, as {name!r} is")
            chain.append(name)
            name = self.variants[name].base
        return tuple(self.variants[name] for name in reversed(chain))

    def rates_of(self, block: GridBlock) -> list[tuple[float, ...] | Literal["search"]]:
        """Return the learning rates of the block under each of its variants."""
        every: list[tuple[float, ...] | Literal["search"]] = []
        for name in block.variants or ("",):
            rates = block.learning_rates
            for change in self.changes_of(name):
                rates = change.learning_rates or rates
            every.append(rates)
        return every

    @property
    def where(self) -> str:
        """The file or the shipped recipe that this one was read from, as errors name it."""
        return self._where

    def read_from(self, where: str) -> Recipe:
        """Return the recipe as one that was read from the file `where`."""
        copy = self.model_copy()
        copy._where = where
        return copy

    def tokenized_as(self, language: str) -> str:
        """Return the language whose tokenizer a language uses: a pruned one's is that of the whole.

        Losses of models of the whole and of its parts are then losses of the same tokens.
        """
        pruned = self.languages[language].pruned
        return language if pruned is None else pruned.of

    def resolve(self, text: str) -> str:
        """Return `text` with every {name} of `paths` replaced by its folder.

        Raises:
            ConfigurationError: A {name} is not in `paths`.
        """
        for name, folder in self.paths.items():
            text = text.replace("{" + name + "}", folder)
        if "{" in text:
            missing = text.split("{", 1)[1].split("}", 1)[0]
            raise ConfigurationError(
                f"the folder {{{missing}}} must be given under paths",
                got=text,
                remedy=f"Add --set paths.{missing}=FOLDER.",
            )
        return text
