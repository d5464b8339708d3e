"""The price of a distilled step beside a plain step of the student and a forward pass of the teacher, measured apart.

The three are computed in turns on the same batch, one thread, processor time; the medians over rounds of
distilled / (plain + forward) are printed. The forward pass is the one that an evaluation makes: the teacher's trunk, and its
logits with their cross-entropy at the predicted positions. The plain and the distilled step end where AdamW would begin,
which is the same for both.

    python benchmarks/distillation.py
    python benchmarks/distillation.py --dtype float32 --rounds 20 --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from lilliput.architecture import SIZES, ModelConfig
from lilliput.study.planning.probe import invented_store
from lilliput.training import RunConfig, TrainingConfig, load_model
from lilliput.training.data.token_data import load_data
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.gradients import predicted_losses
from lilliput.training.execution.plan import make_plan
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.weights import build_run_model

# Layout, student, teacher, vocabulary, rows of a batch.
CASES = (
    ("llama", "32/32/64/2/2", "64/64/128/4/2", 750, 16),
    ("llama", "32/32/64/2/2", "128/128/256/4/4", 750, 16),
    ("llama", "64/64/256/4/2", "128/128/512/4/4", 2000, 64),
    ("llama", "128/128/512/4/4", "256/256/1024/8/4", 8000, 64),
    ("roberta", "64/64/256/4/2", "128/128/512/4/4", 2000, 64),
    ("roberta", "128/128/512/4/4", "256/256/1024/8/8", 8000, 64),
)


def model_of(layout: str, shape: str, vocab_size: int) -> ModelConfig:
    """A model of this shape for sequences of 128."""
    sizes = dict(zip(SIZES, map(int, shape.split("/")), strict=True))
    return ModelConfig.for_layout(layout, vocab_size=vocab_size, max_seq_length=128, **sizes)


def seconds(work) -> float:
    """Processor time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(layout, student, teacher, vocab_size, rows, dtype, rounds, mix, folder: Path):
    """Medians of one case."""
    common = {
        "max_seq_length": 128, "global_batch_size": rows, "max_steps": 4, "threads": 1, "device": "cpu",
        "dtype": dtype, "eval_sequences": 8,
    }  # fmt: skip
    model = model_of(layout, student, vocab_size)
    plain = RunConfig(model=model, training=TrainingConfig(**common))
    store = invented_store(folder / "tokens", plain)
    settings = TrainingConfig(
        **common, objective={"name": "distillation", "teacher": "drawn", "mix": mix}
    )
    asked = settings.objective.model_copy(
        update={"teacher_models": (model_of(layout, teacher, vocab_size),), "is_rehearsal": True}
    )
    taught = RunConfig(model=model, training=settings.model_copy(update={"objective": asked}))
    plan = make_plan(plain.training, plain.max_cpu_rows(), lambda _: 1)
    plan.apply()
    steps = {}
    for name, config in (("plain", plain), ("distilled", taught)):
        data = load_data(config, store)
        data.rules.objective.prepare(load_model)
        engine = Engine(build_run_model(config, plan.attention_kernel), data.rules.objective, config, plan)  # fmt: skip
        batch = RunSchedule.of(config, data).batch(1, plan.max_rows)
        steps[name] = lambda engine=engine, batch=batch: engine.accumulate(batch)
        if name == "distilled":
            (loaded,) = data.rules.objective._teachers
            steps["forward"] = lambda batch=batch, loaded=loaded: [
                predicted_losses(loaded, micro, plan) for micro in batch.micro_batches
            ]
    for work in steps.values():
        work()
    times = {name: [] for name in steps}
    for _ in range(rounds):
        for name, work in steps.items():
            times[name].append(seconds(work))
    ratios = [
        d / (p + f)
        for d, p, f in zip(times["distilled"], times["plain"], times["forward"], strict=True)
    ]
    return {
        "layout": layout, "student": student, "teacher": teacher, "vocab_size": vocab_size, "rows": rows,
        "dtype": plan.dtype, "mix": mix, "predicted": batch.predicted,
        **{f"{name}_ms": 1e3 * statistics.median(values) for name, values in times.items()},
        "ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios),
    }  # fmt: skip


def main() -> None:
    """Print a row a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--mix", default="balanced", choices=("balanced", "teacher only"))
    parser.add_argument("--cases", type=int, nargs="*", default=list(range(len(CASES))))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    for number in asked.cases:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(*CASES[number], asked.dtype, asked.rounds, asked.mix, Path(folder))
        if asked.json:
            print(json.dumps(row), flush=True)
        else:
            print(
                f"{row['layout']:8} {row['student']:>16} taught by {row['teacher']:>17} V {row['vocab_size']:5} "
                f"{row['dtype']:8} plain {row['plain_ms']:7.1f} + forward {row['forward_ms']:7.1f} ms, distilled "
                f"{row['distilled_ms']:7.1f} ms: {row['ratio']:.3f} ({row['low']:.2f} to {row['high']:.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
