"""What the tables say of teachers: who taught a run, how much larger it was, and what it cost to train.

FLOPs of a student count the teacher's forward passes, as if the teacher existed already. Two more columns add its
training: `…_and_teacher` the whole of it, as if it had been trained for this student alone, and
`…_and_shared_teacher` one part in k, where k runs of the study learn from it.

    student 1 GFLOP of its own, 3 GFLOPs of the teacher's forward passes, teacher trained with 100 GFLOPs for 4 students
    flops_executed_masked                       4
    flops_executed_masked_and_teacher         104
    flops_executed_masked_and_shared_teacher   29
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lilliput.architecture import ModelConfig, Workload, flops_of_workload
from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.settings import parse_settings
from lilliput.study.store.layout import StudyLayout
from lilliput.study.store.runs import RunRecord
from lilliput.study.store.token_counts import tokens_of_an_epoch
from lilliput.training.objectives.distillation import (
    WITH_SHARED_TEACHER,
    WITH_TEACHER,
    DistillationSettings,
    plain_convention,
)
from lilliput.training.run_config import RunConfig

_UNTRAINED = "untrained"
_SOME_TOKENS = 1_000_000


class TeachingColumns:
    """The columns about teachers of the runs of one study; none where no run of it has a teacher.

    Args:
        layout: Of the study.
        runs: Its finished runs.
        convention: FLOPs convention by which the study is analysed.
    """

    def __init__(self, layout: StudyLayout, runs: Sequence[RunRecord], convention: str) -> None:
        self._layout, self._convention = layout, plain_convention(convention)
        self._runs = {run.run_id: run for run in runs}
        self._settings = {
            run.run_id: found for run in runs if (found := _distillation(run)) is not None
        }
        self._students = Counter(
            teacher
            for settings in self._settings.values()
            if settings.teacher_weights != _UNTRAINED
            for teacher in set(settings.teacher)
        )
        self._epochs: dict[str, float | None] = {}

    def of_run(self, run: RunRecord) -> Mapping[str, Any]:
        """Return the columns that are the same for all measurements of a run."""
        if not self._settings:
            return {}
        settings = self._settings.get(run.run_id)
        if settings is None:
            return {
                "teacher": "", "teacher_weights": "", "teacher_ratio": None,
                "distillation_weight": None, "temperature": None,
            }  # fmt: skip
        config = parse_settings(RunConfig, run.config, str(run.folder))
        known = [self._runs.get(teacher) for teacher in settings.teacher]
        names = [
            found.name if found else folder
            for found, folder in zip(known, settings.teacher_folders, strict=True)
        ]
        return {
            "teacher": " + ".join(names),
            "teacher_weights": settings.teacher_weights,
            "teacher_ratio": _ratio(config, settings.teacher_models),
            "distillation_weight": settings.weight,
            "temperature": settings.temperature,
        }

    def of_point(self, run: RunRecord, point: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the columns of one measurement: passes over the text, and FLOPs with the training of teachers."""
        if not self._settings:
            return {}
        epoch, name = self._tokens_of_an_epoch(run), self._convention
        whole, shared = self._teachers_cost(run.run_id)
        return {
            "epochs": point["tokens_seen"] / epoch if epoch else None,
            f"{name}{WITH_TEACHER}": None if whole is None else point[name] + whole,
            f"{name}{WITH_SHARED_TEACHER}": None if shared is None else point[name] + shared,
        }

    def _teachers_cost(self, run_id: str) -> tuple[float | None, float | None]:
        """Return FLOPs of training the teachers of a run, whole and shared; None where a teacher is no run of the study."""
        settings = self._settings.get(run_id)
        if settings is None or settings.teacher_weights == _UNTRAINED:
            return 0.0, 0.0
        whole = shared = 0.0
        for teacher in settings.teacher:
            if teacher not in self._runs:
                return None, None
            # A teacher may have had a teacher of its own.
            own_whole, own_shared = self._teachers_cost(teacher)
            if own_whole is None or own_shared is None:
                return None, None
            cost = float(self._runs[teacher].result[self._convention])
            whole += cost + own_whole
            shared += (cost + own_shared) / self._students[teacher]
        return whole, shared

    def _tokens_of_an_epoch(self, run: RunRecord) -> float | None:
        language = str(run.info["language"])
        if language not in self._epochs:
            store = self._layout.tokens(language)
            facts = read_manifest(store, "tokens").facts if is_artefact(store) else None
            length = int(run.config["training"]["max_seq_length"])
            self._epochs[language] = None if facts is None else tokens_of_an_epoch(facts, length)
        return self._epochs[language]


def _distillation(run: RunRecord) -> DistillationSettings | None:
    objective = run.config["training"]["objective"]
    if "teacher" not in objective:
        return None
    return parse_settings(DistillationSettings, objective, str(run.folder))


def _ratio(config: RunConfig, teachers: Sequence[ModelConfig]) -> float:
    """Return FLOPs of the teachers over those of the student, on the same text."""
    work = Workload.of(
        seq_length=config.training.max_seq_length,
        predicted_share=config.objective().predicted_share,
        tokens=_SOME_TOKENS,
    )
    name = "flops_executed_masked"
    own = flops_of_workload(config.model, work)[name]
    return sum(flops_of_workload(teacher, work)[name] for teacher in teachers) / own
