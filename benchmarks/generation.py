"""Greedy generation against `transformers.generate`, in turns: new tokens per second at batch 1 and 32.

    python benchmarks/generation.py [--rounds 7] [--vocab-size 4000]

The model has shape 64/64/256/4/4 in the layout llama, random weights, and a context of 128; prompts have 8 tokens,
and 64 tokens are added to each. Both sides must give the same tokens, or the script stops. Each round times both
sides one after the other. Ratios are of medians, once by wall time and once by the processor time of the process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM

from lilliput.architecture import ModelConfig
from lilliput.evaluation.generation.decoder import CachedDecoder
from lilliput.evaluation.generation.generate import generate_tokens
from lilliput.evaluation.generation.settings import GenerationSettings
from lilliput.models import build_model, export_model

NEW, PROMPT, NO_END = 64, 8, -1


def build(vocab_size: int):
    """Return our model and the same one in transformers."""
    config = ModelConfig.for_layout(
        "llama",
        vocab_size=vocab_size,
        embedding_size=64,
        hidden_size=64,
        intermediate_size=256,
        num_attention_heads=4,
        num_hidden_layers=4,
        max_seq_length=128,
    )
    model = build_model(config, 0).eval()
    with torch.no_grad():  # Spread the logits, so that no two tokens are almost tied.
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    with tempfile.TemporaryDirectory() as folder:
        export_model(model, Path(folder) / "export")
        twin = AutoModelForCausalLM.from_pretrained(Path(folder) / "export").eval()
    return model, twin


def timed(work: Callable[[], object]) -> tuple[float, float, object]:
    """Return wall seconds, processor seconds and the result of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - processor, result


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--vocab-size", type=int, default=4000)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, twin = build(options.vocab_size)
    decoder = CachedDecoder(model)
    settings = GenerationSettings(max_new_tokens=NEW)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, one thread")
    for batch in (1, 32):
        rng = np.random.default_rng(batch)
        prompts = rng.integers(5, options.vocab_size, (batch, PROMPT)).tolist()
        ids = torch.tensor(prompts)

        def ours(prompts: list[list[int]] = prompts) -> list[list[int]]:
            found = generate_tokens(model, prompts, settings, end=NO_END, decoder=decoder)
            return [list(text) for text, _ in found]

        def theirs(ids: torch.Tensor = ids) -> list[list[int]]:
            made = twin.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=NEW,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=1,
            )
            return made[:, PROMPT:].tolist()

        if ours() != theirs():
            raise SystemExit("the two sides give different tokens")
        rounds = [(timed(ours), timed(theirs)) for _ in range(options.rounds)]
        for name, column in (("wall", 0), ("processor", 1)):
            mine, other = (statistics.median(r[side][column] for r in rounds) for side in (0, 1))
            ratios = [r[1][column] / r[0][column] for r in rounds]
            print(
                f"batch {batch:2d}, {name} time: {batch * NEW / mine:9,.0f} tokens/s against "
                f"{batch * NEW / other:7,.0f}: {other / mine:.1f} x "
                f"(rounds {min(ratios):.1f} to {max(ratios):.1f})"
            )


if __name__ == "__main__":
    main()
