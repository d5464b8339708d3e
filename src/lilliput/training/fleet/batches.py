"""One pass of all members: their micro-batches side by side, in one shape.

Members that read the same data in the same order share one copy. Others are aligned by length: the r-th
shortest sequence of each stands in the same pass, so that a pass is as wide as the longest of its rank.
Shapes: K members, S streams of data, G sequences of a global batch, B of a pass, L their width, N scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lilliput.training.batches import GlobalBatch, Grouping, MicroBatch, pass_groups
from lilliput.training.course import Course
from lilliput.training.sequences import SPECIAL_PER_SEQUENCE


@dataclass(frozen=True)
class StackedPass:
    """What one forward pass of K members reads; the first axis is 1 where all read the same.

    Attributes:
        input_ids_KBL: Ids with pads, int64.
        attention_mask_KBL: True where a token may be attended to; None when all may.
        positions_KN: Scored positions as indices into the flattened (B * L) positions; spare ones are 0.
        targets_KN: Their ids, int64.
        weights_KN: Their weights, float32; spare ones are 0.
        counts: Scored positions of each member.
    """

    input_ids_KBL: Tensor
    attention_mask_KBL: Tensor | None
    positions_KN: Tensor
    targets_KN: Tensor
    weights_KN: Tensor
    counts: tuple[int, ...]

    @property
    def is_shared(self) -> bool:
        """Whether all members read the same."""
        return self.input_ids_KBL.shape[0] == 1

    def to(self, device: torch.device) -> StackedPass:
        """The same on another device."""
        mask = self.attention_mask_KBL
        return StackedPass(
            self.input_ids_KBL.to(device),
            None if mask is None else mask.to(device),
            self.positions_KN.to(device),
            self.targets_KN.to(device),
            self.weights_KN.to(device),
            self.counts,
        )


@dataclass(frozen=True)
class StackedBatch:
    """An update of K members: the passes, and what each member reads in them."""

    passes: list[StackedPass]
    batches: list[GlobalBatch]


Stream = tuple[int, bool]


def stream_of(course: Course) -> Stream:
    """What decides which sequences and masks a run reads: its seed, and whether it shuffles."""
    return course.config.seed, course.config.training.switches.shuffle


def stacked_batch(members: Sequence[Course], step: int, grouping: Grouping) -> StackedBatch:
    """Update `step` of all members of a fleet."""
    first_of = {stream_of(course): course for course in members}
    groups = _aligned_groups(list(first_of.values()), step, grouping)
    batches = {
        stream: course.batch(step, grouping, groups[stream]) for stream, course in first_of.items()
    }
    row = {stream: number for number, stream in enumerate(batches)}
    places = [row[stream_of(course)] for course in members]
    columns = zip(*(batch.micro_batches for batch in batches.values()), strict=True)
    return StackedBatch(
        [_stack(column, places) for column in columns],
        [batches[stream_of(course)] for course in members],
    )


def _aligned_groups(
    courses: Sequence[Course], step: int, grouping: Grouping
) -> dict[Stream, list[tuple[NDArray[np.int64], int]] | None]:
    """Rows and width of each pass, for each stream; None leaves the choice to the grouping."""
    if len(courses) == 1:
        return {stream_of(courses[0]): None}
    train = courses[0].data.train
    lengths_SG = np.stack([train.lengths[c.chosen(step)] for c in courses]) + SPECIAL_PER_SEQUENCE
    ranked_SG = lengths_SG.argsort(1, kind="stable")
    widest_G = np.take_along_axis(lengths_SG, ranked_SG, 1).max(0)
    objective = courses[0].data.objective
    width = objective.max_seq_length if objective.pads_to_max else int(widest_G.max())
    groups = pass_groups(widest_G, width, objective, grouping)
    return {
        stream_of(course): [(np.sort(ranked_G[ranks]), bucket) for ranks, bucket in groups]
        for course, ranked_G in zip(courses, ranked_SG, strict=True)
    }


def _stack(micros: Sequence[MicroBatch], places: Sequence[int]) -> StackedPass:
    """The micro-batches of the streams, one row for each member."""
    counts = [len(micro.targets_N) for micro in micros]
    # One copy serves all where there is one stream.
    take = [0] if len(micros) == 1 else list(places)

    def rows(parts: Sequence[Tensor]) -> Tensor:
        return pad_sequence(list(parts), batch_first=True)[take]

    return StackedPass(
        torch.stack([micro.input_ids_BL for micro in micros])[take],
        _masks(micros, take),
        rows([micro.positions_N for micro in micros]),
        rows([micro.targets_N for micro in micros]),
        rows([micro.weights_N for micro in micros]),
        tuple(counts[place] for place in places),
    )


def _masks(micros: Sequence[MicroBatch], take: list[int]) -> Tensor | None:
    if all(micro.attention_mask_BL is None for micro in micros):
        return None
    masks = [
        torch.ones_like(micro.input_ids_BL, dtype=torch.bool)
        if micro.attention_mask_BL is None
        else micro.attention_mask_BL
        for micro in micros
    ]
    return torch.stack(masks)[take]
