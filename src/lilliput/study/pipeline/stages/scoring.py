"""This stage scores every finished run on the probes of its language, and on GLUE and pairs where the recipe asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.files import names_below, write_json
from lilliput.core.hashing import content_id, file_hash
from lilliput.evaluation import build_choice_probes, build_probes, filter_task
from lilliput.evaluation.choices.settings import ChoiceSettings
from lilliput.evaluation.choices.tasks import find_choice_tasks
from lilliput.evaluation.context.settings import ContextSettings
from lilliput.evaluation.pairs.reading import find_paradigms
from lilliput.evaluation.settings import (
    STACK_SIZE,
    FineTuningSettings,
    PairSettings,
    WordRule,
    follow_switches,
    plain_pair_settings,
)
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.store.failures import as_failure, scores_failure
from lilliput.study.store.layout import CHOICES, CONTEXT, GLUE, PAIRS, PROBES, TASKS
from lilliput.study.store.runs import RunRecord, read_run
from lilliput.training.switches import Switches


@dataclass(frozen=True)
class ScoringTask(ABC):
    """One run on one suite of tasks, as a worker needs it.

    Attributes:
        name: Of the run.
        run: Its folder.
        tokenizer: The run's.
        out: Where the scores go.
        origins: Ids and hashes of what is scored.
    """

    name: str
    run: Path
    tokenizer: Path
    out: Path
    origins: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        """Return whether the scores of these very tasks and settings lie there."""
        if not is_artefact(self.out):
            return False
        manifest = read_manifest(self.out)
        origins = {read_manifest(self.run).id, *self.origins}
        return origins <= set(manifest.inputs.values()) and self.made(manifest.settings)

    @abstractmethod
    def made(self, recorded: Mapping[str, Any]) -> bool:
        """Return whether scores with these recorded settings are this task's."""

    @abstractmethod
    def score(self) -> None:
        """Score the run, in this process."""


@dataclass(frozen=True)
class LearnedTasks(ScoringTask):
    """Tasks that are learned by fine-tuning: the probes in one folder, or GLUE tasks in one each.

    Attributes:
        suite: "probes" or "glue".
        tasks: Their folders.
        asked: Fine-tuning as the recipe gives it.
        switches: Of the run: they say what the recipe does not.
        model: The run's model, by its hash: runs of one model may be scored together.
    """

    suite: str
    tasks: tuple[Path, ...]
    asked: FineTuningSettings
    switches: Switches
    model: str = ""

    @property
    def settings(self) -> FineTuningSettings:
        """Return the settings of fine-tuning for this run, with nothing left open."""
        return follow_switches(self.asked, self.switches)

    def made(self, recorded: Mapping[str, Any]) -> bool:
        """Return whether the models were fine-tuned in the same way."""
        return recorded.get("fine_tuning") == self.settings.model_dump(mode="json")

    def score(self) -> None:
        """Fine-tune the initial and the trained weights, and score both."""
        from lilliput.evaluation import evaluate_glue, evaluate_probes

        if self.suite == PROBES:
            evaluate_probes(
                self.run, self.tasks[0], self.tokenizer, self.out, settings=self.settings
            )
        else:
            evaluate_glue(self.run, self.tasks, self.tokenizer, self.out, settings=self.settings)

    @property
    def group_key(self) -> tuple[object, ...]:
        """Return what is equal for runs that may be scored together, beside the run itself."""
        return (self.tokenizer, self.tasks, self.model, self.settings.model_dump_json())


@dataclass(frozen=True)
class MinimalPairs(ScoringTask):
    """Pairs that are scored without learning."""

    data: Path
    vocabulary: Path
    rule: WordRule
    settings: PairSettings

    def made(self, recorded: Mapping[str, Any]) -> bool:
        """Return whether the same pairs were chosen and scored in the same way."""
        settings = self.settings.model_dump(mode="json")
        return recorded.get("pairs") == settings and recorded.get("rule") == self.rule

    def score(self) -> None:
        """Score the initial and the trained weights."""
        from lilliput.evaluation import evaluate_pairs

        evaluate_pairs(
            self.run,
            self.data,
            self.tokenizer,
            self.out,
            vocabulary=self.vocabulary,
            rule=self.rule,
            settings=self.settings,
        )


