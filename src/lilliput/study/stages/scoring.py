"""Stage: every finished run on the probes of its language, and on GLUE where the recipe asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.errors import LilliputError
from lilliput.evaluation import build_probes, filter_task
from lilliput.evaluation.settings import FineTuningSettings
from lilliput.study.context import StudyContext
from lilliput.study.runs import RunRecord, read_run

PROBES = "probes"
GLUE = "glue"


@dataclass(frozen=True)
class ScoringTask:
    """One run on one suite of tasks, as a worker needs it."""

    name: str
    suite: str
    run: Path
    tasks: tuple[Path, ...]
    tokenizer: Path
    out: Path
    settings: FineTuningSettings

    @property
    def is_done(self) -> bool:
        """Whether the scores of these very tasks and settings lie there."""
        if not is_artefact(self.out):
            return False
        manifest = read_manifest(self.out)
        origins = {read_manifest(self.run).id, *(read_manifest(task).id for task in self.tasks)}
        made_with = manifest.settings.get("fine_tuning") == self.settings.model_dump(mode="json")
        return made_with and origins <= set(manifest.inputs.values())


def build_probe_tasks(context: StudyContext) -> None:
    """Make the probes of each language from the held-out text of its corpus."""
    recipe, layout = context.recipe, context.layout
    if recipe.probes is None:
        return
    for language in recipe.languages:
        build_probes(
            layout.corpus(language),
            layout.probes(language),
            settings=recipe.probes,
            seed=recipe.seed,
            reporter=context.reporter,
        )


def build_glue_tasks(context: StudyContext) -> None:
    """Keep of each GLUE task the examples that the vocabulary admits."""
    recipe, layout = context.recipe, context.layout
    if recipe.glue is None:
        return
    for task in recipe.glue.tasks:
        filter_task(
            task,
            Path(recipe.resolve(recipe.glue.data)),
            layout.vocabulary,
            layout.glue(task),
            rule=recipe.glue.rule,
        )


def score_runs(context: StudyContext, runs: Sequence[Path]) -> list[tuple[str, str]]:
    """Score the finished runs; name and message of those that could not be scored."""
    records = [read_run(run) for run in runs]
    waiting = [task for task in _tasks(context, records) if not task.is_done]
    failures: list[tuple[str, str]] = []
    if not waiting:
        return failures
    with context.reporter.task("fine-tuning", total=len(waiting), unit="runs") as progress:
        for position, message in context.executor.map(score_one, waiting):
            progress.advance(note=waiting[position].name)
            if message:
                failures.append((waiting[position].name, message))
                context.reporter.say(f"failed: {waiting[position].name}: {message}")
    return failures


def score_one(task: ScoringTask) -> str:
    """Score one run in this process; the message of its failure, or an empty string."""
    try:
        if task.suite == PROBES:
            from lilliput.evaluation import evaluate_probes

            evaluate_probes(
                task.run, task.tasks[0], task.tokenizer, task.out, settings=task.settings
            )
        else:
            from lilliput.evaluation import evaluate_glue

            evaluate_glue(task.run, task.tasks, task.tokenizer, task.out, settings=task.settings)
    except LilliputError as error:
        return str(error)
    return ""


def _tasks(context: StudyContext, records: Sequence[RunRecord]) -> Iterator[ScoringTask]:
    recipe, layout = context.recipe, context.layout
    # The largest first, so that no worker is left alone with one at the end.
    for record in sorted(records, key=lambda r: -r.result["num_parameters"]):
        language = str(record.info["language"])
        tokenizer = layout.tokenizer(language, recipe.tokenizers.train_with)
        if recipe.probes is not None:
            yield ScoringTask(
                record.name,
                PROBES,
                record.folder,
                (layout.probes(language),),
                tokenizer,
                layout.evaluation(record.run_id, PROBES),
                recipe.probes.fine_tuning,
            )
        if recipe.glue is not None:
            yield ScoringTask(
                record.name,
                GLUE,
                record.folder,
                tuple(layout.glue(task) for task in recipe.glue.tasks),
                tokenizer,
                layout.evaluation(record.run_id, GLUE),
                recipe.glue.fine_tuning,
            )
