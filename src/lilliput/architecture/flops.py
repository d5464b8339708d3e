"""The cost of training in floating-point operations, under each convention in use.

A multiply-add counts as two operations and a backward pass as two forward passes. The letters are
those of the papers: s sequence length, V vocabulary, E, H, I widths, A heads, L layers. The formulas
and what each does to a scaling law stand in `docs/flops.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lilliput.architecture.config import ModelConfig
from lilliput.architecture.parameters import count_parameters
from lilliput.core.errors import ConfigurationError

_FORWARD_AND_BACKWARD = 3
_MASKED_SHARE = 0.15


@dataclass(frozen=True)
class Workload:
    """Hold what a training run reads.

    Attributes:
        sequences: Number of sequences.
        seq_length: Length to which the published conventions pad every sequence.
        tokens: Real tokens, without padding.
        squared_lengths: Sum of the squared real lengths, which attention pays for.
        predicted: Tokens at which the vocabulary head is evaluated by `flops_executed_masked`.
    """

    sequences: float
    seq_length: int
    tokens: float
    squared_lengths: float
    predicted: float

    @property
    def positions(self) -> float:
        """Return positions after padding."""
        return self.sequences * self.seq_length

    @classmethod
    def of(
        cls,
        *,
        seq_length: int,
        predicted_share: float,
        sequences: float | None = None,
        tokens: float | None = None,
        squared_lengths: float | None = None,
        predicted_tokens: float | None = None,
    ) -> Workload:
        """Return a workload whose unknown counts follow from the known ones.

        Raises:
            ConfigurationError: Neither `sequences` nor `tokens` is given, or a count is negative.
        """
        _check_counts(seq_length, sequences, tokens)
        if tokens is None:
            assert sequences is not None
            tokens = sequences * seq_length
        if sequences is None:
            sequences = tokens / seq_length
        if squared_lengths is None:
            squared_lengths = tokens**2 / sequences if sequences else 0.0
        if predicted_tokens is None:
            predicted_tokens = tokens * predicted_share
        return cls(sequences, seq_length, tokens, squared_lengths, predicted_tokens)


@dataclass(frozen=True)
class Convention:
    """Hold one way to count training FLOPs.

    Attributes:
        name: Of the column.
        label: In a few words, for an axis or a table.
        meaning: What it counts, in one line; docs/flops.md has the formulas.
        count: Training FLOPs of a model on a workload.
    """

    name: str
    label: str
    meaning: str
    count: Callable[[ModelConfig, Workload], float]


def _check_counts(seq_length: int, sequences: float | None, tokens: float | None) -> None:
    if sequences is None and tokens is None:
        raise ConfigurationError("training_flops needs sequences or tokens", got="neither")
    if seq_length <= 0:
        raise ConfigurationError("seq_length must be positive", got=seq_length)
    for name, count in (("sequences", sequences), ("tokens", tokens)):
        if count is not None and count < 0:
            raise ConfigurationError(f"{name} must not be negative", got=count)


def training_flops(
    config: ModelConfig,
    *,
    seq_length: int,
    sequences: float | None = None,
    tokens: float | None = None,
    squared_lengths: float | None = None,
    predicted_share: float | None = None,
    predicted_tokens: float | None = None,
) -> dict[str, float]:
    """Return training FLOPs of a run under every convention, evaluation excluded.

    Args:
        config: The model.
        seq_length: Length to which the published conventions pad.
        sequences: Sequences read; by default `tokens / seq_length`.
        tokens: Real tokens read; by default `sequences * seq_length`.
        squared_lengths: Sum of squared real lengths; by default that of equal lengths.
        predicted_share: Share of tokens predicted; by default 1 for a causal model and 0.15 for the others.
        predicted_tokens: Tokens predicted, where known exactly.

    Returns:
        One value per name of `FLOPS_CONVENTIONS`.

    Raises:
        ConfigurationError: Neither `sequences` nor `tokens` is given, or a count is negative.
    """
    if predicted_share is None:
        predicted_share = 1.0 if config.is_causal else _MASKED_SHARE
    work = Workload.of(
        seq_length=seq_length,
        predicted_share=predicted_share,
        sequences=sequences,
        tokens=tokens,
        squared_lengths=squared_lengths,
        predicted_tokens=predicted_tokens,
    )
    return flops_of_workload(config, work)


def flops_of_workload(config: ModelConfig, work: Workload) -> dict[str, float]:
    """Return the FLOPs of training `config` on `work`: one value per name of `FLOPS_CONVENTIONS`."""
    return {name: one.count(config, work) for name, one in FLOPS_CONVENTIONS.items()}


def reference(config: ModelConfig, work: Workload) -> float:
    """Return the formula of the authors of arXiv 2305.17266, over padded positions.

    It counts a one-hot product for the embedding, which nobody executes, and logits everywhere; it
    leaves out the product of attention and values, the output projection and the head's dense layer.
    """
    s, a = work.seq_length, config.num_attention_heads
    e, h, i = config.embedding_size, config.hidden_size, config.intermediate_size
    layer = 6 * s * h**2 + 2 * s**2 * h + 3 * a * s**2 + 4 * s * h * i
    embedding = 2 * s * config.vocab_size * e + 2 * s * e * h
    logits = 2 * s * h * config.vocab_size
    forward = embedding + config.num_hidden_layers * layer + logits
    return float(_FORWARD_AND_BACKWARD * forward * work.sequences)


def hoffmann(config: ModelConfig, work: Workload) -> float:
    """Return `reference` with the two missing products of each layer (arXiv 2203.15556, appendix F)."""
    s, h = work.seq_length, config.hidden_size
    missing = config.num_hidden_layers * (2 * s**2 * h + 2 * s * h**2)
    return reference(config, work) + float(_FORWARD_AND_BACKWARD * missing * work.sequences)


def executed_full(config: ModelConfig, work: Workload) -> float:
    """Return operations executed on real tokens, with the vocabulary head at all of them."""
    return _FORWARD_AND_BACKWARD * (
        trunk_forward(config, work) + work.tokens * head_forward_per_token(config)
    )


def executed_masked(config: ModelConfig, work: Workload) -> float:
    """Return operations executed on real tokens, with the vocabulary head at the predicted ones only."""
    return _FORWARD_AND_BACKWARD * (
        trunk_forward(config, work) + work.predicted * head_forward_per_token(config)
    )


def kaplan_6n(config: ModelConfig, work: Workload) -> float:
    """Return 6 N per real token, N without embeddings and without the decoder matrix (arXiv 2001.08361)."""
    return 6.0 * count_parameters(config).non_vocabulary * work.tokens


def kaplan_6n_decoder(config: ModelConfig, work: Workload) -> float:
    """Return 6 N per padded position, N without embeddings but with an untied decoder: the authors' count."""
    return 6.0 * count_parameters(config).non_embedding * work.positions


