"""FLOPs conventions against published values and values worked out from their formulas."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.architecture import FLOPS_CONVENTIONS, ModelConfig, training_flops
from lilliput.core.errors import ConfigurationError


def paper_shape(e: int, h: int, i: int, a: int, layers: int, layout: str = "mini-bert"):
    return ModelConfig.for_layout(
        layout,
        vocab_size=19_010,
        embedding_size=e,
        hidden_size=h,
        intermediate_size=i,
        num_attention_heads=a,
        num_hidden_layers=layers,
    )


# Per training sequence of 128 positions, from the history of the authors' repository.
REFERENCE_GOLDEN = [
    ((32, 32, 64, 1, 1), 943_964_160),
    ((32, 32, 128, 2, 2), 959_348_736),
    ((64, 128, 512, 8, 4), 3_418_128_384),
    ((64, 128, 1024, 8, 4), 3_820_781_568),
    ((256, 256, 1024, 8, 8), 12_165_316_608),
]


@pytest.mark.parametrize(("shape", "expected"), REFERENCE_GOLDEN)
def test_reference_flops_are_the_published_ones(shape: tuple[int, ...], expected: int):
    flops = training_flops(paper_shape(*shape), sequences=1, seq_length=128)
    assert flops["flops_reference"] == expected


def test_every_published_run_is_reproduced(golden: Path):
    with (golden / "paper_runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        config = paper_shape(
            int(row["embedding_size"]),
            int(row["hidden_size"]),
            int(row["intermediate_size"]),
            int(row["num_attention_heads_recorded"]),
            int(row["num_hidden_layers"]),
            layout="roberta" if row["tied_standard_roberta"] == "True" else "mini-bert",
        )
        # The totals use 35,475 updates of 256 sequences.
        flops = training_flops(config, sequences=35_475 * 256, seq_length=128)
        assert flops["flops_reference"] == float(row["flops_reference"]), row["run"]
        assert flops["flops_kaplan_6n_decoder"] == float(row["flops_kaplan"]), row["run"]


# Five significant digits, worked out from the formulas with eight heads; the first Kaplan value is
# the authors' own.
OTHER_GOLDEN = [
    ((256, 256, 1024, 8, 8), "flops_hoffmann", 1.276930e10),
    ((32, 32, 64, 8, 1), "flops_hoffmann", 9.489285e8),
    ((256, 256, 1024, 8, 8), "flops_executed_masked", 5.8624e9),
    ((32, 32, 64, 8, 1), "flops_executed_masked", 8.4745e7),
    ((256, 256, 1024, 8, 8), "flops_kaplan_6n_decoder", 8_706_246_144),
    ((256, 256, 1024, 8, 8), "flops_kaplan_6n", 6 * 128 * (11_336_258 - 19_010 * 256)),
]


@pytest.mark.parametrize(("shape", "convention", "expected"), OTHER_GOLDEN)
def test_other_conventions(shape: tuple[int, ...], convention: str, expected: float):
    flops = training_flops(paper_shape(*shape), sequences=1, seq_length=128)
    assert flops[convention] == pytest.approx(expected, rel=1e-5)


def test_the_recorded_heads_enter_reference_and_the_built_ones_what_is_executed():
    recorded = paper_shape(32, 32, 64, 1, 1)
    misspelt = recorded.model_copy(update={"always_eight_heads": True})
    plain = training_flops(recorded, sequences=1, seq_length=128)
    built = training_flops(misspelt, sequences=1, seq_length=128)
    assert built["flops_reference"] == plain["flops_reference"] == 943_964_160
    softmax_of_seven_heads = 3 * 3 * 7 * 128**2  # forward and backward, 3 operations a weight
    difference = built["flops_executed_full"] - plain["flops_executed_full"]
    assert difference == softmax_of_seven_heads


def test_padding_costs_only_under_the_published_conventions():
    config = paper_shape(64, 128, 512, 8, 4)
    full = training_flops(config, sequences=10, seq_length=128)
    short = training_flops(config, sequences=10, tokens=640, seq_length=128)
    for name in ("flops_reference", "flops_hoffmann", "flops_kaplan_6n_decoder"):
        assert short[name] == full[name]
    assert short["flops_kaplan_6n"] == full["flops_kaplan_6n"] / 2
    # Half the tokens in sequences of half the length: a quarter of the attention pairs.
    assert short["flops_executed_full"] < full["flops_executed_full"] / 2


def test_a_causal_model_predicts_everywhere():
    config = paper_shape(64, 64, 256, 4, 2, layout="llama")
    flops = training_flops(config, sequences=3, seq_length=128)
    assert flops["flops_executed_masked"] == flops["flops_executed_full"]


@given(
    sequences=st.integers(1, 10**7),
    seq_length=st.integers(1, 512),
    layout=st.sampled_from(["mini-bert", "roberta", "electra", "modernbert"]),
    probability=st.floats(0.01, 0.99),
)
def test_conventions_are_ordered_and_scale_with_the_work(
    sequences: int, seq_length: int, layout: str, probability: float
):
    config = paper_shape(64, 64, 256, 4, 3, layout=layout)

    def flops(n: int) -> dict[str, float]:
        return training_flops(
            config, sequences=n, seq_length=seq_length, predicted_share=probability
        )

    once, twice = flops(sequences), flops(2 * sequences)
    assert set(once) == set(FLOPS_CONVENTIONS)
    assert once["flops_executed_masked"] < once["flops_executed_full"]
    assert once["flops_reference"] < once["flops_hoffmann"]
    for name in FLOPS_CONVENTIONS:
        assert twice[name] == pytest.approx(2 * once[name], rel=1e-12)


def test_no_amount_of_work_is_refused():
    config = paper_shape(32, 32, 64, 1, 1)
    with pytest.raises(ConfigurationError, match="neither"):
        training_flops(config, seq_length=128)
    with pytest.raises(ConfigurationError, match="-5"):
        training_flops(config, sequences=-5, seq_length=128)
    with pytest.raises(ConfigurationError, match="got 0"):
        training_flops(config, sequences=5, seq_length=0)
