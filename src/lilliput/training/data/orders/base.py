"""A data order: a function of seed and step to the sequences that the step reads.

An order is one module in this room, or in another package. `register_order` lists it, and
`training.order = "NAME"` in a recipe then trains in it. Nothing is remembered from step to step: a run that
was stopped asks for its next step and reads what it would have read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lilliput.core.registry import Registry
from lilliput.core.settings import Settings
from lilliput.training.data.sequences import Sequences

SHUFFLED = "shuffled"
CURRICULUM = "curriculum"


class OrderSettings(Settings):
    """The name of a data order; a subclass adds the settings that it alone needs."""

    name: str = Field(
        SHUFFLED,
        description="shuffled, curriculum, or one that another package registers. shuffled takes a fresh permutation "
        "of the sequences each epoch, or the stored order where switches.shuffle is false.",
    )

    @property
    def score(self) -> str:
        """Return the name of the score of spans that the order reads, which a study then makes; empty: none."""
        return ""

    def located(self, folder: Path) -> Self:
        """Return these settings with relative paths resolved against the recipe's `folder`.

        Override it where the order reads a file, such as a score of each text, and put a hash of what is read
        into a field: it then enters the id of the run.
        """
        del folder
        return self

    def seen_from(self, store: Path) -> Self:
        """Return these settings with paths relative to the token store, so that both can be moved together."""
        del store
        return self


@dataclass(frozen=True)
class OrderContext:
    """Hold what an order may depend on.

    Attributes:
        settings: The order's own settings, of its `settings_type`.
        seed: Seed of the run.
        sequences: The train split: where each sequence begins in the token store, and its length.
        max_steps: Steps of the run; read it only in an order that `depends_on_max_steps`.
        places: Places of the stream that the whole run reads; read it only in such an order too.
        shuffle: The run's switch `shuffle`; False reads the sequences in the stored order.
        store: Folder of the token store.
    """

    settings: OrderSettings
    seed: int
    sequences: Sequences
    max_steps: int
    places: int
    shuffle: bool
    store: Path


class DataOrder(ABC):
    """Decide which sequences each step reads, and in which order. Subclass it and write `sequences_at`.

    A run reads one long stream of sequences, from place 0 on without gaps: with batches of 4, step 1 reads the
    places 0 to 3 and step 2 the places 4 to 7. An order says which sequence stands at each place.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    settings_type: ClassVar[type[OrderSettings]] = OrderSettings
    # True where the length of the run decides what a step reads. Runs of several budgets then cannot share
    # their first steps.
    depends_on_max_steps: ClassVar[bool] = False

    def __init__(self, context: OrderContext) -> None:
        self.context = context

    @abstractmethod
    def sequences_at(self, step: int, first: int, count: int) -> NDArray[np.int64]:
        """Return the numbers of the sequences that a step reads, int64 of shape (count,).

        Args:
            step: Number of the step, counted from 1.
            first: The step's first place in the stream, counted from 0.
            count: Sequences that it reads.
        """

    def sequences_of_steps(
        self, step: int, first: int, count: int, steps: int
    ) -> NDArray[np.int64]:
        """Return the numbers of the sequences that several steps read, int64 of shape (steps, count).

        A GPU is given many steps at once. Override it where one draw for all of them is faster.

        Args:
            step: Number of the first of these steps, counted from 1.
            first: The first step's first place in the stream.
            count: Sequences that each of them reads.
            steps: How many steps.
        """
        return np.stack(
            [self.sequences_at(step + i, first + i * count, count) for i in range(steps)]
        )


OrderClass = TypeVar("OrderClass", bound=type[DataOrder])
REGISTRY: Registry[type[DataOrder]] = Registry("data order", "lilliput.training.data.orders")


def register_order(order: OrderClass) -> OrderClass:
    """List a data order under its name, so that recipes can ask for it; usable as a decorator.

    For example::

        @register_order
        class Backwards(DataOrder):
            name = "backwards"
            description = "The stored order, from the last sequence to the first."

            def sequences_at(self, step, first, count):
                size = len(self.context.sequences)
                return size - 1 - np.arange(first, first + count) % size

    Raises:
        ConfigurationError: Another order has that name.
    """
    REGISTRY.add(order.name, order)
    return order