def trunk_forward(config: ModelConfig, work: Workload) -> float:
    """Return FLOPs of one forward pass from embeddings to the last hidden states; gathering embeddings is free."""
    return work.tokens * _per_token(config) + work.squared_lengths * _per_pair(config)


def head_forward_per_token(config: ModelConfig) -> float:
    """Return FLOPs of one forward pass of head and decoder for one token."""
    width = config.decoder_size
    dense = 0 if config.head == "none" else 2 * config.hidden_size * width
    return float(dense + 2 * width * config.vocab_size)


def softmax_forward(config: ModelConfig, work: Workload) -> float:
    """Return the part of `trunk_forward` that is the softmax: three operations a weight."""
    return work.squared_lengths * 3 * config.num_built_heads * config.num_hidden_layers


def fine_tuning_flops(config: ModelConfig, *, tokens: float, squared_lengths: float) -> float:
    """Return executed FLOPs of training the trunk on `tokens` real tokens with a negligible head."""
    work = Workload(0.0, 0, tokens, squared_lengths, 0.0)
    return _FORWARD_AND_BACKWARD * trunk_forward(config, work)


def _per_token(config: ModelConfig) -> int:
    h, i = config.hidden_size, config.intermediate_size
    projection = 2 * config.embedding_size * h if config.has_projection else 0
    feed_forward = (6 if config.is_gated else 4) * h * i
    return projection + config.num_hidden_layers * (8 * h**2 + feed_forward)


def _per_pair(config: ModelConfig) -> int:
    products = 4 * config.hidden_size
    return config.num_hidden_layers * (products + 3 * config.num_built_heads)


FLOPS_CONVENTIONS: dict[str, Convention] = {
    one.name: one
    for one in (
        Convention(
            "flops_reference",
            "the paper's formula",
            "the formula of the paper's authors: padding and output scores at every position count, some products do not",
            reference,
        ),
        Convention(
            "flops_hoffmann",
            "Hoffmann et al., all terms",
            "the authors' formula with the two products of each layer that it leaves out",
            hoffmann,
        ),
        Convention(
            "flops_executed_full",
            "executed, output layer at every token",
            "what a plain program executes: real tokens, output scores at every position",
            executed_full,
        ),
        Convention(
            "flops_executed_masked",
            "executed, output layer at predicted tokens",
            "what is executed here: real tokens, output scores (logits) at the predicted tokens alone",
            executed_masked,
        ),
        Convention(
            "flops_kaplan_6n",
            "6ND without embeddings",
            "6 operations a parameter and token, without embeddings and output matrix",
            kaplan_6n,
        ),
        Convention(
            "flops_kaplan_6n_decoder",
            "6ND with the output matrix",
            "6 operations a parameter and position, with the output matrix",
            kaplan_6n_decoder,
        ),
    )
}
