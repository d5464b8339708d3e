"""Tasks as data: one TOML file says what a task reads, what it predicts and how it is scored."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Settings, parse_settings
from lilliput.core.toml import parse_toml, read_toml
from lilliput.evaluation.scores.metrics import METRICS


class TaskDefinition(Settings):
    """Define a classification or regression task over one or two texts."""

    name: str = Field(
        ..., pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name of the task's folder."
    )
    title: str = Field(..., description="The question that the task asks, in words.")
    fields: tuple[str, ...] = Field(
        ..., min_length=1, max_length=2, description="Columns with the texts, one or two, in order."
    )
    label: str = Field(default="label", description="Column with the label.")
    label_type: Literal["class", "number"] = Field(
        default="class", description="Classes, or a number."
    )
    labels: tuple[str, ...] = Field(
        default=(), description="Name of each class; class i is number i."
    )
    label_range: tuple[float, float] | None = Field(
        default=None, description="Bounds of a numeric label."
    )
    metrics: tuple[str, ...] = Field(
        ..., min_length=1, description="The task's score is their unweighted mean."
    )
    train: str = Field(default="", description="Split to learn from; empty when another task is.")
    trained_on: str = Field(
        default="", description="Task whose models are scored here; empty: this one."
    )
    dev: tuple[str, ...] = Field(
        ..., min_length=1, description="Splits to score; the task's score is their unweighted mean."
    )
    test: tuple[str, ...] = Field(
        default=(), description="Splits whose labels are hidden; they are not scored."
    )
    in_average: bool = Field(default=True, description="Whether the benchmark's average counts it.")
    paper_filter_fields: tuple[str, ...] = Field(
        default=(),
        description="Columns that the paper's filter read, where they are not all fields.",
    )
    source: str = Field(..., description="Publication.")
    licence: str = Field(..., description="Terms of the data, as their source states them.")
    version: str = Field(..., description="Version of the data.")
    rows: dict[str, PositiveInt] = Field(
        default_factory=dict, description="Official number of rows of each split; optional."
    )

    @model_validator(mode="after")
    def _whole(self) -> TaskDefinition:
        unknown = [metric for metric in self.metrics if metric not in METRICS]
        if unknown:
            raise ValueError(f"metrics must be among {', '.join(METRICS)}, not {unknown[0]}")
        if (self.label_type == "class") != (len(self.labels) >= 2):
            raise ValueError("label_type 'class' needs two labels or more, 'number' none")
        if bool(self.train) == bool(self.trained_on):
            raise ValueError("a task must have either a train split or trained_on")
        return self

    @property
    def is_regression(self) -> bool:
        """Return whether the label is a number and not a class."""
        return self.label_type == "number"

    def score_name(self, split: str) -> str:
        """Return what a set's score is called: the task, and the set where a task has several."""
        return (
            self.name if len(self.dev) == 1 else f"{self.name}_{split.removeprefix('validation_')}"
        )

    @property
    def num_outputs(self) -> int:
        """Width of the head: one for a number, else one a class."""
        return 1 if self.is_regression else len(self.labels)


def known_tasks() -> list[str]:
    """Return names of the tasks that come with the package."""
    folder = files("lilliput.evaluation") / "task_files"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


def load_task(task: str | Path) -> TaskDefinition:
    """Return a task that comes with the package, by name, or any other, by the path of its TOML file.

    Raises:
        ConfigurationError: No such task; or its file breaks a rule.
        InputError: The file is not there, or not TOML.
    """
    if str(task).endswith(".toml"):
        return parse_settings(
            TaskDefinition, read_toml(Path(task), "the task file"), where=str(task)
        )
    return _shipped_task(str(task))


def shipped_tasks() -> list[TaskDefinition]:
    """Return the tasks that come with the package."""
    return [load_task(name) for name in known_tasks()]


@cache
def _shipped_task(name: str) -> TaskDefinition:
    if name not in known_tasks():
        raise ConfigurationError(
            "a task must be the name of a known one or the path of a TOML file",
            got=repr(name),
            remedy=f"Known: {', '.join(known_tasks())}.",
        )
    text = (files("lilliput.evaluation") / "task_files" / f"{name}.toml").read_text("utf-8")
    return parse_settings(TaskDefinition, parse_toml(text, f"{name}.toml"), where=f"{name}.toml")
