"""The columns of the tidy table: one row a measurement, each column with its meaning and its rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "count", "flag"]


@dataclass(frozen=True)
class Column:
    """What one column of the table holds.

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
        """Whether this entry describes the column called `header`."""
        if self.name.endswith("*"):
            return header.startswith(self.name[:-1])
        return header == self.name


SCHEMA: tuple[Column, ...] = (
    Column("run", "text", "Name of the training run; rows of one run are not independent."),
    Column("family", "text", "Models that are compared with each other."),
    Column("language", "text", "Corpus the run was trained on."),
    Column("profile", "text", 'Training profile, such as "reference" or "corrected".'),
    Column("variant", "text", "What a run changes from its recipe and profile."),
    Column("layout", "text", "Named architecture."),
    Column("shape", "text", "Sizes E/H/I/A/L in one word; runs that differ by seed share it."),
    Column("embedding_size", "count", "Width E of the embeddings.", positive=True),
    Column("hidden_size", "count", "Width H between layers.", positive=True),
    Column("intermediate_size", "count", "Width I of the feed-forward.", positive=True),
    Column("num_attention_heads", "count", "Heads A a layer.", positive=True),
    Column("num_hidden_layers", "count", "Layers L.", positive=True),
    Column("seed", "count", "Seed of the run."),
    Column("step", "count", "Optimizer updates at the measurement."),
    Column("warmup_steps", "count", "Updates of the run's warm-up."),
    Column("learning_rate", "number", "Learning rate at the measurement."),
    Column("tokens_seen", "count", "Real input tokens read so far.", positive=True),
    Column("unique_tokens", "count", "Tokens there were to read; more are repeats.", positive=True),
    Column("positions_seen", "count", "Input positions so far, padding included.", positive=True),
    Column("is_final", "flag", "Whether this is the last measurement of a finished run."),
    Column("loss", "number", "Nats per predicted token.", positive=True),
    Column(
        "loss_reference_imputed",
        "flag",
        "Whether pads count in `loss_reference` with a loss of zero.",
    ),
    Column("loss_*", "number", "A loss under another convention, in nats.", positive=True),
    Column("test_loss*", "number", "Loss on test data, on final rows.", positive=True),
    Column("perplexity*", "number", "exp(loss) under the same convention.", positive=True),
    Column("bits_per_byte", "number", "Bits per byte of predicted text.", positive=True),
    Column("flops_*", "number", "Training FLOPs so far under the named convention.", positive=True),
    Column("flops", "number", "Training FLOPs, convention not stated.", positive=True),
    Column("num_parameters", "count", "All parameters.", positive=True),
    Column("num_parameters_*", "count", "Parameters, counted as named.", positive=True),
    Column("wall_time_s", "number", "Seconds of training so far.", positive=True),
    Column("score_*", "number", "Score of the named task."),
    Column("baseline_*", "number", "The same score of the untrained start."),
    Column("cost", "number", "Cost of a strategy, for cost-effectiveness."),
    Column("effect", "number", "Effect of a strategy, for cost-effectiveness."),
)


def describe(header: str) -> Column | None:
    """The schema's first entry for a header; None for a column that the table merely carries along."""
    return next((column for column in SCHEMA if column.covers(header)), None)
