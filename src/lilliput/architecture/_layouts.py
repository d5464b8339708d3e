"""The table of layouts: the switches that each of them sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Layout = Literal["mini-bert", "roberta", "electra", "modernbert", "llama"]

# RoBERTa numbers positions from pad_token_id + 1, so its table is two rows longer than the text.
_ROBERTA: dict[str, Any] = {
    "max_position_embeddings": 130,
    "position_offset": 2,
    "type_vocab_size": 2,
    "embedding_norm": True,
    "projection": "none",
    "norm_type": "layer",
    "norm_position": "post",
    "skip_first_norm": False,
    "position_embedding_type": "learned",
    "hidden_act": "gelu",
    "linear_bias": True,
    "norm_bias": True,
    "head": "hidden",
    "head_bias": True,
    "decoder_bias": True,
    "tie_word_embeddings": True,
    "is_causal": False,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "layer_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
}

LAYOUT_DEFAULTS: dict[str, dict[str, Any]] = {
    "roberta": _ROBERTA,
    # arXiv 2305.17266: RoBERTa with embeddings of their own size and an untied decoder.
    "mini-bert": _ROBERTA | {"projection": "linear+norm", "tie_word_embeddings": False},
    # Factorised embeddings in the layout of Clark et al. 2020; the head returns to their size.
    "electra": _ROBERTA
    | {
        "max_position_embeddings": 128,
        "position_offset": 0,
        "projection": "linear",
        "head": "embedding",
        "layer_norm_eps": 1e-12,
    },
    # Warner et al. 2024, with attention over the whole (short) sequence in every layer.
    "modernbert": _ROBERTA
    | {
        "max_position_embeddings": 128,
        "position_offset": 0,
        "type_vocab_size": 0,
        "norm_position": "pre",
        "skip_first_norm": True,
        "position_embedding_type": "rotary",
        "hidden_act": "geglu",
        "linear_bias": False,
        "norm_bias": False,
        "head_bias": False,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    # Touvron et al. 2023; the causal family of arXiv 2404.02204.
    "llama": _ROBERTA
    | {
        "max_position_embeddings": 128,
        "position_offset": 0,
        "type_vocab_size": 0,
        "embedding_norm": False,
        "norm_type": "rms",
        "norm_position": "pre",
        "position_embedding_type": "rotary",
        "hidden_act": "swiglu",
        "linear_bias": False,
        "norm_bias": False,
        "head": "none",
        "head_bias": False,
        "decoder_bias": False,
        "tie_word_embeddings": False,
        "is_causal": True,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "layer_norm_eps": 1e-6,
    },
}


def layout_defaults(layout: Layout) -> Mapping[str, Any]:
    """Return the switches that `layout` sets, by the name of their field."""
    return LAYOUT_DEFAULTS[layout]
