"""Make micro-batches of all members, side by side in one shape.

Members that read the same data in the same order share one copy. The rows of others are as wide and as
many as those of the member that needs most.
Shapes: K members, S streams of data, G sequences of a global batch, B rows of a micro-batch, L their width, N predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from lilliput.training.data.batches import DeviceTensors, GlobalBatch, MicroBatch
from lilliput.training.data.packing import Packing, pack, row_width
from lilliput.training.data.sequences import SPECIAL_PER_SEQUENCE
from lilliput.training.execution.gradients import HEAD_ROWS
from lilliput.training.run_schedule import RunSchedule


@dataclass(frozen=True)
class StackedMicroBatch(DeviceTensors):
    """Hold what one forward pass of K members reads; the first axis is 1 where all read the same.

    Attributes:
        input_ids_KBL: Ids with pads, int64.
        attention_mask: True where a token may be attended to, (K, B, L), or who sees whom, (K, B, L, L);
            None when all may.
        position_ids_KBL: Place of each token in its sequence; None where each row holds one.
        positions_KN: Predicted positions as indices into the flattened (B * L) positions; spare ones are 0.
        targets_KN: Their ids, int64.
        weights_KN: Their weights, float32; spare ones are 0.
        counts: Predicted positions of each member.
        queries_KBQ: As many positions of each row, the predicted ones among them; None: all.
        slots_KN: Where each predicted position stands among these B * Q; of spare ones 0.
    """

    input_ids_KBL: Tensor
    attention_mask: Tensor | None
    position_ids_KBL: Tensor | None
    positions_KN: Tensor
    targets_KN: Tensor
    weights_KN: Tensor
    counts: tuple[int, ...]
    queries_KBQ: Tensor | None = None
    slots_KN: Tensor | None = None

    @property
    def is_shared(self) -> bool:
        """Return whether all members read the same."""
        return self.input_ids_KBL.shape[0] == 1


@dataclass(frozen=True)
class StackedBatch:
    """Hold a step of K members: the micro-batches, and what each member reads in them."""

    micro_batches: list[StackedMicroBatch]
    batches: list[GlobalBatch]


Stream = tuple[int, bool]


def stream_of(schedule: RunSchedule) -> Stream:
    """Return what decides which sequences and masks a run reads: its seed, and whether it shuffles."""
    return schedule.config.seed, schedule.config.training.switches.shuffle


def streams_of(members: Sequence[RunSchedule]) -> tuple[list[RunSchedule], list[int]]:
    """Return a schedule for each stream of data, and which of these streams each member reads."""
    first_of = {stream_of(schedule): schedule for schedule in members}
    number = {stream: place for place, stream in enumerate(first_of)}
    return list(first_of.values()), [number[stream_of(schedule)] for schedule in members]


def stacked_batch(members: Sequence[RunSchedule], step: int, max_rows: int) -> StackedBatch:
    """Return step `step` of all members of a fleet, in micro-batches of at most `max_rows` rows."""
    schedules, places = streams_of(members)
    packings = _equal_packings(schedules, step)
    batches = [
        schedule.batch(step, max_rows, packing)
        for schedule, packing in zip(schedules, packings, strict=True)
    ]
    columns = zip(*(batch.micro_batches for batch in batches), strict=True)
    return StackedBatch(
        [_stack(column, places) for column in columns], [batches[place] for place in places]
    )


def _equal_packings(schedules: Sequence[RunSchedule], step: int) -> Sequence[Packing | None]:
    """Return the rows of each stream, all of one width and number; None where a batch's own choice is that."""
    train, rules = schedules[0].data.train, schedules[0].data.rules
    if rules.pads_to_max or len(schedules) == 1:
        return [None] * len(schedules)
    lengths = [train.lengths[c.chosen(step)] + SPECIAL_PER_SEQUENCE for c in schedules]
    longest = max(int(lengths_G.max()) for lengths_G in lengths)
    width = row_width(longest, rules.max_seq_length)
    packings = [pack(lengths_G, width) for lengths_G in lengths]
    rows = max(packing.rows for packing in packings)
    return [replace(packing, rows=rows) for packing in packings]


def _stack(micros: Sequence[MicroBatch], places: Sequence[int]) -> StackedMicroBatch:
    """Return the micro-batches of the streams, one row for each member."""
    counts = [len(micro.targets_N) for micro in micros]
    spare = -max(counts) % HEAD_ROWS
    # One copy serves all where there is one stream.
    take = [0] if len(micros) == 1 else list(places)

    def rows(parts: Sequence[Tensor]) -> Tensor:
        return functional.pad(pad_sequence(list(parts), batch_first=True), (0, spare))[take]

    masks, position_ids, queries = _masks(micros), _position_ids(micros), _queries(micros)
    return StackedMicroBatch(
        torch.stack([micro.input_ids_BL for micro in micros])[take],
        None if masks is None else masks[take],
        None if position_ids is None else position_ids[take],
        rows([micro.positions_N for micro in micros]),
        rows([micro.targets_N for micro in micros]),
        rows([micro.weights_N for micro in micros]),
        tuple(counts[place] for place in places),
        None if queries is None else torch.stack([asked for asked, _ in queries])[take],
        None if queries is None else rows([slots for _, slots in queries]),
    )


def _masks(micros: Sequence[MicroBatch]) -> Tensor | None:
    """Return the masks of all streams in the one form that serves them all."""
    given = [micro.attention_mask for micro in micros]
    if all(mask is None for mask in given):
        return None
    says_who = any(mask is not None and mask.dim() == 3 for mask in given)
    return torch.stack([_mask(micro, says_who=says_who) for micro in micros])


def _mask(micro: MicroBatch, *, says_who: bool) -> Tensor:
    mask = micro.attention_mask
    if mask is None:
        mask = torch.ones_like(micro.input_ids_BL, dtype=torch.bool)
    if says_who and mask.dim() == 2:
        return mask[:, None, :].expand(-1, mask.shape[1], -1)
    return mask


def _position_ids(micros: Sequence[MicroBatch]) -> Tensor | None:
    given = [micro.position_ids_BL for micro in micros]
    if all(places is None for places in given):
        return None
    columns_L = torch.arange(micros[0].input_ids_BL.shape[1])
    each = [
        columns_L.expand_as(micro.input_ids_BL) if places is None else places
        for micro, places in zip(micros, given, strict=True)
    ]
    return torch.stack(each)


def _queries(micros: Sequence[MicroBatch]) -> list[tuple[Tensor, Tensor]] | None:
    """Return queries and slots of all streams, as many queries in each; None where one asks at all positions."""
    given = [
        (micro.queries_BQ, micro.slots_N)
        for micro in micros
        if micro.queries_BQ is not None and micro.slots_N is not None
    ]
    if len(given) < len(micros):
        return None
    most = max(asked.shape[1] for asked, _ in given)
    return [
        (
            functional.pad(asked, (0, most - asked.shape[1])),
            slots // asked.shape[1] * most + slots % asked.shape[1],
        )
        for asked, slots in given
    ]
