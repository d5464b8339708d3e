"""The context that every stage of a study is given."""

from __future__ import annotations

from dataclasses import dataclass

from lilliput.core.executors import Executor
from lilliput.core.progress import Reporter
from lilliput.study.recipe.expansion import StudyGrid
from lilliput.study.recipe.schema import Recipe
from lilliput.study.store.layout import StudyLayout


@dataclass(frozen=True)
class StudyContext:
    """A recipe with its runs, the folder that it fills, where work runs and where progress goes.

    Attributes:
        grid: The checked recipe and its runs, expanded once.
        layout: Where everything of the study lies.
        executor: Who does the work of the stages.
        reporter: Where progress goes.
    """

    grid: StudyGrid
    layout: StudyLayout
    executor: Executor
    reporter: Reporter

    @property
    def recipe(self) -> Recipe:
        """Return the checked recipe."""
        return self.grid.recipe
