"""Describe the columns of the tidy table, which has one row for each measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "count", "flag"]


@dataclass(frozen=True)
class SchemaColumn:
    """Describe what one column of the table holds.

    Attributes:
        name: Header; a trailing `*` stands for any ending.
        kind: "text", "number" (finite), "count" (a number that is not negative) or "flag".
        meaning: One sentence with the unit.
        positive: Whether only numbers above zero make sense.
    """

    name: str
    kind: Kind
    meaning: str
    positive: bool = False

    def covers(self, header: str) -> bool:
        """Return whether this entry describes the column called `header`."""
        if self.name.endswith("*"):
            return header.startswith(self.name[:-1])
        return header == self.name


SCHEMA: tuple[SchemaColumn, ...] = (
    SchemaColumn("run", "text", "Name of the training run; rows of one run are not independent."),
    SchemaColumn("family", "text", "Models that are compared with each other."),
    SchemaColumn("language", "text", "Corpus the run was trained on."),
    SchemaColumn("profile", "text", 'Training profile, such as "reference" or "corrected".'),
    SchemaColumn("variant", "text", "What a run changes from its recipe and profile."),
    SchemaColumn("layout", "text", "Named architecture."),
    SchemaColumn(
        "shape", "text", "Sizes E/H/I/A/L in one word; runs that differ by seed share it."
    ),
    SchemaColumn("embedding_size", "count", "Width E of the embeddings.", positive=True),
    SchemaColumn("hidden_size", "count", "Width H between layers.", positive=True),
    SchemaColumn("intermediate_size", "count", "Width I of the feed-forward.", positive=True),
    SchemaColumn("num_attention_heads", "count", "Attention heads A in each layer.", positive=True),
    SchemaColumn("num_hidden_layers", "count", "Layers L.", positive=True),
    SchemaColumn("seed", "count", "Seed of the run."),
    SchemaColumn("step", "count", "Optimizer steps at the measurement."),
    SchemaColumn("warmup_steps", "count", "Steps of the run's warm-up."),
    SchemaColumn("learning_rate", "number", "Learning rate at the measurement."),
    SchemaColumn("tokens_seen", "count", "Real input tokens read so far.", positive=True),
    SchemaColumn(
        "unique_tokens",
        "count",
        "Tokens in the training data; tokens read beyond them are repeats.",
        positive=True,
    ),
    SchemaColumn(
        "positions_seen", "count", "Input positions so far, padding included.", positive=True
    ),
    SchemaColumn("is_final", "flag", "Whether this is the last measurement of a finished run."),
    SchemaColumn("loss", "number", "Nats per predicted token.", positive=True),
    SchemaColumn(
        "loss_reference_imputed",
        "flag",
        "Whether pads count in `loss_reference` with a loss of zero.",
    ),
    SchemaColumn("loss_se", "number", "Standard error of `loss`, in nats.", positive=True),
    SchemaColumn("loss_*", "number", "A loss under another convention, in nats.", positive=True),
    SchemaColumn("test_loss*", "number", "Loss on test data, on final rows.", positive=True),
    SchemaColumn("perplexity*", "number", "exp(loss) under the same convention.", positive=True),
    SchemaColumn("bits_per_byte", "number", "Bits per byte of predicted text.", positive=True),
    SchemaColumn(
        "flops_*", "number", "Training FLOPs so far under the named convention.", positive=True
    ),
    SchemaColumn(
        "flops", "number", "Training FLOPs by a convention that is not stated.", positive=True
    ),
    SchemaColumn("num_parameters", "count", "All parameters.", positive=True),
    SchemaColumn("num_parameters_*", "count", "Parameters, counted as named.", positive=True),
    SchemaColumn("wall_time_s", "number", "Seconds of training so far.", positive=True),
    SchemaColumn("score_*", "number", "Score of the named task."),
    SchemaColumn("baseline_*", "number", "The same score of the untrained weights."),
    SchemaColumn("cost", "number", "Cost of a strategy, for cost-effectiveness."),
    SchemaColumn("effect", "number", "Effect of a strategy, for cost-effectiveness."),
)


def describe(header: str) -> SchemaColumn | None:
    """Return the schema's first entry for a header; None for a column that the table merely carries along."""
    return next((column for column in SCHEMA if column.covers(header)), None)
