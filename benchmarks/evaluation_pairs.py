"""Pseudo-log-likelihood of five BLiMP paradigms: ours beside minicons, same exported model, float32.

Both sides read the same sentences and run on the same threads, in turns; the time of each covers everything
from strings to scores, in seconds of processor time, which a busy machine moves less than those of the clock.
minicons is given batches of --peer-batch sentences.

    python benchmarks/evaluation_pairs.py --data BLIMP_FOLDER [--pairs 1000] [--repeats 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from evaluation_fine_tuning import VOCAB_SIZE, train_tokenizer

from lilliput.architecture import ModelConfig
from lilliput.evaluation import PairSettings
from lilliput.evaluation.encoding import SequenceEncoder
from lilliput.evaluation.pairs.likelihood import score_sentences
from lilliput.evaluation.pairs.reading import find_paradigms, read_paradigm
from lilliput.models import build_model, export_model
from lilliput.training.execution.plan import has_bf16_products

PARADIGMS = (
    "adjunct_island",
    "anaphor_number_agreement",
    "causative",
    "npi_present_1",
    "regular_plural_subject_verb_agreement_1",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=1000, help="of each paradigm")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer-batch", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    from minicons import scorer

    sentences = [
        sentence
        for path in find_paradigms(options.data, PARADIGMS)
        for pair in read_paradigm(path).pairs[: options.pairs]
        for sentence in (pair.good, pair.bad)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        tokenizer, folder = Path(scratch) / "tokenizer", Path(scratch) / "model"
        texts = [path.read_text() for path in find_paradigms(options.data)]
        train_tokenizer(texts, tokenizer)
        encoder = SequenceEncoder.load(tokenizer)
        config = ModelConfig.for_layout(
            "electra", vocab_size=VOCAB_SIZE, embedding_size=64, hidden_size=128,
            intermediate_size=512, num_attention_heads=8, num_hidden_layers=4, max_seq_length=128,
        )  # fmt: skip
        model = build_model(config, 0).eval()
        export_model(model, folder, tokenizer=tokenizer)
        peer = scorer.MaskedLMScorer(str(folder), "cpu")
        # minicons calls a method that transformers 5 has dropped; calling the tokenizer is the same.
        peer.tokenizer.batch_encode_plus = peer.tokenizer.__call__

        def ours(dtype):
            settings = PairSettings(dtype=dtype)
            return score_sentences(model, encoder.tokenised(sentences), encoder.special, settings)

        def theirs(batch):
            return np.array(
                [
                    float(value)
                    for i in range(0, len(sentences), batch)
                    for value in peer.sequence_score(
                        sentences[i : i + batch], reduction=lambda x: x.sum(0)
                    )
                ]
            )

        ways = {"ours": lambda: ours("float32")}
        ways |= {f"minicons, {n}": lambda n=n: theirs(n) for n in options.peer_batch}
        if has_bf16_products():
            ways["ours, bf16"] = lambda: ours("bfloat16")
        times = {name: [] for name in ways}
        furthest = dict.fromkeys(ways, 0.0)
        for _ in range(options.repeats):
            found = {}
            for name, way in ways.items():
                started = time.process_time()
                found[name] = way()
                times[name].append(time.process_time() - started)
                apart = float(np.abs(found[name] - found["ours"]).max())
                furthest[name] = max(furthest[name], apart)
    medians = {name: statistics.median(values) for name, values in times.items()}
    record = {
        "sentences": len(sentences),
        "torch": torch.__version__,
        "times_s": times,
        "median_s": medians,
        "ratio": {name: value / medians["ours"] for name, value in medians.items()},
        "largest_difference_nats": furthest,
    }
    if options.json:
        print(json.dumps(record))
        return
    print(f"{len(sentences)} sentences; largest difference from our float32 in nats")
    for name, values in times.items():
        spread = f"{min(values):.1f} to {max(values):.1f}"
        print(
            f"{name:14}{medians[name]:8.1f} s ({spread}){medians[name] / medians['ours']:8.2f}x {furthest[name]:.1e}"
        )


if __name__ == "__main__":
    main()
