"""Grids as data: lists of shapes, full factorials, one factor at a time, families of equal cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Seed, Settings, check_folder_name
from lilliput.study.recipe.families import IsoFamilies, Sizes

FACTORS = (
    "embedding_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
)


def parse_shape(text: str) -> dict[str, int]:
    """The five sizes of a shape written E/H/I/A/L, such as 32/32/128/2/2.

    Raises:
        ConfigurationError: It is not five positive whole numbers.
    """
    parts = text.split("/")
    if len(parts) != len(FACTORS) or not all(p.isascii() and p.isdigit() and int(p) for p in parts):
        raise ConfigurationError(
            "a shape must be embedding/hidden/intermediate/heads/layers",
            got=repr(text),
            remedy="Write it like 32/32/128/2/2.",
        )
    return dict(zip(FACTORS, map(int, parts), strict=True))


def format_shape(sizes: Mapping[str, int]) -> str:
    """The name of a shape: E/H/I/A/L."""
    return "/".join(str(sizes[factor]) for factor in FACTORS)


class GridBlock(Settings):
    """Runs that share languages, seeds and profiles; exactly one way of giving the shapes."""

    shapes: tuple[str, ...] = Field(default=(), description="Shapes E/H/I/A/L, one run each.")
    factorial: dict[str, tuple[PositiveInt, ...]] = Field(
        default_factory=dict, description="Every combination of these sizes; all five factors."
    )
    around: str = Field(default="", description="Base shape of a one-factor-at-a-time grid.")
    vary: dict[str, tuple[PositiveInt, ...]] = Field(
        default_factory=dict, description="With `around`: the sizes each factor takes in turn."
    )
    iso: IsoFamilies | None = Field(
        default=None, description="Families of shapes with equal parameters or FLOPs, from bounds."
    )
    languages: tuple[str, ...] = Field(..., min_length=1, description="Names of languages.")
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
        description="One run per budget in updates, each with a schedule of that length.",
    )
    variant: str = Field(
        default="",
        pattern=r"^[a-z0-9][a-zA-Z0-9 .+-]*$|^$",
        description="Name of what this block changes; its runs are a family of their own.",
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

    @field_validator("variant")
    @classmethod
    def _usable_name(cls, value: str) -> str:
        return check_folder_name(value) if value else value

    @field_validator("factorial", "vary")
    @classmethod
    def _known_factors(cls, value: Mapping[str, object]) -> Mapping[str, object]:
        unknown = sorted(set(value) - set(FACTORS))
        if unknown:
            raise ValueError(f"factors must be among {', '.join(FACTORS)}, not {unknown[0]}")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> GridBlock:
        ways = [bool(self.shapes), bool(self.factorial), bool(self.around), self.iso is not None]
        if sum(ways) != 1:
            raise ValueError("a grid block must have exactly one of shapes, factorial, around, iso")
        if self.vary and not self.around:
            raise ValueError("vary needs around, the base shape")
        if self.factorial and set(self.factorial) != set(FACTORS):
            raise ValueError(f"factorial must give all of {', '.join(FACTORS)}")
        if (self.training or self.model) and not self.variant:
            raise ValueError("a grid block that changes training or model must name its variant")
        return self

    def expand(self, measure: Callable[[str, Sizes], float]) -> Iterator[dict[str, int]]:
        """The sizes of each shape, every shape once, in the order written.

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
            levels = [self.factorial[factor] for factor in FACTORS]
            for combination in itertools.product(*levels):
                yield dict(zip(FACTORS, combination, strict=True))
        elif self.iso:
            yield from self.iso.expand(partial(measure, self.iso.quantity))
        else:
            base = parse_shape(self.around)
            yield base
            for factor, levels in self.vary.items():
                for level in levels:
                    yield base | {factor: level}
