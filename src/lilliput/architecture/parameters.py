"""The number of parameters of a configuration, and of the floats that a forward pass keeps, by formula."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lilliput.architecture.config import ModelConfig


@dataclass(frozen=True)
class ParameterCount:
    """Hold the parameters of a model by part; a tied matrix counts once, as embedding.

    Attributes:
        embedding: Word, position and token-type tables and their norm.
        projection: From embedding width to hidden width.
        layers: All layers, and the final norm where there is one.
        head: Dense layer and norm before the decoder, and the decoder's bias.
        decoder: The untied decoder matrix; 0 when tied.
    """

    embedding: int
    projection: int
    layers: int
    head: int
    decoder: int

    @property
    def total(self) -> int:
        """Return every parameter: `num_parameters`."""
        return self.embedding + self.projection + self.layers + self.head + self.decoder

    @property
    def non_embedding(self) -> int:
        """Return all but the embedding block, an untied decoder included: `num_parameters_non_embedding`."""
        return self.total - self.embedding

    @property
    def non_vocabulary(self) -> int:
        """Return all but the embedding block and the decoder matrix."""
        return self.non_embedding - self.decoder

    def as_record(self) -> dict[str, int]:
        """Return parts and sums as plain data."""
        return asdict(self) | {
            "total": self.total,
            "non_embedding": self.non_embedding,
            "non_vocabulary": self.non_vocabulary,
        }


def count_parameters(config: ModelConfig) -> ParameterCount:
    """Return parameters of the model that `config` describes, without building it.

    Source: read off the layouts; equals the 42 counts of the runs of arXiv 2305.17266.
    """
    decoder = 0 if config.tie_word_embeddings else config.vocab_size * config.decoder_size
    return ParameterCount(
        embedding=_embedding(config),
        projection=_projection(config),
        layers=_layers(config),
        head=_head(config),
        decoder=decoder,
    )


def _norm(config: ModelConfig, width: int) -> int:
    has_bias = config.norm_bias and config.norm_type == "layer"
    return width * (1 + has_bias)


def _linear(inputs: int, outputs: int, bias: bool) -> int:
    return inputs * outputs + outputs * bias


def _embedding(config: ModelConfig) -> int:
    positions = config.max_position_embeddings * (config.position_embedding_type == "learned")
    rows = config.vocab_size + positions + config.type_vocab_size
    norm = _norm(config, config.embedding_size) if config.embedding_norm else 0
    return rows * config.embedding_size + norm


def _projection(config: ModelConfig) -> int:
    if not config.has_projection:
        return 0
    norm = _norm(config, config.hidden_size) if config.projection == "linear+norm" else 0
    return _linear(config.embedding_size, config.hidden_size, bias=True) + norm


def _layers(config: ModelConfig) -> int:
    hidden, inner, bias = config.hidden_size, config.intermediate_size, config.linear_bias
    attention = 4 * _linear(hidden, hidden, bias)
    up = _linear(hidden, inner * (1 + config.is_gated), bias)
    layer = attention + up + _linear(inner, hidden, bias) + 2 * _norm(config, hidden)
    count = config.num_hidden_layers * layer
    if config.norm_position == "pre":
        count += _norm(config, hidden) * (1 - config.skip_first_norm)
    return count


def _head(config: ModelConfig) -> int:
    bias = config.vocab_size if config.decoder_bias else 0
    if config.head == "none":
        return bias
    width = config.decoder_size
    dense = _linear(config.hidden_size, width, config.head_bias)
    return dense + _norm(config, width) + bias


def activation_floats(config: ModelConfig, seq_length: int) -> int:
    """Return about how many floats a forward pass keeps of each position for its way back, without logits.

    Of each layer about twelve vectors of the hidden width, two of the inner one, and a row of attention
    weights a head.
    """
    layer = (
        12 * config.hidden_size + 2 * config.intermediate_size + config.num_built_heads * seq_length
    )
    return 4 * config.embedding_size + config.num_hidden_layers * layer
