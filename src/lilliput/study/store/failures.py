"""Failures of runs and of their scores are each kept in a file beside what the work would have made."""

from __future__ import annotations

import traceback
from pathlib import Path

from lilliput.core.errors import LilliputError

FAILURE = "failure.json"  # In the folder of a run.


class RunRaisedError(LilliputError):
    """A run, or its scoring, stopped with an error that was not expected."""

    code = "run_raised"


def as_failure(error: Exception, who: str) -> LilliputError:
    """Return the error, or one that says what Python or torch raised in `who` and where, so that others go on."""
    if isinstance(error, LilliputError):
        return error
    place = traceback.extract_tb(error.__traceback__)[-1]
    return RunRaisedError(
        f"{who} must not raise",
        got=f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})",
        remedy="Take it again with `lilliput study retry` and the recipe of this study.",
    )


def scores_failure(scores: Path) -> Path:
    """Return where the failure of the scores in the folder `scores` stands: beside it, as it may not exist."""
    return scores.with_name(f"{scores.name}.{FAILURE}")
