"""Families of shapes that cost the same: iso-parameter and iso-FLOP, from wide and shallow to narrow and deep."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from lilliput.architecture import FLOPS_CONVENTIONS, ModelConfig, count_parameters, training_flops
from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Settings

# What a family can be equal in, besides the FLOPs of one training token under each convention.
_COUNTS = ("num_parameters", "num_parameters_non_embedding", "parameter_ratio")
QUANTITIES = (*_COUNTS, *FLOPS_CONVENTIONS)
_BOUNDED = ("embedding_size", "hidden_size", "intermediate_size", "num_hidden_layers")

_MOST_CANDIDATES = 100_000

Sizes = Mapping[str, int]


class IsoFamilies(Settings):
    """One family a target: shapes within bounds whose quantity lies near it."""

    quantity: str = Field(
        default="num_parameters",
        description="num_parameters, num_parameters_non_embedding, parameter_ratio (non-embedding over "
        "embedding), or a FLOPs convention, counted for one training token.",
    )
    targets: tuple[PositiveFloat, ...] = Field(..., min_length=1, description="One family each.")
    tolerance: float = Field(
        default=0.1, gt=0, lt=1, description="How far from its target a shape may lie, as a share."
    )
    members: PositiveInt = Field(
        default=5, description="Most shapes a family; thinned evenly along width over depth."
    )
    bounds: dict[str, tuple[PositiveInt, PositiveInt]] = Field(
        ...,
        description="Least and most of hidden_size and num_hidden_layers, and where they shall vary of "
        "embedding_size and intermediate_size.",
    )
    head_width: PositiveInt = Field(
        default=16, description="Width of a head; hidden sizes are its multiples."
    )
    intermediate_ratio: PositiveInt = Field(
        default=4, description="intermediate_size over hidden_size where it has no bounds."
    )

    @field_validator("quantity")
    @classmethod
    def _known_quantity(cls, value: str) -> str:
        if value not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}, not {value!r}")
        return value

    @model_validator(mode="after")
    def _usable_bounds(self) -> IsoFamilies:
        unknown = sorted(set(self.bounds) - set(_BOUNDED))
        if unknown:
            raise ValueError(f"bounds must be of {', '.join(_BOUNDED)}, not {unknown[0]}")
        for name in ("hidden_size", "num_hidden_layers"):
            if name not in self.bounds:
                raise ValueError(f"bounds must give {name}, as in {name} = [2, 64]")
        for name, (low, high) in self.bounds.items():
            if low > high:
                raise ValueError(f"bounds of {name} must rise, not run from {low} to {high}")
        if self._candidate_count() > _MOST_CANDIDATES:
            raise ValueError(
                f"bounds must hold at most {_MOST_CANDIDATES:,} shapes to choose from: "
                f"these hold {self._candidate_count():,}"
            )
        return self

    def expand(self, measure: Callable[[Sizes], float]) -> Iterator[dict[str, int]]:
        """Yield the sizes of every member, family by family, the widest first.

        Args:
            measure: The quantity of a shape; raises ConfigurationError where its sizes do not fit.

        Raises:
            ConfigurationError: No shape lies near a target; the nearest is named.
        """
        measured = list(self._measured(measure))
        for target in self.targets:
            near = [sizes for sizes, value in measured if abs(value / target - 1) <= self.tolerance]
            if not near:
                raise self._empty(target, measured)
            near.sort(key=lambda s: (-s["hidden_size"] / s["num_hidden_layers"], *s.values()))
            yield from _thinned(near, self.members)

    def _measured(
        self, measure: Callable[[Sizes], float]
    ) -> Iterator[tuple[dict[str, int], float]]:
        for sizes in self._candidates():
            try:
                yield sizes, measure(sizes)
            except ConfigurationError:
                continue

    def _candidate_count(self) -> int:
        """Return how many shapes lie within bounds, without making them."""
        low, high = self.bounds["hidden_size"]
        shallow, deep = self.bounds["num_hidden_layers"]
        count = (high // self.head_width - (low - 1) // self.head_width) * (deep - shallow + 1)
        for name in ("embedding_size", "intermediate_size"):
            count *= len(self._doublings(name, 0))
        return count

    def _candidates(self) -> Iterator[dict[str, int]]:
        low, high = self.bounds["hidden_size"]
        first = -(-low // self.head_width) * self.head_width
        shallow, deep = self.bounds["num_hidden_layers"]
        for hidden in range(first, high + 1, self.head_width):
            embeddings = self._doublings("embedding_size", hidden)
            inner = self._doublings("intermediate_size", hidden * self.intermediate_ratio)
            layers = range(shallow, deep + 1)
            for embedding, intermediate, depth in itertools.product(embeddings, inner, layers):
                yield {
                    "embedding_size": embedding,
                    "hidden_size": hidden,
                    "intermediate_size": intermediate,
                    "num_attention_heads": hidden // self.head_width,
                    "num_hidden_layers": depth,
                }

    def _doublings(self, name: str, otherwise: int) -> list[int]:
        """Return the lower bound and its doublings up to the upper one; without bounds the usual size."""
        if name not in self.bounds:
            return [otherwise]
        low, high = self.bounds[name]
        return [low << step for step in range((high // low).bit_length())]

    def _empty(
        self, target: float, measured: list[tuple[dict[str, int], float]]
    ) -> ConfigurationError:
        if not measured:
            return ConfigurationError(
                "bounds of an iso family must hold a shape that fits together",
                got=f"hidden_size {self.bounds['hidden_size']} with heads of {self.head_width}",
            )
        sizes, value = min(measured, key=lambda pair: abs(math.log(pair[1] / target)))
        shape = "/".join(map(str, sizes.values()))
        return ConfigurationError(
            f"an iso family must have a shape within {self.tolerance:g} of its {self.quantity}",
            got=f"target {target:g}, and the nearest within bounds is {shape} with {value:g}",
            remedy="Widen the bounds or the tolerance.",
        )


def quantity_of(model: ModelConfig, quantity: str, predicted_share: float) -> float:
    """Return what `model` has of one of `QUANTITIES`; FLOPs are those of training on one token."""
    count = count_parameters(model)
    if quantity == "num_parameters":
        return float(count.total)
    if quantity == "num_parameters_non_embedding":
        return float(count.non_embedding)
    if quantity == "parameter_ratio":
        return count.non_embedding / (count.total - count.non_embedding)
    return training_flops(
        model, seq_length=model.max_seq_length, tokens=1.0, predicted_share=predicted_share
    )[quantity]


def _thinned(shapes: list[dict[str, int]], members: int) -> list[dict[str, int]]:
    """Return at most `members` of the shapes, evenly spaced, both ends among them."""
    if len(shapes) <= members:
        return shapes
    if members == 1:
        return [shapes[len(shapes) // 2]]
    return [shapes[round(i * (len(shapes) - 1) / (members - 1))] for i in range(members)]
