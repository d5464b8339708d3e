"""Parameter counts against the published runs and against arithmetic done by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from lilliput.architecture import LAYOUTS, ModelConfig, count_parameters

# tests/golden/paper_runs.csv: vocabulary of the authors' 42 runs (arXiv 2305.17266).
PAPER_VOCABULARY = 19_010


def paper_config(row: dict[str, str]) -> ModelConfig:
    tied = row["tied_standard_roberta"] == "True"
    return ModelConfig.for_layout(
        "roberta" if tied else "mini-bert",
        vocab_size=PAPER_VOCABULARY,
        embedding_size=int(row["embedding_size"]),
        hidden_size=int(row["hidden_size"]),
        intermediate_size=int(row["intermediate_size"]),
        num_attention_heads=int(row["num_attention_heads_recorded"]),
        num_hidden_layers=int(row["num_hidden_layers"]),
        always_eight_heads=not tied,
    )


def test_all_42_published_counts_are_exact(golden: Path):
    with (golden / "paper_runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 42
    assert sum(row["tied_standard_roberta"] == "True" for row in rows) == 7
    for row in rows:
        count = count_parameters(paper_config(row))
        assert count.total == int(row["num_parameters"]), row["run"]
        assert count.embedding == int(row["num_parameters_embedding"]), row["run"]
        assert count.non_embedding == int(row["num_parameters_non_embedding"]), row["run"]


def test_the_sum_of_the_parts_is_the_total():
    for layout in LAYOUTS:
        record = count_parameters(ModelConfig.for_layout(layout, vocab_size=1000)).as_record()
        parts = ("embedding", "projection", "layers", "head", "decoder")
        assert sum(record[part] for part in parts) == record["total"]
        assert record["non_vocabulary"] == record["total"] - record["embedding"] - record["decoder"]


@pytest.mark.parametrize(
    ("hidden", "layers", "expected"), [(32, 2, 992_928), (1024, 8, 164_955_136)]
)
def test_the_causal_family_has_its_published_counts(hidden: int, layers: int, expected: int):
    # arXiv 2404.02204: Llama layout, vocabulary 15,000, intermediate 4 x hidden, 8 heads.
    config = ModelConfig.for_layout(
        "llama",
        vocab_size=15_000,
        embedding_size=hidden,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_attention_heads=8,
        num_hidden_layers=layers,
    )
    assert count_parameters(config).total == expected
