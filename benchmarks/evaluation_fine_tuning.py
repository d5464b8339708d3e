"""Fine-tuning on CoLA and SST-2 with three seeds: ours beside Hugging Face's Trainer.

The peer fine-tunes `AutoModelForSequenceClassification` as `run_glue.py` does: texts padded to 128 tokens;
padded to the longest of a batch; and that under bfloat16 autocast, where the processor has it. Ours runs the
same model, examples, epochs, batch size and seeds, in float32 and, where the processor has it, bfloat16.

A side's time is that of training and of predicting the dev set, for both tasks and all seeds, in turns with the
other sides, after one warm-up each: seconds of processor time, which a busy machine moves less than those of the
clock, printed beside them. Loading and tokenising count for us and not for the peer. Speed is training examples per
second of processor time, which needs no whole epoch of 5,000: --train takes the first examples of each task.

    python benchmarks/evaluation_fine_tuning.py --data GLUE_FOLDER [--train 480] [--dev 160] [--repeats 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from lilliput.architecture import ModelConfig
from lilliput.evaluation import FineTuningSettings, load_task
from lilliput.evaluation.encoding import SequenceEncoder, encode_examples
from lilliput.evaluation.fine_tuning.epochs import LabelledTexts
from lilliput.evaluation.fine_tuning.seeds import fine_tune_seeds
from lilliput.evaluation.tasks.examples import read_examples
from lilliput.models import build_model, export_model
from lilliput.training.execution.plan import has_bf16_products

TASKS = ("cola", "sst2")
SEEDS = (0, 1, 2)
BATCH_SIZE = 32
VOCAB_SIZE = 19_000
MAX_SEQ_LENGTH = 128


def train_tokenizer(texts, folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from lilliput.tokenization.folder import save_tokenizer
    from lilliput.tokenization.special import SPECIAL_TOKENS, add_special_tokens

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    add_special_tokens(tokenizer)
    save_tokenizer(tokenizer, folder)


def read_sets(data: Path, train: int, dev: int):
    sets = {}
    for name in TASKS:
        task = load_task(name)
        learned = read_examples(task, data / name, "train")
        scored = read_examples(task, data / name, "validation")
        sets[name] = (
            task,
            learned.take(np.arange(min(train, len(learned)))),
            scored.take(np.arange(min(dev, len(scored)))),
        )
    return sets


def now() -> np.ndarray:
    """Seconds of processor time and of the clock."""
    return np.array([time.process_time(), time.perf_counter()])


def our_way(model, encoder, epochs, *, dtype: str):
    settings = FineTuningSettings(
        dtype=dtype,
        seeds=SEEDS, num_train_epochs=(epochs,), batch_size=BATCH_SIZE, learning_rates=(2e-4,),
        pooling="first", head="tanh",
    )  # fmt: skip

    def run(sets):
        started = now()
        for task, learned, scored in sets.values():
            texts = encode_examples(encoder, learned, MAX_SEQ_LENGTH)
            train = LabelledTexts(texts, learned.labels, False, encoder.special.pad)
            dev = {"dev": encode_examples(encoder, scored, MAX_SEQ_LENGTH)}
            fine_tune_seeds(model, task, train, dev, settings)
        return now() - started

    return run


def peer_way(folder: Path, epochs: int, *, pads_to_max: bool, bf16: bool):
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )

    tokenizer = AutoTokenizer.from_pretrained(folder)
    collator = default_data_collator if pads_to_max else DataCollatorWithPadding(tokenizer)

    def encode(examples):
        pad = "max_length" if pads_to_max else False
        columns = tokenizer(
            list(examples.texts[0]), padding=pad, max_length=MAX_SEQ_LENGTH, truncation=True
        )
        columns["label"] = examples.labels.astype(int).tolist()
        return Dataset.from_dict(dict(columns))

    def fine_tune(train, dev, seed, scratch):
        arguments = TrainingArguments(
            output_dir=scratch, num_train_epochs=epochs, seed=seed, bf16=bf16,
            per_device_train_batch_size=BATCH_SIZE, per_device_eval_batch_size=BATCH_SIZE,
            learning_rate=2e-4, report_to=[], save_strategy="no", disable_tqdm=True,
            use_cpu=True, dataloader_pin_memory=False,
        )  # fmt: skip
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
        trainer = Trainer(
            model, arguments, train_dataset=train, eval_dataset=dev, data_collator=collator
        )
        trainer.remove_callback(PrinterCallback)
        started = now()
        trainer.train()
        trainer.predict(dev)
        return now() - started

    def run(sets):
        total = np.zeros(2)
        for _, learned, scored in sets.values():
            train, dev = encode(learned), encode(scored)
            with tempfile.TemporaryDirectory() as scratch:
                total += sum(fine_tune(train, dev, seed, scratch) for seed in SEEDS)
        return total

    return run


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    sets = read_sets(options.data, options.train, options.dev)
    short = read_sets(options.data, 2 * BATCH_SIZE, BATCH_SIZE)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer, folder = Path(scratch) / "tokenizer", Path(scratch) / "model"
        everything = read_sets(options.data, 100_000, 1)
        train_tokenizer(
            (t for _, learned, _ in everything.values() for t in learned.texts[0]), tokenizer
        )
        config = ModelConfig.for_layout(
            "electra", vocab_size=VOCAB_SIZE, embedding_size=64, hidden_size=128,
            intermediate_size=512, num_attention_heads=8, num_hidden_layers=4, max_seq_length=128,
        )  # fmt: skip
        model = build_model(config, 0)
        export_model(model, folder, tokenizer=tokenizer)
        epochs, encoder = options.epochs, SequenceEncoder.load(tokenizer)
        ways = {
            "ours": our_way(model, encoder, epochs, dtype="float32"),
            "Trainer, padded to 128": peer_way(folder, epochs, pads_to_max=True, bf16=False),
            "Trainer, dynamic padding": peer_way(folder, epochs, pads_to_max=False, bf16=False),
        }
        if has_bf16_products():
            ways["ours, bf16"] = our_way(model, encoder, epochs, dtype="bfloat16")
            ways["Trainer, dynamic padding, bf16"] = peer_way(
                folder, epochs, pads_to_max=False, bf16=True
            )
        ways = {
            name: way
            for name, way in ways.items()
            if any(one in name for one in options.only.split(",")) or name.startswith("ours")
        }
        for way in ways.values():
            way(short)
        times: dict[str, list[list[float]]] = {name: [] for name in ways}
        for _ in range(options.repeats):
            for name, way in ways.items():
                times[name].append(way(sets).tolist())
                spent, elapsed = times[name][-1]
                print(f"{name}: {spent:.1f} s, clock {elapsed:.1f}", file=sys.stderr, flush=True)
    report(times, options, sum(len(learned) for _, learned, _ in sets.values()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=480)
    parser.add_argument("--dev", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="peers whose name holds one of these, by commas")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def report(times: dict[str, list[list[float]]], options: argparse.Namespace, examples: int) -> None:
    seen = examples * options.epochs * len(SEEDS)
    speeds = {name: sorted(seen / spent for spent, _ in found) for name, found in times.items()}
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    record = {
        "settings": {k: str(v) for k, v in vars(options).items() if k != "data"},
        "torch": torch.__version__,
        "processor_and_clock_s": times,
        "examples_per_s": medians,
        "ratio": {
            name: {other: medians[name] / value for other, value in medians.items()}
            for name in medians
            if name.startswith("ours")
        },
    }
    if options.json:
        print(json.dumps(record))
        return
    best = max(value for name, value in medians.items() if name.startswith("ours"))
    print(
        f"training examples/s{'':12}{'median':>8}{'min':>8}{'max':>8}{'our f32':>9}{'our best':>9}"
    )
    for name, found in speeds.items():
        ratios = (medians["ours"] / medians[name], best / medians[name])
        row = "".join(f"{ratio:8.1f}x" for ratio in ratios)
        print(f"{name:31}{medians[name]:8.0f}{found[0]:8.0f}{found[-1]:8.0f}{row}")


if __name__ == "__main__":
    main()
