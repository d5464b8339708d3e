"""What leaves the plateau: one shape under both profiles, pre-norm, and rotary positions with a larger start.

    python benchmarks/training_plateau.py STUDY/tokens/constrained --out DIR --figure docs/training_plateau.svg
    python benchmarks/training_plateau.py STUDY/tokens/constrained --out DIR --curves reference corrected

64/128/512/8/4, 64 sequences an update, 4 million tokens, one seed; a run takes some ten minutes on one core in bfloat16, the
reference profile, which computes its padding, a multiple of it. Runs that lie in DIR are not trained again.
The store in the documentation is that of the recipe `two-profiles`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lilliput.analysis.findings.learning import plateau_exit_index
from lilliput.architecture import ModelConfig
from lilliput.core.artefacts import read_manifest
from lilliput.core.files import read_json_lines
from lilliput.core.progress import PlainReporter
from lilliput.core.settings import parse_settings
from lilliput.training import RunConfig, TrainingConfig, train

SHAPE = {"embedding_size": 64, "hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 8, "num_hidden_layers": 4}  # fmt: skip
PRE, ROTARY = {"norm_position": "pre"}, {"norm_position": "pre", "position_embedding_type": "rotary"}  # fmt: skip
XAVIER = {"initialization": "xavier"}
# Name: what differs in the model, and in training.
CURVES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "reference": ({}, {"profile": "reference"}),
    "corrected": ({}, {}),
    "corrected, pre-norm, 2e-3": (PRE, {"learning_rate": 2e-3}),
    "corrected, pre-norm, 4e-3": (PRE, {"learning_rate": 4e-3}),
    "corrected, pre-norm, 4e-3, rotary, Xavier start": (
        ROTARY,
        {"learning_rate": 4e-3, "switches": XAVIER},
    ),
}
COLORS = ("#c44f00", "#0072b2", "#007a5a", "#a8508a", "#8f6500")


def config_of(name: str, vocab_size: int) -> RunConfig:
    """The run of one curve."""
    model, changes = CURVES[name]
    fields = {"norm_position": "post", **SHAPE, **model}
    training = {
        "max_tokens": 4_000_000,
        "max_seq_length": 128,
        "global_batch_size": 64,
        "learning_rate": 5e-4,
        "eval_sequences": 500,
        "eval_points_per_decade": 8,
        "threads": 1,
    }
    return RunConfig(
        model=ModelConfig.for_layout("mini-bert", vocab_size=vocab_size, max_seq_length=128, **fields),
        training=parse_settings(TrainingConfig, training | changes),
        seed=0,
    )  # fmt: skip


def points_of(run: Path) -> list[dict[str, Any]]:
    return sorted(read_json_lines(run / "metrics.jsonl"), key=lambda point: point["step"])


def show(runs: dict[str, Path], entropy: float) -> None:
    """A table of where each curve ends, and where it left the plateau."""
    print(
        "| recipe | tokens | loss | below the unigram entropy | escaped after tokens |\n|---|---|---|---|---|"
    )
    for name, run in runs.items():
        points = points_of(run)
        last = points[-1]
        at = plateau_exit_index([point["loss"] for point in points], entropy)
        escaped = "not" if at is None else f"{points[at]['tokens_seen']:,}"
        print(f"| {name} | {last['tokens_seen']:,} | {last['loss']:.3f} | {entropy - last['loss']:.3f} | {escaped} |")  # fmt: skip


def draw(runs: dict[str, Path], entropy: float, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams |= {"svg.hashsalt": "lilliput", "font.size": 9}
    figure, axis = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    for (name, run), color in zip(runs.items(), COLORS, strict=False):
        points = [point for point in points_of(run) if point["tokens_seen"]]
        tokens = [point["tokens_seen"] for point in points]
        axis.plot(tokens, [p["loss"] for p in points], color=color, marker="o", ms=2.5, label=name)
    axis.axhline(entropy, color="black", ls=":", lw=1)
    axis.annotate("token-unigram entropy", (0.01, entropy), xycoords=("axes fraction", "data"), va="bottom")  # fmt: skip
    axis.set(xscale="log", xlabel="tokens seen", ylabel="held-out loss, nats a predicted token")
    axis.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokens", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--curves", nargs="+", choices=list(CURVES), default=list(CURVES))
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    vocab_size = int(read_manifest(given.tokens).facts["vocab_size"])
    runs: dict[str, Path] = {}
    for name in given.curves:
        runs[name] = given.out / name.replace(", ", "-").replace(" ", "-")
        train(config_of(name, vocab_size), given.tokens, runs[name], reporter=PlainReporter())
    entropy = float(read_manifest(next(iter(runs.values()))).facts["unigram_entropy"])
    show(runs, entropy)
    if given.figure:
        draw(runs, entropy, given.figure)


if __name__ == "__main__":
    main()
