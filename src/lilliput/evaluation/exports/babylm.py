"""Write predictions in the folder layout of the BabyLM evaluation pipeline of 2025.

MODEL/REVISION/zero_shot/BACKEND/TASK/DATASET/predictions.json   the preferred sentence of each pair
MODEL/REVISION/finetune/TASK/predictions.json and results.txt    the predicted class of each example

Source: github.com/babylm/evaluation-pipeline-2025, bf55c11 (sentence_zero_shot/run.py, finetune/run.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import InputError
from lilliput.core.files import write_json, write_text
from lilliput.evaluation.pairs.reading import find_paradigms, read_all_pairs
from lilliput.evaluation.scores.score import Score, read_predictions, read_scores
from lilliput.evaluation.weights import TRAINED

_METRICS = {"matthews_corrcoef": "mcc"}


def write_babylm_pairs(
    evaluation: Path,
    data: Path,
    out: Path,
    *,
    model: str,
    revision: str = "main",
    task: str = "blimp",
) -> Path:
    """Write the choices of the trained weights on minimal pairs; the file.

    Args:
        evaluation: Artefact of `evaluate_pairs` on all pairs of `data`.
        data: The same pairs.
        out: The pipeline's results folder.
        model: Name of the model's folder.
        revision: "main", or a checkpoint such as "chck_1M", named by the words seen.
        task: The pipeline's name of the benchmark.

    Raises:
        InputError: Pairs were left out by a vocabulary; the pipeline needs all of them.
    """
    manifest = read_manifest(evaluation, "evaluation")
    method = manifest.settings["pairs"]["method"]
    if manifest.settings["words"]:
        raise InputError(
            "the pipeline needs every pair of a file", got="pairs filtered by a vocabulary"
        )
    unfit = {s.task: s.details["unfit"] for s in read_scores(evaluation) if s.details.get("unfit")}
    if unfit:
        raise InputError(
            "the pipeline needs every pair of a file",
            got=f"{sum(unfit.values()):,} that are too long for the model, in {', '.join(unfit)}",
        )
    columns = read_predictions(evaluation, TRAINED)
    items = zip(columns["task"].tolist(), columns["example"].tolist(), strict=True)
    choices = dict(zip(items, (columns["good"] > columns["bad"]).tolist(), strict=True))
    scored = {name for name, _ in choices}
    record: dict[str, Any] = {}
    for path in find_paradigms(data, sorted(scored)):
        # Identical pairs were not scored; either sentence is the preferred one.
        chosen = [
            pair.good if choices.get((path.stem, i), True) else pair.bad
            for i, pair in enumerate(read_all_pairs(path))
        ]
        record[path.stem] = {
            "predictions": [
                {"id": f"{path.stem}_{i}", "pred": text} for i, text in enumerate(chosen)
            ]
        }
    backend = "causal" if method == "causal" else "mlm"
    target = out / model / revision / "zero_shot" / backend / task / data.stem
    write_json(target / "predictions.json", record)
    return target / "predictions.json"


def write_babylm_fine_tuning(
    evaluation: Path, out: Path, *, model: str, revision: str = "main", seed: int = 0
) -> list[Path]:
    """Write the classes of the trained weights on fine-tuned tasks, of one seed; the files.

    Args:
        evaluation: Artefact of `evaluate_glue`.
        out: The pipeline's results folder.
        model: Name of the model's folder.
        revision: "main", or a checkpoint.
        seed: Number of the seed among those that were fine-tuned.
    """
    columns = read_predictions(evaluation, TRAINED)
    files: list[Path] = []
    for score in read_scores(evaluation):
        if score.weights != TRAINED:
            continue
        rows = (columns["score"] == score.task) & (columns["seed"] == seed)
        predictions = columns["prediction"][rows]
        entries = [
            {"id": f"{score.task}_{i}", "pred": int(np.rint(value))}
            for i, value in enumerate(predictions)
        ]
        folder = out / model / revision / "finetune" / score.task
        write_json(folder / "predictions.json", {score.task: {"predictions": entries}})
        write_text(folder / "results.txt", _results(score))
        files.append(folder / "predictions.json")
    return files


def _results(score: Score) -> str:
    values: dict[str, float] = score.details["metrics"]
    return "".join(f"{_METRICS.get(name, name)}: {value}\n" for name, value in values.items())
