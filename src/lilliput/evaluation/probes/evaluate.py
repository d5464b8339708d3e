"""Scoring a run on the probes of its language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.reader import read_record
from lilliput.core.settings import parse_settings
from lilliput.evaluation.probes.build import PROBES_KIND, PROBES_SCHEMA
from lilliput.evaluation.scores.score import Score
from lilliput.evaluation.settings import FineTuningSettings, ProbeSettings
from lilliput.evaluation.suite import TaskData, evaluate_together
from lilliput.evaluation.tasks.definition import TaskDefinition
from lilliput.evaluation.tasks.examples import read_examples
from lilliput.tokenization import load_tokenizer


def read_probes(probes: Path, names: Sequence[str] = ()) -> list[TaskData]:
    """Return the probe tasks of an artefact "probes", in its order; all when no names are given.

    Raises:
        InputError: No finished probes are there, or one that was asked for was not made.
    """
    manifest = read_manifest(probes, PROBES_KIND, PROBES_SCHEMA)
    made = [name for name, fact in manifest.facts.items() if "train" in fact]
    missing = [name for name in names if name not in made]
    if missing:
        raise InputError(
            f"probes must be among {', '.join(made)}",
            got=f"{missing[0]}: {manifest.facts.get(missing[0], {}).get('left_out', 'unknown')}",
        )
    data: list[TaskData] = []
    for name in names or made:
        folder = probes / name
        record = read_record(folder / "task.json")
        task = parse_settings(TaskDefinition, record, where=str(folder / "task.json"))
        scored = {split: read_examples(task, folder, split) for split in task.dev}
        data.append(TaskData(task, read_examples(task, folder, task.train), scored))
    return data


def evaluate_probes(
    run: Path,
    probes: Path,
    tokenizer: Path,
    out: Path,
    *,
    tasks: Sequence[str] = (),
    settings: FineTuningSettings | None = None,
    checkpoint: str = "final",
    device: str = "cpu",
    reporter: Reporter = SILENT,
) -> list[Score]:
    """Score a run on its language's probes, from trained and untrained weights.

    Args:
        run: Folder of the run.
        probes: Artefact "probes" of the language the run was trained on.
        tokenizer: Folder of the tokenizer the run was trained with.
        out: Folder of the artefact "evaluation"; one that is already there is read.
        tasks: Names of probes; all when empty.
        settings: How the probes are learned; `ProbeSettings().fine_tuning` when left out. What they
            leave out follows the run's switches.
        checkpoint: The trained weights: "final" or "step-N".
        device: Where to compute.
        reporter: Where progress goes.

    Raises:
        InputError: Run, checkpoint, probes or tokenizer are not there.
        ArtefactError: The initial weights are not the ones the run started from.
        ConfigurationError: The tokenizer is not the run's.
    """
    return evaluate_probes_together(
        {run: out},
        probes,
        tokenizer,
        tasks=tasks,
        settings=settings,
        checkpoint=checkpoint,
        device=device,
        reporter=reporter,
    )[0]


def evaluate_probes_together(
    runs: Mapping[Path, Path],
    probes: Path,
    tokenizer: Path,
    *,
    tasks: Sequence[str] = (),
    settings: FineTuningSettings | None = None,
    checkpoint: str = "final",
    device: str = "cpu",
    reporter: Reporter = SILENT,
) -> list[list[Score]]:
    """Score several runs of one language as `evaluate_probes` scores each, those of one shape in one stack.

    Args:
        runs: Folder of each run to the folder of its scores.
        probes: See `evaluate_probes`, as for the other arguments.
        tokenizer: Of all runs.
        tasks: Names of probes.
        settings: How the probes are learned.
        checkpoint: The trained weights of each run.
        device: Where to compute.
        reporter: Where progress goes.
    """
    inputs = {
        "probes": read_manifest(probes, PROBES_KIND, PROBES_SCHEMA).id,
        "tokenizer": load_tokenizer(tokenizer).content,
    }
    return evaluate_together(
        runs,
        read_probes(probes, tasks),
        tokenizer,
        inputs=inputs,
        settings=settings or ProbeSettings().fine_tuning,
        checkpoint=checkpoint,
        device=device,
        reporter=reporter,
    )
