"""The recipe of a study: one TOML file, checked as a whole before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from lilliput.core.errors import ConfigurationError, OccupiedFolderError
from lilliput.core.files import write_text
from lilliput.core.settings import (
    FolderName,
    Seed,
    Settings,
    parse_settings,
    require_distinct_folders,
)
from lilliput.core.toml import parse_assignment, parse_toml, read_toml, with_overrides
from lilliput.evaluation.settings import FineTuningSettings, PairSettings, ProbeSettings, WordRule
from lilliput.language.corpus.settings import CorpusSettings
from lilliput.language.reading.documents import TextUnit
from lilliput.recipes import recipe_text, shipped_recipes
from lilliput.study.recipe.grid import GridBlock
from lilliput.tokenization.settings import KindName
from lilliput.training.config import TrainingConfig
from lilliput.training.switches import Profile, profile_values


class VocabularyRecipe(Settings):
    """Where the list of allowed words comes from: a file, or the frequent words of texts."""

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
    word_profile: str = Field(default="modern", description="What a word is: paper, cpp or modern.")
    add_words: tuple[str, ...] = Field(
        default=(), description="Words to allow beside these: holes of a list mended."
    )

    @model_validator(mode="after")
    def _one_origin(self) -> VocabularyRecipe:
        if bool(self.file) == bool(self.sources):
            raise ValueError("the vocabulary must have either a file or sources")
        return self


class LanguageRecipe(Settings):
    """One corpus of the study."""

    sources: tuple[str, ...] = Field(
        ..., min_length=1, description="Files, folders, globs, or package:NAME for installed texts."
    )
    text_unit: TextUnit = Field(
        default="auto",
        description="What one document of plain text is: file, section (for few long files), line or auto.",
    )
    matched_to: str = Field(
        default="",
        description="Name of the constrained language whose size this one copies, unfiltered.",
    )
    corpus: CorpusSettings = Field(
        default_factory=lambda: parse_settings(CorpusSettings, {}),
        description="How spans are cut and filtered.",
    )


class TokenizersRecipe(Settings):
    """Candidates to train and compare, and the one that models are trained with."""

    kinds: tuple[KindName, ...] = Field(
        default=("byte-bpe",), min_length=1, description="Kinds of tokenizer."
    )
    vocab_sizes: tuple[int, ...] = Field(
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
    """Fine-tuning on GLUE tasks filtered by the vocabulary."""

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


class PairsRecipe(Settings):
    """Minimal pairs, BLiMP or others, filtered by the vocabulary."""

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


class SearchRecipe(Settings):
    """The short sweep that finds each shape's learning rate, for blocks that say "search"."""

    learning_rates: tuple[PositiveFloat, ...] = Field(
        default=(2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3),
        min_length=3,
        description="Peak rates to try at every shape, rising.",
    )
    max_steps: PositiveInt = Field(default=300, description="Updates of each trial.")
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
    """Which conventions the fits and the cost-effectiveness use."""

    flops: str = Field(
        default="flops_executed_masked",
        description="Convention of the compute axis; all are in the tables.",
    )
    resamples: int = Field(default=500, gt=0, description="Bootstrap resamples, over runs.")
    probe: str = Field(
        default="", description="Score that perplexity is correlated with; all when empty."
    )


class Recipe(Settings):
    """A whole study, from raw text to report."""

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
    tokenizers: TokenizersRecipe
    model: dict[str, Any] = Field(
        default_factory=dict, description="What all models share: layout, norm_position, …"
    )
    training: TrainingConfig
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
    analysis: AnalysisRecipe = AnalysisRecipe()
    checkpoint_quota_gb: float | None = Field(
        default=None,
        ge=0,
        description="Most gigabytes of checkpoints to keep once runs are scored; absent, all are kept.",
    )

    @model_validator(mode="after")
    def _names_exist(self) -> Recipe:
        require_distinct_folders(self.languages)
        for block in self.grid:
            if block.learning_rates == "search" and self.search is None:
                raise ValueError("a grid that searches learning rates needs the table [search]")
            for language in block.languages:
                if language not in self.languages:
                    raise ValueError(
                        f"the grid names the language {language!r}, which is not there"
                    )
        for name, language in self.languages.items():
            target = language.matched_to
            if target and (target not in self.languages or self.languages[target].matched_to):
                raise ValueError(f"languages.{name}.matched_to must name a constrained language")
        return self

    def resolve(self, text: str) -> str:
        """`text` with every {name} of `paths` replaced by its folder.

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


def load_recipe(name_or_path: str, assignments: Sequence[str] = ()) -> Recipe:
    """The checked recipe, with overrides and its scale laid over.

    Args:
        name_or_path: A TOML file, or the name of a shipped recipe.
        assignments: Overrides, each KEY=VALUE with a dotted key; they win over the scale.

    Raises:
        ConfigurationError: A key is unknown, a value breaks a rule, or no such recipe or scale.
        InputError: The file is not there or not TOML.
    """
    values = with_overrides(_lay_scale(_read_tables(name_or_path), assignments), assignments)
    recipe = parse_settings(Recipe, values, name_or_path)
    _refuse_lost_switches(recipe, values.get("training", {}).get("switches", {}))
    return recipe


def _refuse_lost_switches(recipe: Recipe, given: Iterable[str]) -> None:
    """Raise ConfigurationError where a switch that was set holds in one profile of the grid alone.

    What is as the recipe's own profile has it cannot be told from what was not given, once the recipe
    is resolved: a block with another profile has that profile's value.
    """
    own = profile_values(recipe.training.profile)
    for block in recipe.grid:
        profiles: list[Profile] = [one for one in get_args(Profile) if one in block.profiles]
        for profile, name in product(profiles, given):
            value, others = getattr(recipe.training.switches, name), profile_values(profile)
            is_set_there = name in block.training.get("switches", {})
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


def _lay_scale(values: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    values = dict(values)
    scales: Mapping[str, Any] = values.pop("scales", {})
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


def init_recipe(name: str, recipe: str, folder: Path) -> Path:
    """Write a copy of the shipped `recipe` to `folder`/`name`.toml, named after it.

    Raises:
        ConfigurationError: No shipped recipe has this name.
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
    write_text(path, f"{_header_of_copy(header, name, recipe)}\n\n{rest}")
    return path


def _header_of_copy(header: str, name: str, recipe: str) -> str:
    """The comments that a shipped recipe begins with, naming the copy, its file and its folder."""
    copied = f"Made with `lilliput init {name} --recipe {recipe}`: edit it"
    header = re.sub(r"Copy (it )?with `lilliput init [^`]*`( and edit)?", copied, header)
    header = re.sub(r"(command +)lilliput quickstart", rf"\1lilliput study run {name}.toml", header)
    header = re.sub(rf"(lilliput study (?:run|plan)) {recipe}(?![\w-])", rf"\1 {name}.toml", header)
    return header.replace(f" --out {recipe}", "").replace(
        f"lilliput-{recipe}/", f"lilliput-{name}/"
    )
