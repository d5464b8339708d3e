"""Getting the folders of tasks ready: from disk, from the Hub when asked, filtered when asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lilliput.core.errors import InputError
from lilliput.core.extras import require
from lilliput.core.files import atomic_path, is_hidden
from lilliput.core.hashing import content_id
from lilliput.evaluation.admission import word_rule_named
from lilliput.evaluation.glue.filtering import filter_task
from lilliput.evaluation.tasks.definition import load_task
from lilliput.language import read_vocabulary

_HUB_DATASET = "nyu-mll/glue"


def prepare_tasks(
    names: Sequence[str],
    data: Path,
    vocabulary: Path | None,
    rule: str,
    filtered: Path,
    *,
    hub: bool = False,
) -> list[Path]:
    """Return one folder for each task, as `evaluate_glue` reads them.

    Args:
        names: Tasks; every sub-folder of `data` when empty.
        data: Holds one sub-folder a task.
        vocabulary: Filter by this word list; None leaves the tasks whole.
        rule: "corrected" or "paper".
        filtered: Where filtered tasks go, in a folder named by word list and rule.
        hub: Fetch what `data` lacks from the Hugging Face Hub.

    Raises:
        InputError: There is no task, or no table of one.
        ConfigurationError: The rule is unknown.
    """
    folders_there = (p for p in data.iterdir() if p.is_dir() and not is_hidden(p.name))
    chosen = list(names) or sorted(path.name for path in folders_there)
    if not chosen:
        raise InputError("the data folder must hold one sub-folder a task", got=data)
    if hub:
        for name in chosen:
            fetch_from_hub(name, data / name)
    if vocabulary is None:
        return [data / name for name in chosen]
    mark = content_id([read_vocabulary(vocabulary).hash, rule])[:8]
    folder = filtered / f"tasks-{rule}-{mark}"
    folders: list[Path] = []
    for name in chosen:
        definition = data / name / "task.toml"
        filter_task(
            definition if definition.is_file() else name,
            data,
            vocabulary,
            folder / name,
            rule=word_rule_named(rule),
        )
        folders.append(folder / name)
    return folders


def fetch_from_hub(name: str, folder: Path) -> None:
    """Download the splits of a GLUE task that `folder` lacks, with Hugging Face's own client.

    Raises:
        MissingExtraError: The package `datasets` is not installed.
    """
    datasets = require("datasets", "hf")
    task = load_task(name)
    for split in filter(None, (task.train, *task.dev, *task.test)):
        path = folder / f"{split}.parquet"
        if path.is_file():
            continue
        table = datasets.load_dataset(_HUB_DATASET, name, split=split)
        with atomic_path(path) as temporary:
            table.to_parquet(str(temporary))
