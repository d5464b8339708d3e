"""`lilliput evaluate`: a run on GLUE tasks, minimal pairs, or the probes of its language."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from lilliput.cli._frame import JsonOption, SetOption, deliver, echo, suggest

if TYPE_CHECKING:
    from lilliput.core.settings import Settings
    from lilliput.evaluation import Score
    from lilliput.evaluation.folders import EvaluationFolders

SettingsT = TypeVar("SettingsT", bound="Settings")
_GLUE = """Example: lilliput evaluate glue STUDY/runs/3f2a --tasks cola,sst2 --data glue/
--vocabulary words.csv --set learning_rates=[5e-4,1e-3] --json"""
_PAIRS = """Example: lilliput evaluate pairs STUDY/runs/3f2a --data blimp/ --tasks
adjunct_island,causative --vocabulary words.csv --set method=within_word_l2r"""
_PROBES = """Example: lilliput evaluate probes STUDY/runs/3f2a --data STUDY/probes/constrained"""

Run = Annotated[Path, typer.Argument(help="Folder of a finished run.")]
VocabularyOption = Annotated[
    Path | None, typer.Option("--vocabulary", help="Keep only examples within this word list.")
]
RuleOption = Annotated[
    str, typer.Option("--word-rule", help="What must be in the word list: corrected or paper.")
]


@dataclass(frozen=True)
class Shared:
    """The options that all three commands have, as the command line gave them."""

    tasks: Annotated[
        str,
        typer.Option("--tasks", metavar="A,B", help="Names, separated by commas; all when empty."),
    ] = ""
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the data.")] = None
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", help="Folder of the run's tokenizer; found inside a study."),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the scores; beside the runs of a study."),
    ] = None
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="Trained weights: final, or step-N.")
    ] = "final"
    device: Annotated[str, typer.Option("--device", help="Where to compute: cpu or cuda.")] = "cpu"
    overrides: SetOption = None
    as_json: JsonOption = False

    @property
    def names(self) -> list[str]:
        """The tasks that were named."""
        return [name.strip() for name in self.tasks.split(",") if name.strip()]

    def place(self, run: Path, suite: str) -> EvaluationFolders:
        """Where the tokenizer is and where the scores go."""
        from lilliput.evaluation.folders import evaluation_folders

        return evaluation_folders(run, suite, self.tokenizer, self.out, self.checkpoint)

    def how(self) -> dict[str, Any]:
        """What every evaluation is told besides its data."""
        from lilliput.core.progress import reporter_for_terminal

        return {
            "checkpoint": self.checkpoint,
            "device": self.device,
            "reporter": reporter_for_terminal(),
        }


def _command(body: Callable[..., None]) -> Callable[..., None]:
    """`body(run, shared, ...)` as a command with the options of its own and the shared ones."""

    def command(**values: Any) -> None:
        shared = Shared(**{field.name: values.pop(field.name) for field in fields(Shared)})
        body(shared=shared, **values)

    hints = get_type_hints(Shared, include_extras=True)
    own = inspect.signature(body, eval_str=True).parameters.values()
    parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in own if p.name != "shared"]
    parameters += [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(Shared)
    ]
    command.__doc__ = body.__doc__
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__dict__["__signature__"] = inspect.Signature(parameters)
    return command


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    group = typer.Typer(help="Score a run, with seeds, intervals and the untrained baseline.")
    group.command("glue", epilog=_GLUE)(_command(glue))
    group.command("pairs", epilog=_PAIRS)(_command(pairs))
    group.command("probes", epilog=_PROBES)(_command(probes))
    app.add_typer(group, name="evaluate")


def glue(
    run: Run,
    shared: Shared,
    vocabulary: VocabularyOption = None,
    word_rule: RuleOption = "corrected",
    preset: Annotated[
        str,
        typer.Option(
            "--preset",
            help="Fine-tuning: default, as the run's switches say; or paper, with all defects.",
        ),
    ] = "default",
    hub: Annotated[
        bool, typer.Option("--hub", help="Fetch tasks that --data lacks from the Hugging Face Hub.")
    ] = False,
) -> None:
    """Fine-tune on GLUE tasks (or any with a task.toml) and score their dev sets."""
    from lilliput.evaluation import FineTuningSettings, average_of_evaluation, evaluate_glue
    from lilliput.evaluation.glue.data import prepare_tasks

    place = shared.place(run, "glue")
    settings = _overridden(FineTuningSettings.named(preset), shared.overrides)
    data = _require_data(shared.data)
    folders = prepare_tasks(shared.names, data, vocabulary, word_rule, place.out.parent, hub=hub)
    scores = evaluate_glue(
        run, folders, place.tokenizer, place.out, settings=settings, **shared.how()
    )
    average = average_of_evaluation(place.out)
    _deliver(scores, place.out, shared.as_json, average=average.as_record() if average else None)


def pairs(
    run: Run,
    shared: Shared,
    vocabulary: VocabularyOption = None,
    word_rule: RuleOption = "corrected",
) -> None:
    """Score minimal pairs: BLiMP, Zorro, or any JSON Lines with sentence_good and sentence_bad."""
    from lilliput.evaluation import default_pair_settings, evaluate_pairs
    from lilliput.evaluation.folders import word_rule_named

    place = shared.place(run, "pairs")
    scores = evaluate_pairs(
        run,
        _require_data(shared.data),
        place.tokenizer,
        place.out,
        paradigms=shared.names,
        vocabulary=vocabulary,
        rule=word_rule_named(word_rule),
        settings=_overridden(default_pair_settings(run), shared.overrides),
        **shared.how(),
    )
    last = [score for score in scores if score.start == "trained"][-1]
    mean = {"value": last.value, "low": last.low, "high": last.high}
    _deliver(scores, place.out, shared.as_json, average=mean)


def probes(run: Run, shared: Shared) -> None:
    """Fine-tune on the probes that were made from held-out text (DATA: the probes of a study)."""
    from lilliput.evaluation import ProbeSettings, average_interval, evaluate_probes

    place = shared.place(run, "probes")
    scores = evaluate_probes(
        run,
        _require_data(shared.data or place.probes),
        place.tokenizer,
        place.out,
        tasks=shared.names,
        settings=_overridden(ProbeSettings().fine_tuning, shared.overrides),
        **shared.how(),
    )
    names = [[score.task] for score in scores if score.start == "trained"]
    found = average_interval(place.out, names)
    mean = {"value": found.value, "low": found.low, "high": found.high}
    _deliver(scores, place.out, shared.as_json, average=mean)


def _require_data(data: Path | None) -> Path:
    from lilliput.core.errors import InputError

    if data is None or not data.exists():
        raise InputError(
            "the data must exist", got=data or "no --data", remedy="Give its folder with --data."
        )
    return data


def _overridden(settings: SettingsT, overrides: Sequence[str] | None) -> SettingsT:
    """`settings` with each KEY=VALUE put in its place, checked as a whole."""
    from lilliput.core.settings import parse_settings
    from lilliput.core.toml import with_overrides

    # Without what nobody gave: that is left to the run's switches.
    values = with_overrides(settings.model_dump(mode="json", exclude_unset=True), overrides or ())
    return parse_settings(type(settings), values, where="--set")


def _deliver(scores: Sequence[Score], out: Path, as_json: bool, **more: Any) -> None:
    from lilliput.evaluation import as_summary

    record = {"scores": as_summary(scores), "out": str(out), **more}
    deliver(record, as_json, lambda: _show(scores, out, more))


def _show(scores: Sequence[Score], out: Path, more: dict[str, Any]) -> None:
    for score in scores:
        if score.start != "trained":
            continue
        bounds = "" if score.low is None else f" [{score.low:.3f}, {score.high:.3f}]"
        base = "" if score.baseline is None else f", untrained {score.baseline:.3f}"
        echo(f"{score.task}: {score.metric} {score.value:.3f}{bounds}{base}, n {score.n}")
        if score.gain_low is not None:
            sign = "above" if score.gain_low > 0 else "not above"
            echo(
                f"    gain {score.gain:+.3f} [{score.gain_low:+.3f}, {score.gain_high:+.3f}]: {sign} zero"
            )
        if isinstance(kept := score.details.get("kept"), dict):
            rows = (f"{split} {n['kept']} of {n['rows']}" for split, n in kept.items())
            echo(f"    kept: {', '.join(rows)}")
        if score.note:
            echo(f"    {score.note}")
    if (mean := more["average"]) is not None:
        bounds = "" if mean["low"] is None else f" [{mean['low']:.3f}, {mean['high']:.3f}]"
        echo(f"average {mean['value']:.3f}{bounds}")
    suggest(f"lilliput runs show {out}")
