"""Curricula: the sequences in the order of a score of their spans, such as length, rarity or age of acquisition.

Two samplers share what is below. Buckets read every sequence once an epoch and change the order alone.
Competence draws from the easiest share of the data, which grows with the run, so that easy sequences come
more often than hard ones. The control for both is the direction "shuffled": the same scores, dealt to other
spans by the seed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import ConfigurationError
from lilliput.core.seeding import generator, mix32, stream_key
from lilliput.core.settings import OUTSIDE_IDENTITY
from lilliput.language.scores import read_scores
from lilliput.tokenization import open_store
from lilliput.training.data.orders.base import (
    CURRICULUM,
    DataOrder,
    OrderContext,
    OrderSettings,
    register_order,
)
from lilliput.training.data.orders.pacing import PacingName, offered_share
from lilliput.training.data.orders.shuffled import Permutation, places_in_epochs

_TWO_32 = float(1 << 32)


class CurriculumSettings(OrderSettings):
    """The score that sorts the data, and how the order follows from it."""

    name: str = Field(CURRICULUM, description="curriculum.")
    by: str = Field(
        description="The score: length, rarity, age, age-max, compression, ngram, or another of [scores]."
    )
    direction: Literal["up", "down", "shuffled", "interleaved"] = Field(
        "up",
        description="up: low scores first; down: high scores first; shuffled: the control, up by scores dealt to "
        "other spans; interleaved: up, in `cycles` passes of an epoch, each over its share of all scores.",
    )
    sampler: Literal["buckets", "competence"] = Field(
        "buckets",
        description="buckets: every sequence once an epoch; competence: drawn from the share that pacing offers.",
    )
    buckets: PositiveInt = Field(
        20,
        description="Parts of an epoch; inside one the order is shuffled. Of the sampler buckets.",
    )
    cycles: PositiveInt = Field(5, description="Passes of an epoch. Of the direction interleaved.")
    pacing: PacingName = Field(
        "root", description="How the offered share grows. Of the sampler competence."
    )
    start: float = Field(
        0.2, gt=0, le=1, description="Share offered at the beginning. Of the sampler competence."
    )
    scores: str = Field(
        "",
        description="Folder of the scores (lilliput corpus score), relative to the recipe; a study makes its own.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )
    scores_id: str = Field("", description="Id of the scores, which is found; leave it out.")

    @model_validator(mode="after")
    def _nothing_is_set_in_vain(self) -> Self:
        owners = {
            "buckets": self.sampler == "buckets",
            "pacing": self.sampler == "competence",
            "start": self.sampler == "competence",
            "cycles": self.direction == "interleaved",
        }
        for key, is_read in owners.items():
            # A recipe that was read and written again gives every key its value.
            if getattr(self, key) != type(self).model_fields[key].default and not is_read:
                raise ValueError(
                    f"order.{key} would do nothing with sampler = {self.sampler!r} and direction = {self.direction!r}"
                )
        if self.direction == "interleaved" and self.sampler == "competence":
            raise ValueError('direction = "interleaved" needs sampler = "buckets"')
        return self

    @property
    def score(self) -> str:
        """Return the score that sorts the data."""
        return self.by

    def located(self, folder: Path) -> Self:
        """Return the settings with the folder of the scores resolved, and the id of what lies there.

        Args:
            folder: What `scores` is relative to; a folder named as the score is taken where `scores` is empty.
        """
        if self.scores_id:
            return self
        place = folder / (self.scores or self.by)
        found = read_manifest(place, "span-scores")
        return self.model_copy(update={"scores": str(place), "scores_id": found.id})

    def seen_from(self, store: Path) -> Self:
        """Return the settings with the folder of the scores relative to the token store."""
        place = os.path.relpath(self.scores, store)
        return self.model_copy(update={"scores": Path(place).as_posix()})


@register_order
class Curriculum(DataOrder):
    """Sequences by rising or falling score of the spans that they are cut from."""

    name = CURRICULUM
    description = "By a score of the spans, in buckets or by a growing share of the data."
    settings_type = CurriculumSettings
    depends_on_max_steps = True

    def __init__(self, context: OrderContext) -> None:
        super().__init__(context)
        settings = context.settings
        assert isinstance(settings, CurriculumSettings)
        self._settings = settings
        self._ranked = self._ranked_sequences()
        # The rank of each sequence, 0 for the one that comes first.
        self._rank = np.empty_like(self._ranked)
        self._rank[self._ranked] = np.arange(len(self._ranked))
        self._epoch = -1
        self._in_epoch = np.zeros(0, np.int64)

    def sequences_at(self, step: int, first: int, count: int) -> NDArray[np.int64]:
        """Return the sequences that stand at these places of the stream."""
        if self._settings.sampler == "competence":
            return self._drawn(step, first, count)
        places = np.arange(first, first + count, dtype=np.int64)
        epochs, within = places // len(self._ranked), places % len(self._ranked)
        chosen = np.empty_like(places)
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            chosen[here] = self._order_of(epoch)[within[here]]
        return chosen

    def _ranked_sequences(self) -> NDArray[np.int64]:
        """Return the sequences by rising score, or falling for "down"; ties by a hash, the same for all seeds."""
        context, settings = self.context, self._settings
        if not settings.scores:
            raise ConfigurationError(
                "a curriculum needs the folder of its scores",
                got=f"order.by = {settings.by!r} without order.scores",
                remedy="Make it with: lilliput corpus score CORPUS --by NAME --out FOLDER, and set "
                "training.order.scores.",
            )
        scores = read_scores(context.store / settings.scores)
        by_document = scores.of(open_store(context.store).span_ids("train"))
        score = by_document[context.sequences.documents]
        if settings.direction == "shuffled":
            # Whole spans change scores, so that sequences of one span stay together as they do elsewhere.
            deal = generator(context.seed, "curriculum control").permutation(len(by_document))
            score = by_document[deal][context.sequences.documents]
        if settings.direction == "down":
            score = -score
        ties = mix32(np.arange(len(score), dtype=np.int64))
        return np.lexsort((ties, score)).astype(np.int64)

    def _order_of(self, epoch: int) -> NDArray[np.int64]:
        """Return one epoch in order; it holds what the shuffled order of the same seed would read in it."""
        if epoch != self._epoch:
            self._epoch, self._in_epoch = epoch, self._ordered(epoch)
        return self._in_epoch

    def _ordered(self, epoch: int) -> NDArray[np.int64]:
        context, settings = self.context, self._settings
        size = len(self._ranked)
        # The last epoch may be cut short: then its members are those that the shuffled order reads.
        members = min(size, context.places - epoch * size)
        chosen = places_in_epochs(size, context.seed, epoch * size, members)
        chosen = chosen[np.argsort(self._rank[chosen])]
        cycles = min(settings.cycles, members) if settings.direction == "interleaved" else 1
        key = stream_key(context.seed, "curriculum", epoch)
        parts = [
            bucket[Permutation(len(bucket), stream_key(key, cycle, number))(np.arange(len(bucket)))]
            for cycle in range(cycles)
            for number, bucket in enumerate(
                np.array_split(chosen[cycle::cycles], min(settings.buckets, -(-members // cycles)))
            )
            if len(bucket)
        ]
        return np.concatenate(parts)

    def _drawn(self, step: int, first: int, count: int) -> NDArray[np.int64]:
        """Return draws with replacement from the share that is offered at this step."""
        settings, size = self._settings, len(self._ranked)
        done = (step - 1) / max(1, self.context.max_steps - 1)
        share = offered_share(settings.pacing, done, settings.start)
        offered = min(size, max(count, round(share * size)))
        key = stream_key(self.context.seed, "competence")
        places = np.arange(first, first + count, dtype=np.int64)
        bits = mix32(mix32(places ^ (key & 0xFFFFFFFF)) ^ (key >> 32))
        return self._ranked[(bits / _TWO_32 * offered).astype(np.int64)]
