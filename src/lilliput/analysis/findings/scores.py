"""Read the downstream scores of a study: the score of each run on each task, and its gain by pre-training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.analysis.findings.quantities import Quantity, finite
from lilliput.analysis.findings.runs import Run
from lilliput.core.reader import ScoreEntry, read_record

_MEAN = "mean"  # What an evaluation calls the mean over its parts.


@dataclass(frozen=True)
class TaskScore:
    """Hold the score of one run on one task, from trained or untrained weights.

    Attributes:
        run: Name of the run.
        task: Name of the task.
        weights: "trained" or "untrained": the weights before fine-tuning.
        metric: Name of the metric, such as "accuracy".
        value: Mean over seeds with its interval over seeds and examples.
        seeds: Fine-tuned models.
        gain: Trained minus untrained with its interval; None where this is the score of the untrained weights, or they
            were not scored.
        chance_level: Score of always giving the most frequent label.
        note: A remark that is needed to read the value; mostly empty.
        part_of: Name of the mean that this task is a part of; empty for a whole task, or a mean.
    """

    run: str
    task: str
    weights: str
    metric: str
    value: Quantity
    seeds: int
    gain: Quantity | None
    chance_level: float | None
    note: str
    part_of: str = ""

    @property
    def shows_gain(self) -> bool:
        """Return whether the gain's interval lies above zero."""
        return self.gain is not None and self.gain.low is not None and self.gain.low > 0

    @property
    def is_learned(self) -> bool:
        """Return whether pre-training helped and the score beats the most frequent label.

        A gain alone is not enough: untrained weights that score below the most frequent label give one too.
        """
        low = self.value.low
        return self.shows_gain and (
            self.chance_level is None or (low is not None and low > self.chance_level)
        )


def read_scores(folder: Path, means: Mapping[str, str] | None = None) -> tuple[TaskScore, ...]:
    """Return all scores below `evaluations/`, by run and task.

    Args:
        folder: Folder of the evaluations; it holds RUN/SUITE/scores.json.
        means: For each suite the name of the mean over its parts.
    """
    found: list[TaskScore] = []
    for path in sorted(folder.glob("**/scores.json")):
        run = path.relative_to(folder).parts[0]
        records = _with_mean(
            read_record(path, list[ScoreEntry]), (means or {}).get(path.parent.name, _MEAN)
        )
        untrained = {r["task"]: r["value"] for r in records if r["weights"] == "untrained"}
        found += [_score(run, record, untrained) for record in records]
        found += [
            _bare_score(run, record, "untrained", float(record["baseline"]), None)
            for record in records
            if record["task"] not in untrained and finite(record.get("baseline")) is not None
        ]
    return tuple(found)


def _with_mean(records: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the final scores; where they have a mean it is called `name`, and the others are its parts."""
    final = [record for record in records if record.get("checkpoint", "final") == "final"]
    if all(record["task"] != _MEAN for record in final):
        return final
    return [
        record | ({"task": name} if record["task"] == _MEAN else {"part_of": name})
        for record in final
    ]


def scores_of(runs: Sequence[Run]) -> tuple[TaskScore, ...]:
    """Return the scores in the columns `score_TASK` and `baseline_TASK` of a table, without intervals.

    Only a column whose name begins with `score_` is a score; every other number of a run stays a number.
    """
    found: list[TaskScore] = []
    for run in runs:
        for column, value in run.final.items():
            if not column.startswith("score_"):
                continue
            task = column.removeprefix("score_")
            untrained = run.final.get(f"baseline_{task}")
            gain = None if untrained is None else Quantity(value - untrained)
            record = {"task": task}
            found.append(_bare_score(run.name, record, "trained", value, gain))
            if untrained is not None:
                found.append(_bare_score(run.name, record, "untrained", untrained, None))
    return tuple(found)


def _bare_score(
    run: str, record: Mapping[str, Any], weights: str, value: float, gain: Quantity | None
) -> TaskScore:
    """Return a value without an interval, for the task of `record`."""
    return TaskScore(
        run=run,
        task=str(record["task"]),
        weights=weights,
        metric=str(record.get("metric", "")),
        value=Quantity(value, n=int(record.get("n") or 0) or None, unit="examples"),
        seeds=int(record.get("seeds") or 0),
        gain=gain,
        chance_level=finite(record.get("chance_level")),
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
        weights=str(record["weights"]),
        metric=str(record.get("metric", "")),
        value=value,
        seeds=int(record.get("seeds") or 0),
        gain=_gain(record, untrained, n),
        chance_level=finite(record.get("chance_level")),
        note=str(record.get("note") or ""),
        part_of=str(record.get("part_of", "")),
    )


def _gain(
    record: Mapping[str, Any], untrained: Mapping[str, Any], n: int | None
) -> Quantity | None:
    """Return the recorded paired gain; else the difference of the two values, without an interval."""
    if record["weights"] != "trained":
        return None
    gain = finite(record.get("gain"))
    if gain is not None:
        low, high = finite(record.get("gain_low")), finite(record.get("gain_high"))
        return Quantity(gain, low, high, n, "examples")
    value = finite(record.get("value"))
    baseline = finite(untrained.get(record["task"])) or finite(record.get("baseline"))
    if value is None or baseline is None:
        return None
    return Quantity(value - baseline, None, None, n, "examples")
