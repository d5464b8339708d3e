"""`lilliput evaluate` scores a run on GLUE tasks, minimal pairs, or the probes of its language."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from lilliput.cli._frame import add_group, deliver, echo
from lilliput.cli._hints import suggest, unused
from lilliput.cli._options import (
    CheckpointOption,
    DataOption,
    DeviceOption,
    ExampleWordsOption,
    JsonOption,
    RunArgument,
    RunTokenizerOption,
    ScoresOption,
    SetOption,
    TasksOption,
    WordRuleOption,
)

if TYPE_CHECKING:
    from lilliput.core.settings import Settings
    from lilliput.evaluation import Score

SettingsT = TypeVar("SettingsT", bound="Settings")
_GLUE = """Example: lilliput evaluate glue STUDY/runs/3f2a --tasks cola,sst2 --data glue/
--vocabulary words.csv --set learning_rates=[5e-4,1e-3] --json"""
_PAIRS = """Example: lilliput evaluate pairs STUDY/runs/3f2a --data blimp/ --tasks
adjunct_island,causative --vocabulary words.csv --set method=within_word_l2r"""
_CHOICES = """Example: lilliput evaluate choices STUDY/runs/3f2a --data tasks/ --tasks copa,piqa
--vocabulary words.csv --set shots=2 --set seeds=[0,1,2]"""
_CONTEXT = """Example: lilliput evaluate context STUDY/runs/3f2a --set sequences=200"""
_PROBES = """Example: lilliput evaluate probes STUDY/runs/3f2a --data STUDY/probes/constrained"""

_SPANS = """Example: lilliput evaluate spans STUDY/runs/3f2a --by loss --out scores/loss"""


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    about = "Score a run, with seeds, intervals and the untrained baseline."
    group = add_group(app, "evaluate", about)
    group.command("glue", epilog=_GLUE)(glue)
    group.command("pairs", epilog=_PAIRS)(pairs)
    group.command("choices", epilog=_CHOICES)(choices)
    group.command("context", epilog=_CONTEXT)(context)
    group.command("probes", epilog=_PROBES)(probes)
    group.command("spans", epilog=_SPANS)(spans)


def spans(
    run: RunArgument,
    by: Annotated[str, typer.Option(help="loss or el2n.")] = "loss",
    tokens: Annotated[
        Path | None,
        typer.Option(help="Token store of the corpus to score; the run's own when left out."),
    ] = None,
    out: ScoresOption = None,
    checkpoint: CheckpointOption = "final",
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the spans of a corpus by the run's loss on each, for curricula and `lilliput corpus prune`."""
    from lilliput.core.errors import InputError
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.core.settings import parse_settings
    from lilliput.core.toml import with_overrides
    from lilliput.evaluation.folders import run_origins
    from lilliput.evaluation.spans import RunScoreSettings, score_spans
    from lilliput.study import run_folder

    run = run_folder(run)
    store = tokens or run_origins(run).tokens
    if store is None:
        raise InputError(
            "the token store of the corpus must be known",
            got=f"no token store of this run beside {run.parent}",
            remedy="Give its folder with --tokens.",
        )
    values = with_overrides({"name": by, "checkpoint": checkpoint}, overrides or [])
    settings = parse_settings(RunScoreSettings, values)
    place = out or run.with_name(f"{run.resolve().name}-{by}")
    record = score_spans(run, store, place, settings, reporter=reporter_for_terminal())

    def show() -> None:
        mean = "none" if record["mean"] is None else f"{record['mean']:.4g}"
        echo(
            f"{record['spans']:,} spans, mean {by} {mean}, {record['missing']:,} without a score: {place}"
        )
        corpus = run_origins(run).corpus
        if corpus is not None and tokens is None:
            suggest(
                "corpus",
                "prune",
                corpus,
                scores=place,
                keep="middle",
                rate="0.5",
                out=unused("pruned"),
            )

    deliver(record, as_json, show)


