"""A study's trained runs on filtered GLUE and filtered minimal pairs, as a Markdown table.

Each run is fine-tuned and scored from its trained and from its untrained weights; the scores lie in the
study, so that a second call, or one after an interruption, does only what is left.

    python benchmarks/evaluation_table.py STUDY --glue GLUE_FOLDER --pairs BLIMP_FOLDER [--seeds 3]
        [--train 1000] [--dtype bfloat16] [--minutes 6] [--threads 1] [--out TABLE.md]

--minutes: begin no further evaluation after so long, write what is there, and go on at the next call.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import torch

from lilliput.evaluation import FineTuningSettings, evaluate_glue, evaluate_pairs, read_scores
from lilliput.evaluation.folders import evaluation_folders
from lilliput.evaluation.glue.filtering import prepare_tasks
from lilliput.study.store.layout import StudyLayout
from lilliput.study.store.runs import read_runs

TASKS = ("cola", "sst2", "rte", "mrpc", "stsb", "wnli")


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    layout = StudyLayout(options.study)
    vocabulary = options.vocabulary or layout.vocabulary
    settings = FineTuningSettings(
        seeds=tuple(range(options.seeds)), max_train_examples=options.train,
        learning_rates=(options.learning_rate,), num_train_epochs=(options.epochs,),
        dtype=options.dtype,
    )  # fmt: skip
    tasks = prepare_tasks(
        options.tasks.split(","), options.glue, vocabulary, "corrected", options.study / "filtered"
    )
    runs = [run for run in read_runs(options.study) if run.state == "done"]
    runs.sort(key=lambda run: run.result["num_parameters"])
    started, waiting = time.monotonic(), 0
    rows = []
    for run in runs:
        found = {}
        for suite, score in (
            *((f"glue-{task.name}", glue_scorer(task, settings)) for task in tasks),
            ("pairs-filtered", pairs_scorer(options.pairs, vocabulary)),
        ):
            place = evaluation_folders(run.folder, suite, None, None, "final")
            is_late = time.monotonic() - started > 60 * options.minutes
            if not (place.out / "manifest.json").is_file() and is_late:
                waiting += 1
                continue
            score(run.folder, place.tokenizer, place.out)
            found |= {s.task: s for s in read_scores(place.out) if s.weights == "trained"}
        rows.append((run, found))
    lines = table(rows, [*(task.name for task in tasks), "mean"])
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    if waiting:
        print(f"\n{waiting} evaluations are left: call again.")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--glue", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, help="by default the study's")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=1000, help="most training examples of a task")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file for the Markdown table, beside the print")
    return parser.parse_args()


def glue_scorer(task: Path, settings: FineTuningSettings):
    return lambda run, tokenizer, out: evaluate_glue(run, [task], tokenizer, out, settings=settings)


def pairs_scorer(data: Path, vocabulary: Path):
    return lambda run, tokenizer, out: evaluate_pairs(
        run, data, tokenizer, out, vocabulary=vocabulary
    )


def table(rows, names: list[str]) -> list[str]:
    """The lines of the Markdown table, a row a run."""
    first = next((found for _, found in rows if set(names) <= set(found)), {})
    lines = ["| run | parameters | loss | " + " | ".join(map(title, names)) + " |"]
    lines.append("|---|---|---|" + "---|" * len(names))
    if first:
        lines.append("| scored items | | | " + " | ".join(str(first[n].n) for n in names) + " |")
        lines.append(
            "| chance | | | " + " | ".join(percent(first[n].chance_level) for n in names) + " |"
        )
    for run, found in rows:
        model = run.model
        keys = ("embedding", "hidden", "intermediate")
        shape = [model[f"{key}_size"] for key in keys]
        shape += [model["num_attention_heads"], model["num_hidden_layers"]]
        cells = [cell(found.get(name)) for name in names]
        label = "/".join(map(str, shape))
        size, loss = run.result["num_parameters"], run.result["loss"]
        lines.append(f"| {label} | {size:,} | {loss:.3f} | " + " | ".join(cells) + " |")
    return lines


def title(name: str) -> str:
    return "BLiMP" if name == "mean" else name


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def cell(score) -> str:
    """Value, interval and untrained value; in bold where the gain's interval lies above zero."""
    if score is None:
        return "…"
    text = f"{percent(score.value)} ({percent(score.low)}, {percent(score.high)})"
    is_gain = score.is_conclusive and score.gain_low is not None and score.gain_low > 0
    text = f"**{text}**" if is_gain else text
    return f"{text}, untrained {percent(score.baseline)}"


if __name__ == "__main__":
    main()
