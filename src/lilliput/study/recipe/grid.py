"""Grids as data: lists of shapes, full factorials, one factor at a time, families of equal cost."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lilliput.architecture import SIZES, format_shape
from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Seed, Settings, check_folder_name
from lilliput.study.recipe.families import IsoFamilies, Sizes

# Beyond these, no arithmetic of a plan is of use; a study of more runs is better cut in several.
MOST_RUNS = 10_000
_LARGEST_SIZE = 1_000_000
Size = Annotated[int, Field(gt=0, le=_LARGEST_SIZE)]

_SHAPES = 'the shapes of the grid ([[grid]], shapes = ["E/H/I/A/L"])'
_SET_ELSEWHERE = dict.fromkeys(SIZES, _SHAPES) | {
    "vocab_size": "the tokenizer (tokenizers.train_with)",
    "max_position_embeddings": "training.max_seq_length",
    "max_seq_length": "training.max_seq_length",
}


def parse_shape(text: str) -> dict[str, int]:
    """Return the five sizes of a shape written E/H/I/A/L, such as 32/32/128/2/2.

    Raises:
        ConfigurationError: It is not five positive whole numbers.
    """
    parts = text.split("/")
    if len(parts) != len(SIZES) or not all(map(_is_size, parts)):
        raise ConfigurationError(
            f"a shape must be embedding/hidden/intermediate/heads/layers, each from 1 to {_LARGEST_SIZE:,}",
            got=repr(text),
            remedy="Write it like 32/32/128/2/2.",
        )
    return dict(zip(SIZES, map(int, parts), strict=True))


def _is_size(text: str) -> bool:
    is_short = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_SIZE))
    return is_short and 0 < int(text) <= _LARGEST_SIZE


_VARIANT = r"^[a-z0-9][a-zA-Z0-9 .+-]*$"


def _usable_name(name: str) -> str:
    if name and not re.match(_VARIANT, name):
        raise ValueError(
            "a variant's name must begin with a small letter or a digit, and go on with letters, digits, "
            "spaces, dots, + and -"
        )
    return check_folder_name(name) if name else name


VariantName = Annotated[str, AfterValidator(_usable_name)]


class Variant(Settings):
    """Names what one variant changes in the runs of a block that lists it."""

    base: VariantName = Field(default="", description="Another variant, whose changes come first.")
    training: dict[str, Any] = Field(
        default_factory=dict, description="Keys of [training] that differ in this variant."
    )
    model: dict[str, Any] = Field(
        default_factory=dict, description="Keys of [model] that differ in this variant."
    )
    learning_rates: tuple[PositiveFloat, ...] | Literal["search"] = Field(
        default=(), description="Peak learning rates in place of the block's."
    )

    @field_validator("training", "model")
    @classmethod
    def _can_change(cls, value: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        return require_changeable(value, str(info.field_name))

    @model_validator(mode="after")
    def _changes_something(self) -> Variant:
        if not (self.training or self.model or self.learning_rates):
            raise ValueError("a variant must change training, model or learning_rates")
        return self


def require_changeable(value: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    """Return `value`, a table `training` or `model`, where each of its keys has its place there.

    Raises:
        ValueError: A key is set elsewhere, so that it would do nothing here.
    """
    if table == "training" and not isinstance(value.get("switches", {}), Mapping):
        raise ValueError("training.switches must be a table")
    if table == "model":
        for key in value:
            if key in _SET_ELSEWHERE:
                raise ValueError(
                    f"model.{key} would do nothing: it is set by {_SET_ELSEWHERE[key]}"
                )
    return value


class GridBlock(Settings):
    """Runs that share languages, seeds and profiles; exactly one way of giving the shapes."""

    shapes: tuple[str, ...] = Field(default=(), description="Shapes E/H/I/A/L, one run each.")
    factorial: dict[str, tuple[Size, ...]] = Field(
        default_factory=dict, description="Every combination of these sizes; all five factors."
    )
    around: str = Field(default="", description="Base shape of a one-factor-at-a-time grid.")
    vary: dict[str, tuple[Size, ...]] = Field(
        default_factory=dict, description="With `around`: the sizes each factor takes in turn."
    )
    iso: IsoFamilies | None = Field(
        default=None, description="Families of shapes with equal parameters or FLOPs, from bounds."
    )
    languages: tuple[str, ...] = Field(
        default=(), description="Names of languages; all of the recipe when left out."
    )
    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1, description="One run per seed.")
    profiles: tuple[str, ...] = Field(
        default=("corrected",), min_length=1, description="Training profiles: corrected, reference."
    )
    learning_rates: tuple[PositiveFloat, ...] | Literal["search"] = Field(
        default=(),
        description="One run per peak learning rate; 'search' takes each shape's best of [search].",
    )
    budgets: tuple[PositiveInt, ...] = Field(
        default=(),
        description="One run per budget in steps, each with a schedule of that length.",
    )
    variant: VariantName = Field(
        default="",
        description="Name of what this block changes; its runs are a family of their own.",
    )
    variants: tuple[VariantName, ...] = Field(
        default=(),
        description='Names of [variants]: these runs once with each of them; "" is these runs as they are.',
    )
    scored: bool = Field(
        default=True,
        description="Whether these runs are fine-tuned and scored too; false stops at their losses.",
    )
    training: dict[str, Any] = Field(
        default_factory=dict, description="Keys of [training] that differ in this block."
    )
    model: dict[str, Any] = Field(
        default_factory=dict, description="Keys of [model] that differ in this block."
    )

    @field_validator("training", "model")
    @classmethod
    def _can_change(cls, value: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        return require_changeable(value, str(info.field_name))

    @field_validator("factorial", "vary")
    @classmethod
    def _known_factors(cls, value: Mapping[str, object]) -> Mapping[str, object]:
        unknown = sorted(set(value) - set(SIZES))
        if unknown:
            raise ValueError(f"factors must be among {', '.join(SIZES)}, not {unknown[0]}")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> GridBlock:
        ways = [bool(self.shapes), bool(self.factorial), bool(self.around), self.iso is not None]
        if sum(ways) != 1:
            raise ValueError("a grid block must have exactly one of shapes, factorial, around, iso")
        if self.vary and not self.around:
            raise ValueError("vary needs around, the base shape")
        if self.factorial and set(self.factorial) != set(SIZES):
            raise ValueError(f"factorial must give all of {', '.join(SIZES)}")
        if self.variant and self.variants:
            raise ValueError("a grid block must have either variant or variants")
        unnamed = not self.variant and (not self.variants or "" in self.variants)
        if (self.training or self.model) and unnamed:
            raise ValueError("a grid block that changes training or model must name its variant")
        return self

    @property
    def most_runs(self) -> int:
        """Return how many runs the block has at most in each language, with each variant and each learning rate."""
        lists = (self.profiles, self.seeds, self.budgets)
        return self._most_shapes() * math.prod(len(one) or 1 for one in lists)

    def _most_shapes(self) -> int:
        if self.iso:
            return self.iso.members * len(self.iso.targets)
        if self.factorial:
            return math.prod(map(len, self.factorial.values()))
        return len(self.shapes) or 1 + sum(map(len, self.vary.values()))

    def expand(self, measure: Callable[[str, Sizes], float]) -> Iterator[dict[str, int]]:
        """Yield the sizes of each shape, every shape once, in the order written.

        Args:
            measure: What a shape has of a quantity; only `iso` asks.
        """
        seen: set[str] = set()
        for sizes in self._sizes(measure):
            name = format_shape(sizes)
            if name not in seen:
                seen.add(name)
                yield sizes

    def _sizes(self, measure: Callable[[str, Sizes], float]) -> Iterator[dict[str, int]]:
        if self.shapes:
            yield from map(parse_shape, self.shapes)
        elif self.factorial:
            levels = [self.factorial[factor] for factor in SIZES]
            for combination in itertools.product(*levels):
                yield dict(zip(SIZES, combination, strict=True))
        elif self.iso:
            yield from self.iso.expand(partial(measure, self.iso.quantity))
        else:
            base = parse_shape(self.around)
            yield base
            for factor, levels in self.vary.items():
                for level in levels:
                    yield base | {factor: level}
