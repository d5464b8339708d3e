"""The table of docs/flops.md: what the choice of a convention does to the published break and law."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from lilliput.architecture import FLOPS_CONVENTIONS, ModelConfig, training_flops

SEQUENCES_PER_UPDATE, SEQ_LENGTH, VOCABULARY = 256, 128, 19_010
BINS_PER_DECADE = 20


def documented() -> dict[str, tuple[str, str, str]]:
    page = Path(__file__).parents[2] / "docs" / "flops.md"
    row = r"^\| `(flops_\w+)` \| (\d\.\d\de\+\d\d) \| (\d\.\d\de\+\d\d) \| (0\.\d{3}) \|$"
    found = re.findall(row, page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: (low, high, exponent) for name, low, high, exponent in found}


def flops_per_update(row: dict[str, str]) -> dict[str, float]:
    tied = row["tied_standard_roberta"] == "True"
    config = ModelConfig.for_layout(
        "roberta" if tied else "mini-bert",
        vocab_size=VOCABULARY,
        embedding_size=int(row["embedding_size"]),
        hidden_size=int(row["hidden_size"]),
        intermediate_size=int(row["intermediate_size"]),
        num_attention_heads=int(row["num_attention_heads_recorded"]),
        num_hidden_layers=int(row["num_hidden_layers"]),
        always_eight_heads=not tied,
    )
    return training_flops(config, sequences=SEQUENCES_PER_UPDATE, seq_length=SEQ_LENGTH)


def lower_envelope(flops: np.ndarray, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bins = np.floor(np.log10(flops) * BINS_PER_DECADE)
    lowest = [np.flatnonzero(bins == b)[losses[bins == b].argmin()] for b in np.unique(bins)]
    best = np.minimum.accumulate(losses[lowest])
    keep = losses[lowest] <= best
    return flops[lowest][keep], losses[lowest][keep]


@pytest.mark.parametrize("convention", FLOPS_CONVENTIONS)
def test_the_documented_gap_and_exponent_follow_from_the_published_runs(
    convention: str, golden: Path
):
    with (golden / "paper_runs.csv").open() as file:
        cost = {row["run"]: flops_per_update(row)[convention] for row in csv.DictReader(file)}
    with (golden / "paper_evaluations.csv").open() as file:
        rows = list(csv.DictReader(file))
    flops = np.array([cost[row["run"]] * float(row["updates"]) for row in rows])
    flops, losses = lower_envelope(flops, np.array([float(row["eval_loss"]) for row in rows]))
    gap_from, gap_to = flops[losses >= 3.0][-1], flops[losses < 2.9][0]
    law = losses < 2.6
    slope = np.polyfit(np.log(flops[law]), np.log(losses[law]), 1)[0]
    assert (f"{gap_from:.2e}", f"{gap_to:.2e}", f"{-slope:.3f}") == documented()[convention]
