"""Check and measure Lilliput on one GPU, in one process, without a network, within the minutes given.

Each part is guarded by a time and by `try`, and what it found is written at once: a part that fails or takes too
long costs itself alone. It needs no installation (`src` on the path is enough) and no data: sequences of 42 to 126
random tokens are made here. It needs torch, numpy, numba, pyarrow, scipy, tokenizers, safetensors, typer, rich, jinja2
and xxhash; pydantic can be carried along (11 MB, built for that Python: `--python-version 3.12 --only-binary=:all:`).

    pip install --target carried --no-deps pydantic pydantic-core annotated-types typing-inspection
    PYTHONPATH=src:carried python benchmarks/gpu_check.py --out gpu.json
    PYTHONPATH=src python benchmarks/gpu_check.py --device cpu --quick --out rehearsal.json

Parts: versions; the tests marked `gpu`; captured, eager and processor steps against one another; peaks of copies
and matrix products; four shapes in micro-batches of 64 rows and of the whole batch, and Hugging Face's Trainer, in
windows of 50 steps; a profile; fleets of 1, 8 and 64; an evaluation and a fine-tuning step.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lilliput.architecture import ModelConfig, training_flops
from lilliput.core.artefacts import building
from lilliput.training import RunConfig, TrainingConfig
from lilliput.training.data.token_data import RunData, load_data
from lilliput.training.execution.captured import captured_step
from lilliput.training.execution.engine import Engine
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.plan import ExecutionPlan, make_plan
from lilliput.training.fleet.captured import captured_fleet
from lilliput.training.fleet.stack import Stack
from lilliput.training.run_schedule import RunSchedule
from lilliput.training.validation import Validation
from lilliput.training.weights import build_run_model

VOCAB_SIZE, LENGTH, BATCH = 19_010, 128, 256
SHAPES = ("32/32/128/2/2", "64/128/512/8/4", "128/256/1024/8/2", "256/256/1024/8/8")
PAPER_TOKENS = 42 * 1.16e9
PACKAGES = (
    "torch", "numpy", "numba", "pyarrow", "scipy", "tokenizers", "safetensors", "transformers", "pytest", "triton",
)  # fmt: skip


class PartTimeoutError(Exception):
    """A part of the check took longer than it may."""


class Check:
    """The parts of the check, what they found, and how much time is left.

    Args:
        options: Device, sizes and places.
        folder: For the token store and other files.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.device, self.folder = options, options.device, folder
        self.quick: bool = options.quick
        self.ends = time.monotonic() + options.seconds
        self.found: dict[str, Any] = {}
        self.messages: list[str] = []
        self.peak_flops = float("nan")

    def part(self, name: str, most_s: float, work: Callable[[], Any]) -> None:
        """Do one part in at most `most_s` seconds, and write what is known so far."""
        left = self.ends - time.monotonic()
        started = time.monotonic()
        record: dict[str, Any] = {}
        if left < 5:
            record["skipped"] = "no time left"
        else:
            try:
                with time_limit(min(most_s, left)):
                    record["result"] = work()
            except (
                BaseException
            ) as error:  # One part must not cost the others; Ctrl-C ends the part alone.
                record["error"] = "".join(traceback.format_exception_only(error)).strip()
                record["where"] = traceback.format_exc().strip().splitlines()[-12:]
        record["seconds"] = round(time.monotonic() - started, 2)
        self.found[name] = record
        self.found["messages"] = self.messages
        self.options.out.write_text(json.dumps(self.found, indent=1))
        sys.stdout.write(f"{name}: {json.dumps(record)[:400]}\n")
        sys.stdout.flush()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    # ---- What is trained ----------------------------------------------------------------------------------

    def config(
        self, shape: str, *, seed: int = 0, batch: int | None = None, **more: Any
    ) -> RunConfig:
        """Return a run of one of the benchmark's shapes."""
        e, h, i, a, n = map(int, shape.split("/"))
        model = ModelConfig.for_layout(
            "roberta" if e == h else "electra", vocab_size=self.vocab_size, embedding_size=e, hidden_size=h,
            intermediate_size=i, num_attention_heads=a, num_hidden_layers=n, max_seq_length=LENGTH,
        )  # fmt: skip
        recipe = {
            "global_batch_size": batch or self.batch, "max_steps": 100_000, "device": self.device,
            "eval_sequences": 64 if self.quick else 1000, "threads": 1,
        }  # fmt: skip
        return RunConfig(model=model, training=TrainingConfig(**(recipe | more)), seed=seed)

    @property
    def vocab_size(self) -> int:
        """Return the size of the vocabulary."""
        return 1000 if self.quick else VOCAB_SIZE

    @property
    def batch(self) -> int:
        """Return sequences of a global batch."""
        return 16 if self.quick else BATCH

    def data(self, config: RunConfig) -> RunData:
        """Return random tokens in sequences of 42 to 126, made once."""
        tokens = self.folder / "tokens"
        if not tokens.is_dir():
            write_store(tokens, self.vocab_size, documents=400 if self.quick else 20_000)
        return load_data(config, tokens)

    def plan(self, config: RunConfig, device: str | None = None, **more: Any) -> ExecutionPlan:
        """Return the plan that a run would make here, or one that differs in what is given."""
        training = config.training.model_copy(update={"device": device or self.device})
        made = make_plan(
            training, config.max_cpu_rows(), lambda _: 1, max_gpu_rows=config.max_gpu_rows()
        )
        return replace(made, **more)

    def stepper(
        self, config: RunConfig, plan: ExecutionPlan, *, captures: bool = True
    ) -> tuple[Engine, Callable[[int], torch.Tensor]]:
        """Return an engine and a function that takes its step of a number."""
        schedule = RunSchedule.of(config, self.data(config))
        model = build_run_model(config, plan.attention_kernel).to(plan.device)
        engine = Engine(model, config.objective(), config, plan)
        say = self.messages.append
        captured = captured_step(engine, schedule, plan, Interrupts(), say) if captures else None
        rate = schedule.rates.learning_rate

        def step(number: int) -> torch.Tensor:
            if captured is not None and captured.serves(number):
                return captured(number, rate(number))[0]
            return engine.step(schedule.batch(number, plan.max_rows), rate(number), number)

        return engine, step

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def windows(self, step: Callable[[int], Any], most_s: float) -> list[float]:
        """Return the seconds a step in windows of 50, each of which waits for the device once, at its end."""
        size, most = (2, 2) if self.quick else (50, 5)
        step(1)
        step(2)
        self.wait()
        number, found, ends = 3, list[float](), time.monotonic() + most_s
        while len(found) < most and (not found or time.monotonic() < ends):
            started = time.perf_counter()
            for _ in range(size):
                step(number)
                number += 1
            self.wait()
            found.append((time.perf_counter() - started) / size)
        return found

    # ---- Parts --------------------------------------------------------------------------------------------

    def versions(self) -> dict[str, Any]:
        """Return versions of Python, of packages and of the card."""
        found: dict[str, Any] = {"python": platform.python_version(), "command": sys.argv}
        for name in PACKAGES:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = None
        if self.device == "cuda":
            properties = torch.cuda.get_device_properties(0)
            found |= {
                "card": properties.name, "memory_gib": properties.total_memory / 2**30,
                "multiprocessors": properties.multi_processor_count, "cuda": torch.version.cuda,
                "bf16": torch.cuda.is_bf16_supported(),
            }  # fmt: skip
        return found

    def tests(self) -> dict[str, Any]:
        """Run the tests that are marked `gpu`."""
        tests = Path(__file__).parents[1] / "tests" / "training"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-m",
            "gpu",
            "-p",
            "no:cacheprovider",
            str(tests),
        ]
        if self.quick:
            command.append("--collect-only")
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
        return {"exit": done.returncode, "tail": done.stdout.strip().splitlines()[-15:]}

    def agreement(self) -> dict[str, Any]:
        """Return losses of 20 steps by three ways, and how far weights are apart at the end."""
        found: dict[str, Any] = {}
        steps = 3 if self.quick else 20
        for dtype in ("float32", "bfloat16"):
            config = self.config(SHAPES[0], batch=16, learning_rate=1e-3)
            ways = {
                "processor": (self.plan(config, "cpu", dtype=dtype), False),
                "eager": (self.plan(config, dtype=dtype), False),
                "captured": (self.plan(config, dtype=dtype), True),
            }
            losses: dict[str, list[float]] = {}
            weights: dict[str, torch.Tensor] = {}
            for way, (plan, captures) in ways.items():
                engine, step = self.stepper(config, plan, captures=captures)
                losses[way] = [float(step(number)) for number in range(1, steps + 1)]
                weights[way] = engine.optimizer.weights.float().cpu()
            apart = {
                way: {
                    "loss": max(
                        abs(a - b) for a, b in zip(losses[way], losses["processor"], strict=True)
                    ),
                    "weights": float((weights[way] - weights["processor"]).abs().max()),
                }
                for way in ("eager", "captured")
            }
            found[dtype] = {"losses": losses, "apart_from_processor": apart}
        return found

    def peaks(self) -> dict[str, float]:
        """Return copies in TB/s and matrix products in TFLOP/s, on random numbers."""
        size = 512 if self.quick else 8192
        source = torch.randn((1 << 20) if self.quick else (1 << 28), device=self.device)
        target = torch.empty_like(source)
        seconds = self.best_of(lambda: target.copy_(source))
        found = {"copy_tb_per_s": 2 * source.numel() * 4 / seconds / 1e12}
        for dtype in (torch.float32, torch.bfloat16):
            left = torch.randn(size, size, device=self.device).to(dtype)
            right = torch.randn(size, size, device=self.device).to(dtype)
            seconds = self.best_of(lambda left=left, right=right: left @ right)
            found[f"{str(dtype).removeprefix('torch.')}_tflops"] = 2 * size**3 / seconds / 1e12
        self.peak_flops = found["bfloat16_tflops"] * 1e12
        return found

    def best_of(self, work: Callable[[], Any], times: int = 20) -> float:
        """Return the least seconds of some repetitions."""
        found: list[float] = []
        for _ in range(2 if self.quick else times):
            self.wait()
            started = time.perf_counter()
            work()
            self.wait()
            found.append(time.perf_counter() - started)
        return min(found)

    def speed(self, config: RunConfig, seconds: list[float]) -> dict[str, Any]:
        """Return tokens a second, the share of the peak of matrix products, and hours for the paper's 42 runs."""
        lengths = self.data(config).train.lengths + 2
        tokens = config.training.global_batch_size * float(lengths.mean())
        flops = training_flops(
            config.model, seq_length=LENGTH, tokens=tokens, sequences=config.training.global_batch_size,
            squared_lengths=config.training.global_batch_size * float((lengths**2.0).mean()),
        )["flops_executed_masked"]  # fmt: skip
        median = statistics.median(seconds)
        return {
            "ms_a_step": 1e3 * median, "spread_ms": [1e3 * min(seconds), 1e3 * max(seconds)],
            "tokens_per_s": tokens / median, "share_of_peak": flops / median / self.peak_flops,
            "paper_hours": PAPER_TOKENS / (tokens / median) / 3600,
        }  # fmt: skip

    def ours(self, shape: str) -> dict[str, Any]:
        """Return our speed with micro-batches of 64 rows, and with the whole global batch."""
        found: dict[str, Any] = {}
        for name, rows in (("rows_64", 64), ("whole_batch", None)):
            config = self.config(shape)
            plan = self.plan(config) if rows is None else self.plan(config, max_rows=rows)
            _, step = self.stepper(config, plan)
            found[name] = self.speed(config, self.windows(step, 6)) | {"rows": plan.max_rows}
        return found

    def peer(self, shape: str) -> dict[str, Any]:
        """Return the speed of Hugging Face's Trainer, or of a plain loop over its model where accelerate is missing."""
        config, size = self.config(shape), 2 if self.quick else 50
        data = self.data(config)
        rows = [
            {"input_ids": [0, *data.train.tokens[s : s + n].tolist(), 2]}
            for s, n in zip(data.train.starts[:4000], data.train.lengths[:4000], strict=True)
        ]
        has_trainer = importlib.util.find_spec("accelerate") is not None
        marks = (self.trainer_marks if has_trainer else self.loop_marks)(config.model, rows, size)
        seconds = [(b - a) / size for a, b in pairwise(marks)]
        return self.speed(config, seconds) | {"side": "Trainer" if has_trainer else "plain loop"}

    def trainer_marks(self, model: ModelConfig, rows: list[Any], size: int) -> list[float]:
        """Return the time after every `size` steps of Trainer: bfloat16, fused AdamW, the whole batch at once."""
        from transformers import Trainer, TrainerCallback, TrainingArguments

        marks: list[float] = []
        check, ends = self, time.monotonic() + 12

        class Windows(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                del args
                if state.global_step % size == 0:
                    check.wait()
                    marks.append(time.perf_counter())
                    control.should_training_stop |= len(marks) > 2 and time.monotonic() > ends

        arguments = TrainingArguments(
            output_dir=str(self.folder / "peer"), max_steps=size * 5, per_device_train_batch_size=self.batch,
            learning_rate=5e-4, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
            use_cpu=self.device == "cpu", bf16=self.device == "cuda", optim="adamw_torch_fused",
            dataloader_num_workers=0 if self.quick else 4,
        )  # fmt: skip
        trainer = Trainer(
            model=peer_model(model), args=arguments, train_dataset=rows,
            data_collator=masked_batch(self.vocab_size), callbacks=[Windows()],
        )  # fmt: skip
        trainer.train()
        return marks

    def loop_marks(self, model: ModelConfig, rows: list[Any], size: int) -> list[float]:
        """Return the same of a loop that costs less than Trainer's: its model, autocast, fused AdamW, made batches."""
        network = peer_model(model).to(self.device).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4, fused=True)
        collate = masked_batch(self.vocab_size)
        batches = [collate(rows[i : i + self.batch]) for i in range(0, 4 * self.batch, self.batch)]
        marks, ends = list[float](), time.monotonic() + 12
        for number in range(size * 5):
            batch = {name: part.to(self.device) for name, part in batches[number % 4].items()}
            with torch.autocast(self.device, dtype=torch.bfloat16):
                loss = network(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            if (number + 1) % size == 0:
                self.wait()
                marks.append(time.perf_counter())
                if len(marks) > 2 and time.monotonic() > ends:
                    break
        return marks

    def profile(self) -> dict[str, Any]:
        """Return the kernels that take most of a captured step, and the share of time in which none ran."""
        from torch.profiler import ProfilerActivity, profile

        config = self.config(SHAPES[1])
        _, step = self.stepper(config, self.plan(config))
        for number in (1, 2, 3):
            step(number)
        self.wait()
        steps = 2 if self.quick else 10
        cuda = self.device == "cuda"
        with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as run:
            started = time.perf_counter()
            for number in range(4, 4 + steps):
                step(number)
            self.wait()
            wall = time.perf_counter() - started
        rows = [
            (
                e.key[:80],
                e.count / steps,
                float(e.self_device_time_total if cuda else e.self_cpu_time_total),
            )
            for e in run.key_averages()
        ]
        busy = sum(us for *_, us in rows) / 1e6
        rows.sort(key=lambda row: -row[2])
        return {
            "kernels_a_step": sum(count for _, count, _ in rows), "idle_share": 1 - busy / wall,
            "largest": [{"name": n, "a_step": c, "us_a_step": us / steps} for n, c, us in rows[:25]],
        }  # fmt: skip

    def fleet(self, members: int) -> dict[str, Any]:
        """Return the speed of a fleet: seeds at four rates."""
        configs = [
            self.config(SHAPES[0], seed=k // 4, batch=16, learning_rate=5e-4 * 2 ** (k % 4))
            for k in range(min(members, 4) if self.quick else members)
        ]
        data = self.data(configs[0])
        schedules = [RunSchedule.of(config, data) for config in configs]
        rows = configs[0].max_gpu_rows(len(configs))
        plan = self.plan(configs[0], attention_kernel="plain", max_rows=rows)
        models = [build_run_model(c, "plain").to(plan.device) for c in configs]
        interrupts = Interrupts()
        stack = Stack(models, [c.training for c in configs], plan, interrupts)
        step = captured_fleet(stack, schedules, plan, interrupts, self.messages.append)
        rates = dict.fromkeys(range(len(configs)), 0.0001)

        def take(number: int) -> Any:
            if step is not None:
                return step(number, rates)
            from lilliput.training.fleet.batches import stacked_batch

            return stack.step(stacked_batch(schedules, number, plan.max_rows).micro_batches, rates)

        one, count = self.speed(configs[0], self.windows(take, 6)), len(configs)
        return one | {
            "members": count,
            "tokens_per_s": one["tokens_per_s"] * count,
            "share_of_peak": one["share_of_peak"] * count,
            "paper_hours": one["paper_hours"] / count,
        }

    def evaluation(self) -> dict[str, Any]:
        """Return the time of one evaluation on the validation split."""
        config = self.config(SHAPES[1])
        plan = self.plan(config)
        schedule = RunSchedule.of(config, self.data(config))
        model = build_run_model(config, plan.attention_kernel).to(plan.device)
        validation = Validation.of(schedule, plan.max_rows)
        loss = validation.measure(model, plan, 0).loss
        return {
            "loss": loss,
            "seconds": self.best_of(lambda: validation.measure(model, plan, 1), 3),
        }

    def fine_tuning(self) -> dict[str, Any]:
        """Return the time of a step of stacked classifiers."""
        from lilliput.evaluation.fine_tuning.classifier import Classifier
        from lilliput.evaluation.fine_tuning.stack import ClassifierStack
        from lilliput.evaluation.settings import FineTuningSettings

        members, rows, length = (2, 4, 12) if self.quick else (32, 32, 32)
        settings = FineTuningSettings()
        base = build_run_model(self.config(SHAPES[1]), "plain")
        models = [Classifier(base, 2, settings, k).to(self.device) for k in range(members)]
        stack = ClassifierStack(models, range(members), settings)
        ids = torch.randint(5, self.vocab_size, (members * rows, length), device=self.device)
        labels = torch.zeros(members * rows, dtype=torch.int64, device=self.device)
        seconds = self.best_of(lambda: stack.step(0, ids, None, labels, [1e-3] * members), 10)
        return {"members": members, "ms_a_step": 1e3 * seconds}

    def run(self) -> None:
        """Do all parts, the most telling ones first."""
        self.part("versions", 20, self.versions)
        self.part("peaks", 30, self.peaks)
        self.part("agreement", 60, self.agreement)
        for shape in SHAPES[:1] if self.quick else SHAPES:
            self.part(f"ours {shape}", 40, lambda shape=shape: self.ours(shape))
        self.part("profile", 30, self.profile)
        for members in (1, 8, 64):
            self.part(f"fleet of {members}", 45, lambda members=members: self.fleet(members))
        self.part("tests", 110, self.tests)
        self.part("evaluation", 20, self.evaluation)
        self.part("fine-tuning", 20, self.fine_tuning)
        for shape in SHAPES[:1] if self.quick else SHAPES:
            self.part(f"peer {shape}", 30, lambda shape=shape: self.peer(shape))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise PartTimeoutError in the block when the time is over."""

    def stop(*_: object) -> None:
        raise PartTimeoutError(f"more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def write_store(folder: Path, vocab_size: int, documents: int) -> None:
    """Write a token store of random tokens, a third of them one token."""
    rng = np.random.default_rng(0)
    with building(folder, "tokens", 1, {"seed": 0}, {"tokenizer": "random"}) as build:
        for split, size in (("train", documents), ("validation", max(64, documents // 20))):
            lengths = rng.integers(42, 127, size)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            tokens = rng.integers(5, vocab_size, offsets[-1])
            tokens[rng.random(offsets[-1]) < 1 / 3] = 5
            np.save(build.path(f"{split}.tokens.npy"), tokens.astype(np.uint16))
            np.save(build.path(f"{split}.offsets.npy"), offsets)
        np.save(build.path("token_bytes.npy"), np.full(vocab_size, 4, np.int32))
        np.save(build.path("word_start.npy"), np.ones(vocab_size, bool))
        build.facts["vocab_size"] = vocab_size


def peer_model(model: ModelConfig) -> Any:
    """Return Hugging Face's twin of a shape."""
    from transformers import ElectraConfig, ElectraForMaskedLM, RobertaConfig, RobertaForMaskedLM

    common: dict[str, Any] = {
        "vocab_size": model.vocab_size, "hidden_size": model.hidden_size,
        "intermediate_size": model.intermediate_size, "num_attention_heads": model.num_attention_heads,
        "num_hidden_layers": model.num_hidden_layers, "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0, "pad_token_id": 1,
    }  # fmt: skip
    if model.embedding_size == model.hidden_size:
        return RobertaForMaskedLM(RobertaConfig(max_position_embeddings=LENGTH + 2, **common))
    size = {"embedding_size": model.embedding_size, "max_position_embeddings": LENGTH}
    return ElectraForMaskedLM(ElectraConfig(**size, **common))


def masked_batch(
    vocab_size: int,
) -> Callable[[list[dict[str, list[int]]]], dict[str, torch.Tensor]]:
    """Return a collator: pads to the longest, hides 15 % of the tokens. It needs no tokenizer."""

    def collate(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        width = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), width), 1)
        for place, row in enumerate(rows):
            ids[place, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
        chosen = (torch.rand(ids.shape) < 0.15) & (ids >= 5)
        labels = torch.where(chosen, ids, -100)
        mask = min(4, vocab_size - 1)
        return {
            "input_ids": torch.where(chosen, mask, ids),
            "attention_mask": (ids != 1).long(),
            "labels": labels,
        }

    return collate


def main() -> None:
    """Parse the options and do the check."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: a rehearsal of every line"
    )
    parser.add_argument("--seconds", type=float, default=400, help="for everything")
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"))
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU that torch can see: --device cpu --quick rehearses the check")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    folder = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    try:
        Check(options, folder).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
