"""Scores of trained models: GLUE, minimal pairs, and probes made from held-out text.

Tasks are data, and every choice of fine-tuning is written down. Each score stands beside that of the
untrained baseline, the very random weights that the run began with, and carries an interval over
seeds and examples. Predictions are kept, so that every figure can be computed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.core.lazy import lazy_attributes
from lilliput.evaluation.settings import FineTuningSettings, PairSettings, ProbeSettings

if TYPE_CHECKING:
    from lilliput.evaluation.choices.evaluate import evaluate_choices
    from lilliput.evaluation.choices.probes import build_choice_probes
    from lilliput.evaluation.choices.settings import ChoiceProbeSettings, ChoiceSettings
    from lilliput.evaluation.context.evaluate import evaluate_context
    from lilliput.evaluation.context.settings import ContextSettings
    from lilliput.evaluation.exports.babylm import write_babylm_fine_tuning, write_babylm_pairs
    from lilliput.evaluation.exports.lm_eval import (
        run_lm_eval,
        write_lm_eval_pairs,
        write_lm_eval_tasks,
    )
    from lilliput.evaluation.generation.fill import FilledMask, fill_masks
    from lilliput.evaluation.generation.generate import GeneratedTexts, Sample, generate_texts
    from lilliput.evaluation.generation.settings import GenerationSettings
    from lilliput.evaluation.glue.average import (
        GlueAverage,
        average_of_evaluation,
        average_of_scores,
        glue_average,
    )
    from lilliput.evaluation.glue.evaluate import evaluate_glue
    from lilliput.evaluation.glue.filtering import filter_task
    from lilliput.evaluation.pairs.evaluate import default_pair_settings, evaluate_pairs
    from lilliput.evaluation.probes.build import build_probes
    from lilliput.evaluation.probes.evaluate import evaluate_probes, evaluate_probes_together
    from lilliput.evaluation.scores.comparison import ScoreComparison, compare_evaluations
    from lilliput.evaluation.scores.curve import CurvePoint, score_curve
    from lilliput.evaluation.scores.score import Score, as_summary, average_interval, read_scores
    from lilliput.evaluation.tasks.definition import (
        TaskDefinition,
        known_tasks,
        load_task,
        shipped_tasks,
    )

_LATER = {
    "shipped_tasks": "tasks.definition",
    "ChoiceProbeSettings": "choices.settings",
    "ChoiceSettings": "choices.settings",
    "ContextSettings": "context.settings",
    "GenerationSettings": "generation.settings",
    "build_choice_probes": "choices.probes",
    "GlueAverage": "glue.average",
    "Score": "scores.score",
    "TaskDefinition": "tasks.definition",
    "as_summary": "scores.score",
    "average_interval": "scores.score",
    "average_of_evaluation": "glue.average",
    "average_of_scores": "glue.average",
    "build_probes": "probes.build",
    "filter_task": "glue.filtering",
    "glue_average": "glue.average",
    "known_tasks": "tasks.definition",
    "load_task": "tasks.definition",
    "read_scores": "scores.score",
}
_WITH_TORCH = {
    "ScoreComparison": "scores.comparison",
    "CurvePoint": "scores.curve",
    "compare_evaluations": "scores.comparison",
    "default_pair_settings": "pairs.evaluate",
    "evaluate_choices": "choices.evaluate",
    "evaluate_context": "context.evaluate",
    "evaluate_glue": "glue.evaluate",
    "evaluate_pairs": "pairs.evaluate",
    "evaluate_probes": "probes.evaluate",
    "evaluate_probes_together": "probes.evaluate",
    "FilledMask": "generation.fill",
    "GeneratedTexts": "generation.generate",
    "Sample": "generation.generate",
    "fill_masks": "generation.fill",
    "generate_texts": "generation.generate",
    "run_lm_eval": "exports.lm_eval",
    "score_curve": "scores.curve",
    "write_babylm_fine_tuning": "exports.babylm",
    "write_babylm_pairs": "exports.babylm",
    "write_lm_eval_pairs": "exports.lm_eval",
    "write_lm_eval_tasks": "exports.lm_eval",
}

__all__ = [
    "ChoiceProbeSettings",
    "ChoiceSettings",
    "ContextSettings",
    "CurvePoint",
    "FilledMask",
    "FineTuningSettings",
    "GeneratedTexts",
    "GenerationSettings",
    "GlueAverage",
    "PairSettings",
    "ProbeSettings",
    "Sample",
    "Score",
    "ScoreComparison",
    "TaskDefinition",
    "as_summary",
    "average_interval",
    "average_of_evaluation",
    "average_of_scores",
    "build_choice_probes",
    "build_probes",
    "compare_evaluations",
    "default_pair_settings",
    "evaluate_choices",
    "evaluate_context",
    "evaluate_glue",
    "evaluate_pairs",
    "evaluate_probes",
    "evaluate_probes_together",
    "fill_masks",
    "filter_task",
    "generate_texts",
    "glue_average",
    "known_tasks",
    "load_task",
    "read_scores",
    "run_lm_eval",
    "score_curve",
    "shipped_tasks",
    "write_babylm_fine_tuning",
    "write_babylm_pairs",
    "write_lm_eval_pairs",
    "write_lm_eval_tasks",
]

__getattr__ = lazy_attributes(__name__, _LATER, with_torch=_WITH_TORCH)
