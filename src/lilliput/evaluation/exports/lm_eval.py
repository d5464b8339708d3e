"""Write tasks for `lm-eval` (a YAML file and a JSON Lines file each), and run it on them offline.

Causal models are scored there: export the run, write the vocabulary-filtered tasks, and run
`lm_eval --model hf --model_args pretrained=MODEL --include_path TASKS --tasks lilliput_NAME`.
Nothing is fetched.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lilliput.core.errors import InputError
from lilliput.core.extras import require
from lilliput.core.files import read_json, write_json_lines, write_text
from lilliput.evaluation.admission import admission
from lilliput.evaluation.glue.evaluate import read_tasks
from lilliput.evaluation.pairs.reading import find_paradigms, read_paradigm
from lilliput.evaluation.settings import WordRule
from lilliput.evaluation.suite import TaskData

_PREFIX = "lilliput_"
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def write_lm_eval_pairs(
    data: Path,
    out: Path,
    *,
    paradigms: Sequence[str] = (),
    vocabulary: Path | None = None,
    rule: WordRule = "corrected",
) -> list[str]:
    """Write minimal pairs as tasks in which the acceptable sentence must be the likelier one.

    Args:
        data: A file of pairs, or a folder of them.
        out: Folder for `--include_path`.
        paradigms: Names of files; all when empty.
        vocabulary: Keep only pairs both of whose sentences this vocabulary admits.
        rule: What the vocabulary must admit.

    Returns:
        Names of the tasks; paradigms without a pair left are not among them.
    """
    admits = admission(vocabulary, rule)[0] if vocabulary else None
    names: list[str] = []
    for path in find_paradigms(data, paradigms):
        paradigm = read_paradigm(path)
        kept = paradigm.admitted(admits) if admits else paradigm
        rows = [{"choices": [pair.good, pair.bad], "gold": 0} for pair in kept.pairs]
        if rows:
            names.append(_write(out, paradigm.name, rows, text=""))
    return names


def write_lm_eval_tasks(folders: Sequence[Path], out: Path) -> list[str]:
    """Write classification tasks, each dev example a question with the labels as answers.

    Args:
        folders: As for `evaluate_glue`; filtered ones stay filtered.
        out: Folder for `--include_path`.

    Returns:
        Names of the tasks, one a scored split.

    Raises:
        InputError: A task is a regression, which has no answers to choose from.
    """
    names: list[str] = []
    for data in read_tasks(folders):
        if data.task.is_regression:
            raise InputError("a task for lm-eval must have classes", got=data.task.name)
        for split, examples in data.scored.items():
            texts = zip(*examples.texts, strict=True)
            choices = [label.replace("_", " ") for label in data.task.labels]
            rows = [
                {"text": _question(data, parts), "choices": choices, "gold": int(label)}
                for parts, label in zip(texts, examples.labels, strict=True)
                if not math.isnan(label)
            ]
            if rows:
                names.append(_write(out, data.score_name(split), rows, text="{{text}}"))
    return names


def _question(data: TaskData, parts: Sequence[str]) -> str:
    return "\n".join([*parts, f"Question: {data.task.title}", "Answer:"])


def _write(out: Path, name: str, rows: Sequence[Mapping[str, Any]], text: str) -> str:
    """Write one task; the YAML's values are written as JSON, of which YAML is a superset."""
    task = f"{_PREFIX}{name}"
    table = (out / f"{task}.jsonl").resolve()
    write_json_lines(table, rows)
    settings = {
        "task": task,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"validation": str(table)}},
        "output_type": "multiple_choice",
        "validation_split": "validation",
        "num_fewshot": 0,
        "doc_to_text": text,
        "target_delimiter": " " if text else "",
        "doc_to_target": "gold",
        "doc_to_choice": "choices",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    lines = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())
    write_text(out / f"{task}.yaml", "\n".join(lines) + "\n")
    return task


def run_lm_eval(
    model: Path, tasks: Path, names: Sequence[str], out: Path, *, device: str = "cpu"
) -> dict[str, dict[str, float]]:
    """Return the accuracy of an exported causal model on each task, with its standard error.

    `lm-eval` runs in a process of its own, offline. Each text begins with `<s>`, as in
    training.

    Args:
        model: Folder made by `lilliput export`.
        tasks: Folder that `write_lm_eval_pairs` and `write_lm_eval_tasks` wrote.
        names: What they returned.
        out: Where `lm-eval` puts its report.
        device: Where to compute.

    Returns:
        Task to `value`, `standard_error` and `n`.

    Raises:
        MissingExtraError: The extra "eval" is not installed.
        InputError: The folder holds no model, a task is not there, or `lm-eval` refused them; the
            message ends with its last line.
    """
    _check(model, tasks, names)
    require("lm_eval", "eval")
    command = [
        sys.executable, "-m", "lm_eval", "--model", "hf",
        "--model_args", f"pretrained={model.resolve()},add_bos_token=True",
        "--include_path", str(tasks.resolve()), "--tasks", ",".join(names),
        "--device", device, "--output_path", str(out.resolve()),
    ]  # fmt: skip
    done = subprocess.run(
        command, env=os.environ | _OFFLINE, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise InputError(
            "lm-eval must be able to read the model and the tasks",
            got=f"exit {done.returncode}: {last}",
        )
    return {name: _score(_newest_report(out), name) for name in names}


def _check(model: Path, tasks: Path, names: Sequence[str]) -> None:
    if not (model / "config.json").is_file():
        raise InputError(
            "the model must be an exported folder with a config.json",
            got=model,
            remedy="Make it with lilliput export RUN --to DIR.",
        )
    missing = [name for name in names if not (tasks / f"{name}.yaml").is_file()]
    if missing or not names:
        raise InputError(
            "each task must have a YAML file in the tasks folder",
            got=f"no {missing[0]}.yaml in {tasks}" if missing else "no task",
            remedy="Write them with write_lm_eval_pairs or write_lm_eval_tasks.",
        )


def _newest_report(out: Path) -> dict[str, Any]:
    reports = sorted(out.rglob("results_*.json"), key=lambda path: path.stat().st_mtime_ns)
    return read_json(reports[-1])


def _score(report: dict[str, Any], name: str) -> dict[str, float]:
    found = report["results"][name]
    return {
        "value": float(found["acc,none"]),
        "standard_error": float(found["acc_stderr,none"]),
        "n": int(report["n-samples"][name]["effective"]),
    }