@dataclass(frozen=True)
class MultipleChoice(ScoringTask):
    """Score multiple choice without learning."""

    data: Path
    vocabulary: Path | None
    rule: WordRule
    settings: ChoiceSettings

    def made(self, recorded: Mapping[str, Any]) -> bool:
        """Return whether the same items were scored in the same way."""
        rule = self.rule if self.vocabulary else ""
        settings = self.settings.model_dump(mode="json")
        return recorded.get("choices") == settings and recorded.get("rule") == rule

    def score(self) -> None:
        """Score the initial and the trained weights."""
        from lilliput.evaluation import evaluate_choices

        evaluate_choices(
            self.run,
            self.data,
            self.tokenizer,
            self.out,
            vocabulary=self.vocabulary,
            rule=self.rule,
            settings=self.settings,
        )


@dataclass(frozen=True)
class ContextMeasures(ScoringTask):
    """What context is worth to a causal run."""

    settings: ContextSettings

    def made(self, recorded: Mapping[str, Any]) -> bool:
        """Return whether the same positions and sequences were measured."""
        return recorded.get("context") == self.settings.model_dump(mode="json")

    def score(self) -> None:
        """Measure the initial and the trained weights."""
        from lilliput.evaluation import evaluate_context

        evaluate_context(self.run, self.out, settings=self.settings)


_Suite = Callable[[RunRecord], ScoringTask | None]


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


