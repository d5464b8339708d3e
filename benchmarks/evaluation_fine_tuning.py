"""Fine-tuning on CoLA and SST-2 with three seeds: ours beside Hugging Face's Trainer.

The peer fine-tunes `AutoModelForSequenceClassification` as `run_glue.py` does: texts padded to 128 tokens,
and again padded to the longest of a batch. Ours runs the same model, examples, epochs, batch size and
seeds. Both compute in float32 unless --bf16 is given, which needs a processor with bf16 in hardware.

    python benchmarks/evaluation_fine_tuning.py --data GLUE_FOLDER [--train 600] [--repeats 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch

from lilliput.architecture import ModelConfig
from lilliput.evaluation import FineTuningSettings, load_task
from lilliput.evaluation.encoding import TextEncoder, encode_examples
from lilliput.evaluation.examples import read_examples
from lilliput.evaluation.fine_tuning import LabelledTexts
from lilliput.evaluation.seeds import fine_tune_seeds
from lilliput.models import build_model, export_model

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
        rows = torch.arange
        learned = read_examples(task, data / name, "train")
        scored = read_examples(task, data / name, "validation")
        sets[name] = (
            task,
            learned.take(rows(min(train, len(learned))).numpy()),
            scored.take(rows(min(dev, len(scored))).numpy()),
        )
    return sets


def run_ours(model, encoder, sets, epochs):
    settings = FineTuningSettings(
        seeds=SEEDS, num_train_epochs=(epochs,), batch_size=BATCH_SIZE, learning_rates=(2e-4,),
        pooling="first", head="tanh",
    )  # fmt: skip
    started = time.perf_counter()
    for task, learned, scored in sets.values():
        train = LabelledTexts(
            encode_examples(encoder, learned, MAX_SEQ_LENGTH), learned.labels, False, 1
        )
        dev = {"dev": encode_examples(encoder, scored, MAX_SEQ_LENGTH)}
        fine_tune_seeds(model, task, train, dev, settings)
    return time.perf_counter() - started


def run_peer(folder: Path, sets, epochs, *, padding: str, bf16: bool):
    from datasets import Dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )

    started = time.perf_counter()
    for _, learned, scored in sets.values():
        tokenizer = AutoTokenizer.from_pretrained(folder)

        def encode(examples, tokenizer=tokenizer):
            pad = "max_length" if padding == "max" else False
            columns = tokenizer(
                list(examples.texts[0]), padding=pad, max_length=MAX_SEQ_LENGTH, truncation=True
            )
            columns["label"] = examples.labels.astype(int).tolist()
            return Dataset.from_dict(dict(columns))

        train, dev = encode(learned), encode(scored)
        collator = default_data_collator if padding == "max" else DataCollatorWithPadding(tokenizer)
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as scratch:
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
                trainer.train()
                trainer.predict(dev)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", type=int, default=5000)
    parser.add_argument("--dev", type=int, default=872)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bf16", action="store_true", help="of the peer, dynamic padding")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    from transformers.utils import logging

    logging.set_verbosity_error()
    sets = read_sets(options.data, options.train, options.dev)
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer = Path(scratch) / "tokenizer"
        texts = (t for _, learned, _ in sets.values() for t in learned.texts[0])
        train_tokenizer(texts, tokenizer)
        config = ModelConfig.for_layout(
            "electra", vocab_size=19_000, embedding_size=64, hidden_size=128,
            intermediate_size=512, num_attention_heads=8, num_hidden_layers=4, max_seq_length=128,
        )  # fmt: skip
        model = build_model(config, 0)
        export_model(model, Path(scratch) / "model", tokenizer=tokenizer)
        encoder = TextEncoder.load(tokenizer)
        ways = {
            "ours": lambda: run_ours(model, encoder, sets, options.epochs),
            "peer, padded to 128": lambda: run_peer(
                Path(scratch) / "model", sets, options.epochs, padding="max", bf16=False
            ),
            "peer, dynamic padding": lambda: run_peer(
                Path(scratch) / "model", sets, options.epochs, padding="longest", bf16=options.bf16
            ),
        }
        times = {name: [] for name in ways}
        for _ in range(options.repeats):
            for name, way in ways.items():
                times[name].append(way())
    report(times, options)


def report(times, options) -> None:
    medians = {name: statistics.median(found) for name, found in times.items()}
    record = {
        "settings": {k: str(v) for k, v in vars(options).items() if k != "data"},
        "torch": torch.__version__,
        "times_s": times,
        "median_s": medians,
        "ratio": {name: value / medians["ours"] for name, value in medians.items()},
    }
    if options.json:
        print(json.dumps(record))
        return
    print(f"{'':24}{'median s':>10}{'min':>8}{'max':>8}{'ratio':>8}")
    for name, found in times.items():
        ratio = medians[name] / medians["ours"]
        print(f"{name:24}{medians[name]:10.1f}{min(found):8.1f}{max(found):8.1f}{ratio:8.1f}")


if __name__ == "__main__":
    main()
