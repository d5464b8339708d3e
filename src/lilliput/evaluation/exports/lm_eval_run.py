"""`lm-eval` on an exported causal model with tasks written by `exports.lm_eval`, offline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lilliput.core.errors import InputError
from lilliput.core.extras import require
from lilliput.core.files import read_json

_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


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