def build_choice_tasks(context: StudyContext) -> None:
    """Make the multiple-choice tasks of each language from the held-out text of its corpus."""
    choices = context.recipe.choices
    if choices is None or choices.probes is None:
        return
    for language in context.recipe.choice_languages():
        build_choice_probes(
            context.layout.corpus(language),
            context.layout.choices(language),
            settings=choices.probes,
            seed=context.recipe.seed,
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
    """Score the finished runs whose block asks for it; name and message of those that could not be scored."""
    scored = context.grid.scored_names
    records = [record for record in map(read_run, runs) if record.name in scored]
    waiting = [task for task in _tasks(context, records) if not task.is_done]
    failures: list[tuple[str, str]] = []
    if not waiting:
        return failures
    groups = _groups(waiting)
    with context.reporter.task("scoring", total=len(waiting), unit="runs") as shown:
        progress = partial(names_below, *(task.out for task in waiting))
        for position, failed in context.executor.map(score_group, groups, progress):
            shown.advance(len(groups[position]), note=groups[position][0].name)
            for name, message in failed:
                failures.append((name, message))
                context.reporter.say(f"failed: {name}: {message}")
    return failures


def _groups(tasks: Sequence[ScoringTask]) -> list[tuple[ScoringTask, ...]]:
    """Return the tasks in groups that one worker scores together: as many runs of one model as fill a stack."""
    groups: list[tuple[ScoringTask, ...]] = []
    by_key: dict[tuple[object, ...], list[ScoringTask]] = {}
    for task in tasks:
        if isinstance(task, LearnedTasks) and task.suite == PROBES and task.model:
            settings = task.settings
            # Trained and untrained weights, each under every seed and rate.
            members = 2 * len(settings.seeds) * len(settings.learning_rates)
            waiting = by_key.setdefault(task.group_key, [])
            waiting.append(task)
            if (len(waiting) + 1) * members > STACK_SIZE:
                groups.append(tuple(by_key.pop(task.group_key)))
        else:
            groups.append((task,))
    return [*groups, *map(tuple, by_key.values())]


def score_group(group: Sequence[ScoringTask]) -> list[tuple[str, str]]:
    """Score a group in this process; name and message of each run that could not be scored."""
    if len(group) > 1:
        try:
            _score_together(group)
        except Exception as error:  # Which of them failed, and why, is found by scoring each alone.
            del error
    return [
        (task.name, message) for task in group if not task.is_done and (message := score_one(task))
    ]


def _score_together(group: Sequence[ScoringTask]) -> None:
    from lilliput.evaluation import evaluate_probes_together

    first = group[0]
    assert isinstance(first, LearnedTasks)
    for task in group:
        scores_failure(task.out).unlink(missing_ok=True)
    runs = {task.run: task.out for task in group}
    evaluate_probes_together(runs, first.tasks[0], first.tokenizer, settings=first.settings)


def score_one(task: ScoringTask) -> str:
    """Score one run in this process; the message of its failure, or an empty string."""
    mark = scores_failure(task.out)
    mark.unlink(missing_ok=True)
    try:
        task.score()
    except Exception as error:
        failure = as_failure(error, "scoring a run")
        mark.parent.mkdir(parents=True, exist_ok=True)
        write_json(mark, failure.as_record())
        return str(failure)
    return ""


def _tasks(context: StudyContext, records: Sequence[RunRecord]) -> Iterator[ScoringTask]:
    # The largest first, so that no worker is left alone with one at the end.
    by_size = sorted(records, key=lambda r: -r.result["num_parameters"])
    makers = (_probes, _glue, _pairs, _choices, _published_choices, _context)
    for suite in filter(None, (make(context) for make in makers)):
        yield from filter(None, map(suite, by_size))


def _place(
    context: StudyContext, record: RunRecord, suite: str, origins: Sequence[str]
) -> dict[str, Any]:
    layout = context.layout
    language = str(record.info["language"])
    return {
        "name": record.name,
        "run": record.folder,
        "tokenizer": layout.tokenizer(
            context.recipe.tokenized_as(language), context.recipe.tokenizers.train_with
        ),
        "out": layout.evaluation(record.run_id, suite),
        "origins": tuple(origins),
    }


def _probes(context: StudyContext) -> _Suite | None:
    probes = context.recipe.probes
    if probes is None:
        return None

    def suite(record: RunRecord) -> ScoringTask:
        folder = context.layout.probes(str(record.info["language"]))
        place = _place(context, record, PROBES, [read_manifest(folder).id])
        return LearnedTasks(
            **place,
            suite=PROBES,
            tasks=(folder,),
            asked=probes.fine_tuning,
            switches=record.switches,
            model=content_id(record.model),
        )

    return suite


def _glue(context: StudyContext) -> _Suite | None:
    glue = context.recipe.glue
    if glue is None:
        return None
    tasks = tuple(map(context.layout.glue, glue.tasks))
    ids = [read_manifest(task).id for task in tasks]

    def suite(record: RunRecord) -> ScoringTask:
        place = _place(context, record, GLUE, ids)
        return LearnedTasks(
            **place, suite=GLUE, tasks=tasks, asked=glue.fine_tuning, switches=record.switches
        )

    return suite


def _pairs(context: StudyContext) -> _Suite | None:
    pairs = context.recipe.pairs
    if pairs is None:
        return None
    data = Path(context.recipe.resolve(pairs.data))
    hashes = [file_hash(path) for path in find_paradigms(data)]

    def suite(record: RunRecord) -> ScoringTask:
        return MinimalPairs(
            **_place(context, record, PAIRS, hashes),
            data=data,
            vocabulary=context.layout.vocabulary,
            rule=pairs.rule,
            settings=pairs.scoring or plain_pair_settings(bool(record.model["is_causal"])),
        )

    return suite


def _choices(context: StudyContext) -> _Suite | None:
    choices = context.recipe.choices
    if choices is None or choices.probes is None:
        return None

    def suite(record: RunRecord) -> ScoringTask:
        folder = context.layout.choices(choices.probes_from or str(record.info["language"]))
        return MultipleChoice(
            **_place(context, record, CHOICES, _hashes(folder)),
            data=folder,
            vocabulary=None,
            rule=choices.rule,
            settings=choices.scoring,
        )

    return suite


def _published_choices(context: StudyContext) -> _Suite | None:
    choices = context.recipe.choices
    if choices is None or not choices.data:
        return None
    data = Path(context.recipe.resolve(choices.data))
    hashes = _hashes(data)

    def suite(record: RunRecord) -> ScoringTask:
        return MultipleChoice(
            **_place(context, record, TASKS, hashes),
            data=data,
            vocabulary=context.layout.vocabulary,
            rule=choices.rule,
            settings=choices.scoring,
        )

    return suite


def _hashes(folder: Path) -> list[str]:
    """Return the hashes of all files of the tasks in a folder."""
    tasks = find_choice_tasks(folder)
    return [file_hash(p) for task in tasks for p in (*task.scored, *task.train, *task.sources)]


def _context(context: StudyContext) -> _Suite | None:
    settings = context.recipe.context
    if settings is None:
        return None

    def suite(record: RunRecord) -> ScoringTask | None:
        if not record.model["is_causal"]:
            return None
        tokens = context.layout.tokens(str(record.info["language"]))
        place = _place(context, record, CONTEXT, [read_manifest(tokens).id])
        return ContextMeasures(**place, settings=settings)

    return suite
