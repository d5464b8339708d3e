"""Executors run independent pieces of work: in this process, in others, or on a Ray cluster.

An executor has three methods (`submit`, `map`, `wait`). Results travel by file; what is returned is a
small record. Every task is idempotent, so a task whose worker died is simply run again.
"""

from __future__ import annotations

from lilliput.core.errors import ConfigurationError
from lilliput.core.executors.base import Executor, Handle
from lilliput.core.executors.inline import InlineExecutor
from lilliput.core.executors.process import ProcessExecutor

EXECUTORS = ("inline", "process", "ray")


def make_executor(name: str, workers: int | None = None, address: str | None = None) -> Executor:
    """Return the executor called `name`.

    Args:
        name: "inline", "process" or "ray".
        workers: Processes at once; the processor count when None.
        address: Of a running Ray cluster ("auto" finds it); None starts a local one.

    Raises:
        ConfigurationError: No executor has this name.
        MissingExtraError: Ray is asked for and not installed.
    """
    if name == "inline":
        return InlineExecutor()
    if name == "process":
        return ProcessExecutor(workers)
    if name == "ray":
        from lilliput.core.executors.ray import RayExecutor

        return RayExecutor(workers, address)
    raise ConfigurationError(
        "the executor must be known", got=repr(name), remedy=f"Use one of: {', '.join(EXECUTORS)}."
    )


__all__ = ["EXECUTORS", "Executor", "Handle", "InlineExecutor", "ProcessExecutor", "make_executor"]
