"""Scores along a run: what its checkpoints know, against the tokens they had seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import InputError
from lilliput.core.reader import CheckpointState, MetricsLine, read_record, read_records
from lilliput.evaluation.scores.score import read_scores
from lilliput.evaluation.weights import INITIAL, TRAINED


@dataclass(frozen=True)
class CurvePoint:
    """Hold the score of one task at one checkpoint.

    Attributes:
        task: Name of the score.
        checkpoint: Folder name under the run's checkpoints.
        tokens_seen: Input tokens without pads, up to that checkpoint.
        value: See `Score`.
        low: Lower bound of its interval.
        high: Upper bound.
        n: Scored items.
    """

    task: str
    checkpoint: str
    tokens_seen: int
    value: float
    low: float | None
    high: float | None
    n: int

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def score_curve(run: Path, evaluations: Sequence[Path]) -> list[CurvePoint]:
    """Return the scores of several checkpoints of a run, by task and then by tokens seen.

    Args:
        run: Folder of the run.
        evaluations: Artefacts "evaluation" of its checkpoints, in any order.

    Raises:
        InputError: An evaluation is not there, or is one of another run.
    """
    run_id = read_manifest(run, "run").id
    points: list[CurvePoint] = []
    for folder in evaluations:
        of_run = read_manifest(folder, "evaluation").inputs["run"]
        if of_run != run_id:
            raise InputError(
                f"all evaluations of a curve must be of the run {run_id}",
                got=f"{folder}, of {of_run}",
            )
        points += [
            CurvePoint(
                score.task,
                score.checkpoint,
                tokens_seen_at(run, score.checkpoint),
                score.value,
                score.low,
                score.high,
                score.n,
            )
            for score in read_scores(folder)
            if score.weights == TRAINED
        ]
    return sorted(points, key=lambda point: (point.task, point.tokens_seen))


def tokens_seen_at(run: Path, checkpoint: str) -> int:
    """Return the input tokens without pads that a run had seen at "initial", "step-N" or "final".

    The run counts them at its evaluation points; between two of them the count is drawn straight,
    which is off by the difference of a few batches' lengths at most.

    Raises:
        InputError: The checkpoint is not there.
    """
    if checkpoint == INITIAL:
        return 0
    state = run / "checkpoints" / checkpoint / "state.json"
    if not state.is_file():
        raise InputError("the checkpoint must exist", got=state.parent)
    points = read_records(run / "metrics.jsonl", MetricsLine)
    steps = [point["step"] for point in points]
    tokens = [point["tokens_seen"] for point in points]
    return round(float(np.interp(read_record(state, CheckpointState)["step"], steps, tokens)))
