"""Memory that a forward pass keeps for its way back."""

from __future__ import annotations

from lilliput.architecture.config import ModelConfig


def activation_floats(config: ModelConfig, seq_length: int) -> int:
    """Return floats that are kept of each position, about; logits are not among them.

    Of each layer about twelve vectors of the hidden width, two of the inner one, and a row of attention
    weights a head.
    """
    layer = (
        12 * config.hidden_size + 2 * config.intermediate_size + config.num_built_heads * seq_length
    )
    return 4 * config.embedding_size + config.num_hidden_layers * layer