def glue(
    run: RunArgument,
    tasks: TasksOption = "",
    data: DataOption = None,
    vocabulary: ExampleWordsOption = None,
    word_rule: WordRuleOption = "corrected",
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
    tokenizer: RunTokenizerOption = None,
    out: ScoresOption = None,
    checkpoint: CheckpointOption = "final",
    device: DeviceOption = "cpu",
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune on GLUE tasks (or any with a task.toml) and score their dev sets."""
    from lilliput.evaluation import FineTuningSettings, average_of_evaluation, evaluate_glue
    from lilliput.evaluation.folders import evaluation_folders
    from lilliput.evaluation.glue.filtering import prepare_tasks
    from lilliput.study import run_folder

    run = run_folder(run)
    places = evaluation_folders(run, "glue", tokenizer, out, checkpoint)
    settings = _overridden(FineTuningSettings.named(preset), overrides)
    folders = prepare_tasks(
        _names(tasks), _require_data(data), vocabulary, word_rule, places.out.parent, hub=hub
    )
    scores = evaluate_glue(
        run, folders, places.tokenizer, places.out, settings=settings, **_how(checkpoint, device)
    )
    average = average_of_evaluation(places.out)
    mean = average.as_record() if average else None
    _deliver(run, scores, places.out, mean, as_json)


def pairs(
    run: RunArgument,
    tasks: TasksOption = "",
    data: DataOption = None,
    vocabulary: ExampleWordsOption = None,
    word_rule: WordRuleOption = "corrected",
    tokenizer: RunTokenizerOption = None,
    out: ScoresOption = None,
    checkpoint: CheckpointOption = "final",
    device: DeviceOption = "cpu",
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score minimal pairs: BLiMP, Zorro, or any JSON Lines with sentence_good and sentence_bad."""
    from lilliput.evaluation import default_pair_settings, evaluate_pairs
    from lilliput.evaluation.admission import word_rule_named
    from lilliput.evaluation.folders import evaluation_folders
    from lilliput.study import run_folder

    run = run_folder(run)
    places = evaluation_folders(run, "pairs", tokenizer, out, checkpoint)
    scores = evaluate_pairs(
        run,
        _require_data(data),
        places.tokenizer,
        places.out,
        paradigms=_names(tasks),
        vocabulary=vocabulary,
        rule=word_rule_named(word_rule),
        settings=_overridden(default_pair_settings(run), overrides),
        **_how(checkpoint, device),
    )
    last = [score for score in scores if score.weights == "trained"][-1]
    mean = {"value": last.value, "low": last.low, "high": last.high}
    _deliver(run, scores, places.out, mean, as_json)


def choices(
    run: RunArgument,
    tasks: TasksOption = "",
    data: DataOption = None,
    vocabulary: ExampleWordsOption = None,
    word_rule: WordRuleOption = "corrected",
    tokenizer: RunTokenizerOption = None,
    out: ScoresOption = None,
    checkpoint: CheckpointOption = "final",
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score multiple-choice tasks without learning: COPA, PIQA, ARC-easy, or a folder in lm-eval's form."""
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.evaluation import ChoiceSettings, evaluate_choices
    from lilliput.evaluation.admission import word_rule_named
    from lilliput.evaluation.folders import evaluation_folders
    from lilliput.study import run_folder

    run = run_folder(run)
    places = evaluation_folders(run, "choices", tokenizer, out, checkpoint)
    scores = evaluate_choices(
        run,
        _require_data(data),
        places.tokenizer,
        places.out,
        tasks=_names(tasks),
        vocabulary=vocabulary,
        rule=word_rule_named(word_rule),
        settings=_overridden(ChoiceSettings(), overrides),
        checkpoint=checkpoint,
        reporter=reporter_for_terminal(),
    )
    _deliver(run, scores, places.out, None, as_json)


def context(
    run: RunArgument,
    tokens: Annotated[
        Path | None,
        typer.Option("--tokens", help="The run's token store; found inside a study."),
    ] = None,
    out: ScoresOption = None,
    checkpoint: CheckpointOption = "final",
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how a causal run uses its context: late loss against early, and copying a repeated sequence."""
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.evaluation import ContextSettings, evaluate_context
    from lilliput.evaluation.folders import scores_folder
    from lilliput.study import run_folder

    run = run_folder(run)
    folder = out or scores_folder(run, "context", checkpoint)
    scores = evaluate_context(
        run,
        folder,
        tokens=tokens,
        settings=_overridden(ContextSettings(), overrides),
        checkpoint=checkpoint,
        reporter=reporter_for_terminal(),
    )
    _deliver(run, scores, folder, None, as_json)


def probes(
    run: RunArgument,
    tasks: TasksOption = "",
    data: DataOption = None,
    tokenizer: RunTokenizerOption = None,
    out: ScoresOption = None,
    checkpoint: CheckpointOption = "final",
    device: DeviceOption = "cpu",
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune on the probes that were made from held-out text (DATA: the probes of a study)."""
    from lilliput.evaluation import ProbeSettings, average_interval, evaluate_probes
    from lilliput.evaluation.folders import evaluation_folders
    from lilliput.study import run_folder

    run = run_folder(run)
    places = evaluation_folders(run, "probes", tokenizer, out, checkpoint)
    scores = evaluate_probes(
        run,
        _require_data(data or places.probes),
        places.tokenizer,
        places.out,
        tasks=_names(tasks),
        settings=_overridden(ProbeSettings().fine_tuning, overrides),
        **_how(checkpoint, device),
    )
    names = [[score.task] for score in scores if score.weights == "trained"]
    found = average_interval(places.out, names)
    mean = {"value": found.value, "low": found.low, "high": found.high}
    _deliver(run, scores, places.out, mean, as_json)


def _names(tasks: str) -> list[str]:
    return [name.strip() for name in tasks.split(",") if name.strip()]


def _how(checkpoint: str, device: str) -> dict[str, Any]:
    """Return what every evaluation takes besides its data."""
    from lilliput.core.progress import reporter_for_terminal

    return {"checkpoint": checkpoint, "device": device, "reporter": reporter_for_terminal()}


def _require_data(data: Path | None) -> Path:
    from lilliput.core.errors import InputError

    if data is None or not data.exists():
        raise InputError(
            "the data must exist", got=data or "no --data", remedy="Give its folder with --data."
        )
    return data


def _overridden(settings: SettingsT, overrides: Sequence[str] | None) -> SettingsT:
    """Return `settings` with each KEY=VALUE put in its place, checked as a whole."""
    from lilliput.core.errors import ConfigurationError
    from lilliput.core.settings import parse_settings
    from lilliput.core.toml import with_overrides
    from lilliput.evaluation import FineTuningSettings

    # Without what nobody gave: that is left to the run's switches.
    values = with_overrides(settings.model_dump(mode="json", exclude_unset=True), overrides or ())
    found = parse_settings(type(settings), values, where="--set")
    if isinstance(found, FineTuningSettings):
        try:
            found.require_effect()
        except ValueError as error:
            raise ConfigurationError(
                str(error), got=f"--set {' --set '.join(overrides or ())}"
            ) from None
    return found


def _deliver(
    run: Path, scores: Sequence[Score], out: Path, average: dict[str, Any] | None, as_json: bool
) -> None:
    from lilliput.evaluation import as_summary

    record = {"scores": as_summary(scores), "out": str(out), "average": average}

    def show() -> None:
        _show(scores, average)
        echo(f"Scores: {out}")
        _suggest_next(run, out)

    deliver(record, as_json, show)


def _suggest_next(run: Path, out: Path) -> None:
    """Suggest the report where the scores lie in the run's study, else the run itself."""
    study = run.resolve().parent.parent
    if (study / "evaluations").resolve() in out.resolve().parents:
        suggest("report", run.parent.parent, out="report.html")
    else:
        suggest("runs", "show", run)


def _show(scores: Sequence[Score], mean: dict[str, Any] | None) -> None:
    for score in scores:
        if score.weights != "trained":
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
        elif kept is not None:
            noun = "pairs" if "pairs" in score.details else "rows"
            echo(f"    {kept:,} of {score.details[noun]:,} {noun} kept")
        if score.details.get("unigram") is not None:
            levels = (
                f"{name} {score.details[name]:.3f}" for name in ("chance", "majority", "unigram")
            )
            echo(f"    levels: {', '.join(levels)}; margin {score.details['margin']:+.3f} nats")
        if score.note:
            echo(f"    {score.note}")
    if mean is not None:
        bounds = "" if mean["low"] is None else f" [{mean['low']:.3f}, {mean['high']:.3f}]"
        echo(f"average {mean['value']:.3f}{bounds}")
