"""What every stage of a study is given."""

from __future__ import annotations

from dataclasses import dataclass

from lilliput.core.executors import Executor
from lilliput.core.progress import Reporter
from lilliput.study.recipe.schema import Recipe
from lilliput.study.store.layout import StudyLayout


@dataclass(frozen=True)
class StudyContext:
    """A checked recipe, the folder it fills, where work runs and where progress goes."""

    recipe: Recipe
    layout: StudyLayout
    executor: Executor
    reporter: Reporter
