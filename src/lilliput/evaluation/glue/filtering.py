"""Make the folders of tasks ready: from disk or the Hub, and under a vocabulary as an artefact that says what each split kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.artefacts import (
    ArtefactBuild,
    Manifest,
    artefact_id,
    building,
    is_artefact,
    read_manifest,
)
from lilliput.core.errors import EmptyCorpusError, InputError
from lilliput.core.extras import require
from lilliput.core.files import atomic_path, is_hidden, write_json
from lilliput.core.hashing import content_id, file_hash
from lilliput.evaluation.admission import Admits, admission, filter_fields, word_rule_named
from lilliput.evaluation.settings import WordRule
from lilliput.evaluation.tasks.definition import TaskDefinition, load_task
from lilliput.evaluation.tasks.examples import examples_of, find_table, read_table
from lilliput.language import read_vocabulary

TASK_KIND = "task"
TASK_SCHEMA = 1
_HUB_DATASET = "nyu-mll/glue"


def filter_task(
    task: str | Path,
    data: Path,
    vocabulary: Path,
    out: Path,
    *,
    rule: WordRule = "corrected",
) -> Manifest:
    """Return the examples of a task whose every checked word is in the vocabulary, as an artefact.

    All splits are filtered, the scored ones too: a reduced language is tested in that language.

    Args:
        task: Name of a known task, or the path of its TOML file.
        data: Folder with a sub-folder for the task, one table a split.
        vocabulary: CSV with the column `word`, or artefact "vocabulary".
        out: Folder of the artefact; one that is already there is returned as it is.
        rule: See `admission`.

    Returns:
        The manifest; `facts` holds, by split, the numbers of `rows` and `kept`.

    Raises:
        InputError: No split of the task is there, or a table does not fit the task.
        EmptyCorpusError: A split that is learned from or scored keeps no example.
    """
    definition = load_task(task)
    folder = data / definition.name
    splits = present_splits(definition, folder)
    admits, words = admission(vocabulary, rule)
    settings: dict[str, Any] = {
        "task": definition.model_dump(mode="json"),
        "rule": rule,
        "words": words,
    }
    inputs = {split: file_hash(path) for split, path in splits.items()}
    if is_artefact(out):
        manifest = read_manifest(out)
        if manifest.id == artefact_id(TASK_KIND, TASK_SCHEMA, settings, inputs):
            return manifest
    with building(out, TASK_KIND, TASK_SCHEMA, settings, inputs) as build:
        write_json(build.path("task.json"), settings["task"])
        for split, path in splits.items():
            build.facts[split] = _filter_split(build, definition, split, path, admits, rule)
        _require_examples(definition, build.facts)
    return read_manifest(out)


def present_splits(task: TaskDefinition, folder: Path) -> dict[str, Path]:
    """Return the tables of a task that are there, by split.

    Raises:
        InputError: There is none.
    """
    names = [name for name in (task.train, *task.dev, *task.test) if name]
    found = {name: find_table(folder, name) for name in names}
    present = {name: path for name, path in found.items() if path is not None}
    if not present:
        raise InputError(
            f"the data of {task.name} must be a folder with {', '.join(names)}",
            got=folder,
            remedy="Give the folder that holds one sub-folder a task.",
        )
    return present


def _filter_split(
    build: ArtefactBuild,
    task: TaskDefinition,
    split: str,
    path: Path,
    admits: Admits,
    rule: WordRule,
) -> dict[str, int]:
    table = read_table(path)
    fields = filter_fields(task, rule)
    columns = dict(zip(task.fields, examples_of(task, table, str(path)).texts, strict=True))
    rows = zip(*(columns[field] for field in fields), strict=True)
    kept = table.filter(pa.array([admits(texts) for texts in rows]))
    with atomic_path(build.path(f"{split}.parquet")) as temporary:
        pq.write_table(kept, temporary, compression="zstd")
    return {"rows": table.num_rows, "kept": kept.num_rows}


def _require_examples(task: TaskDefinition, facts: dict[str, Any]) -> None:
    for split in (task.train, *task.dev):
        if split in facts and facts[split]["kept"] == 0:
            raise EmptyCorpusError(
                f"the split {split!r} of {task.name} must keep at least one example",
                got=f"0 of {facts[split]['rows']}",
                remedy="Use a larger vocabulary, or leave the task out.",
            )


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
