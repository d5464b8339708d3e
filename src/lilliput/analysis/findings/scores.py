"""Downstream scores of a study: what each run reached on each task, and what pre-training gave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.analysis.findings.quantities import Quantity, finite
from lilliput.analysis.findings.runs import Run
from lilliput.core.reader import read_record

_MEAN = "mean"  # What an evaluation calls the mean over its parts.


@dataclass(frozen=True)
class TaskScore:
    """One task of one run from one start.

    Attributes:
        run: Which run was scored.
        task: Name of the task.
        start: "trained" or "untrained".
        metric: What the value is.
        value: Mean over seeds with its interval over seeds and examples.
        seeds: Fine-tuned models.
        gain: Trained minus untrained with its interval; None where the start is untrained, or the
            untrained weights were not scored.
        chance: Value of always giving the most frequent label.
        note: What must be known to read the value.
        part_of: The mean that this task is a part of; empty for a task of its own, or a mean.
    """

    run: str
    task: str
    start: str
    metric: str
    value: Quantity
    seeds: int
    gain: Quantity | None
    chance: float | None
    note: str
    part_of: str = ""

    @property
    def shows_gain(self) -> bool:
        """Whether the gain's interval lies above zero."""
        return self.gain is not None and self.gain.low is not None and self.gain.low > 0

    @property
    def is_learned(self) -> bool:
        """Whether it is a gain to a score beyond the most frequent label's: a poor start alone makes a gain too."""
        low = self.value.low
        return self.shows_gain and (self.chance is None or (low is not None and low > self.chance))


def read_scores(folder: Path, means: Mapping[str, str] | None = None) -> tuple[TaskScore, ...]:
    """All scores below `evaluations/`, by run and task.

    Args:
        folder: Of the evaluations, RUN/SUITE/scores.json.
        means: Suite to what the mean over its parts is called.
    """
    found: list[TaskScore] = []
    for path in sorted(folder.glob("**/scores.json")):
        run = path.relative_to(folder).parts[0]
        records = _with_mean(
            read_record(path, list[dict[str, Any]]), (means or {}).get(path.parent.name, _MEAN)
        )
        untrained = {r["task"]: r["value"] for r in records if r["start"] == "untrained"}
        found += [_score(run, record, untrained) for record in records]
        found += [
            _bare_score(run, record, "untrained", float(record["baseline"]), None)
            for record in records
            if record["task"] not in untrained and finite(record.get("baseline")) is not None
        ]
    return tuple(found)


def _with_mean(records: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The final scores; where they have a mean it is called `name`, and the others are its parts."""
    final = [record for record in records if record.get("checkpoint", "final") == "final"]
    if all(record["task"] != _MEAN for record in final):
        return final
    return [
        record | ({"task": name} if record["task"] == _MEAN else {"part_of": name})
        for record in final
    ]


def scores_of(runs: Sequence[Run]) -> tuple[TaskScore, ...]:
    """The scores in the columns `score_TASK` and `baseline_TASK` of a table: without intervals."""
    found: list[TaskScore] = []
    for run in runs:
        for column, value in run.final.items():
            if not column.startswith("score_"):
                continue
            task = column.removeprefix("score_")
            start = run.final.get(f"baseline_{task}")
            gain = None if start is None else Quantity(value - start)
            record = {"task": task}
            found.append(_bare_score(run.name, record, "trained", value, gain))
            if start is not None:
                found.append(_bare_score(run.name, record, "untrained", start, None))
    return tuple(found)


def _bare_score(
    run: str, record: Mapping[str, Any], start: str, value: float, gain: Quantity | None
) -> TaskScore:
    """A value without an interval, for the task of `record`."""
    return TaskScore(
        run=run,
        task=str(record["task"]),
        start=start,
        metric=str(record.get("metric", "")),
        value=Quantity(value, n=int(record.get("n") or 0) or None, unit="examples"),
        seeds=int(record.get("seeds") or 0),
        gain=gain,
        chance=finite(record.get("chance")),
        note="",
        part_of=str(record.get("part_of", "")),
    )


def _score(run: str, record: Mapping[str, Any], untrained: Mapping[str, Any]) -> TaskScore:
    n = int(record.get("n") or 0) or None
    value = Quantity(
        finite(record.get("value")),
        finite(record.get("low")),
        finite(record.get("high")),
        n,
        "examples",
    )
    return TaskScore(
        run=run,
        task=str(record["task"]),
        start=str(record["start"]),
        metric=str(record.get("metric", "")),
        value=value,
        seeds=int(record.get("seeds") or 0),
        gain=_gain(record, untrained, n),
        chance=finite(record.get("chance")),
        note=str(record.get("note") or ""),
        part_of=str(record.get("part_of", "")),
    )


def _gain(
    record: Mapping[str, Any], untrained: Mapping[str, Any], n: int | None
) -> Quantity | None:
    """The recorded paired gain; without one, the difference of the two values, without an interval."""
    if record["start"] != "trained":
        return None
    gain = finite(record.get("gain"))
    if gain is not None:
        low, high = finite(record.get("gain_low")), finite(record.get("gain_high"))
        return Quantity(gain, low, high, n, "examples")
    value = finite(record.get("value"))
    start = finite(untrained.get(record["task"])) or finite(record.get("baseline"))
    if value is None or start is None:
        return None
    return Quantity(value - start, None, None, n, "examples")
