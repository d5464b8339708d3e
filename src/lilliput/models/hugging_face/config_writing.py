"""The `config.json` that says what a `ModelConfig` says, in a layout of Hugging Face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from lilliput.architecture import ModelConfig, layout_defaults
from lilliput.models.hugging_face.names import Format
from lilliput.models.transformer import NetworkConfig

# Fields that every native `config.json` can say.
_ALWAYS_SAYABLE = {
    "max_position_embeddings",
    "layer_norm_eps",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "tie_word_embeddings",
}
# And those that one layout can; every other switch must stand where the layout has it.
_SAYABLE: dict[Format, set[str]] = {
    "roberta": {"type_vocab_size", "position_offset"},
    "roberta-prelayernorm": {"type_vocab_size", "position_offset", "norm_position"},
    "electra": {"type_vocab_size"},
    "modernbert": {"linear_bias", "norm_bias", "head_bias", "decoder_bias", "rope_theta"},
    "llama": {"linear_bias", "rope_theta"},
}
_MASKED = {
    "roberta": "Roberta",
    "roberta-prelayernorm": "RobertaPreLayerNorm",
    "electra": "Electra",
    "modernbert": "ModernBert",
    "llama": "Llama",
    "lilliput": "Lilliput",
}


def foreign_format(config: ModelConfig) -> Format:
    """The native Hugging Face layout that `config` fits exactly, or "lilliput" (by `auto_map`)."""
    layout = _nearest_format(config)
    defaults = layout_defaults(config.layout)
    departures = {name for name, value in defaults.items() if getattr(config, name) != value}
    if layout == "lilliput" or not departures <= _ALWAYS_SAYABLE | _SAYABLE[layout]:
        return "lilliput"
    return layout if _rows_fit(config, layout) else "lilliput"


def _nearest_format(config: ModelConfig) -> Format:
    if config.layout == "mini-bert":
        return "lilliput"
    if config.layout == "roberta" and config.norm_position == "pre":
        return "roberta-prelayernorm"
    return config.layout


def _rows_fit(config: ModelConfig, layout: Format) -> bool:
    """BERT's children cannot do without token types; RoBERTa counts positions from padding's id."""
    if layout in {"roberta", "roberta-prelayernorm"}:
        return config.position_offset == config.pad_token_id + 1 and config.type_vocab_size > 0
    return layout != "electra" or config.type_vocab_size > 0


def architecture_name(layout: Format, *, is_causal: bool, is_classifier: bool) -> str:
    """The class that loads the folder."""
    if is_classifier:
        return f"{_MASKED[layout]}ForSequenceClassification"
    return f"{_MASKED[layout]}For{'CausalLM' if is_causal else 'MaskedLM'}"


def to_foreign_config(config: ModelConfig, layout: Format) -> dict[str, Any]:
    """The architecture's part of `config.json`."""
    return {"model_type": layout, **_WRITERS[layout](config)}


_COMMON = {
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "max_position_embeddings",
    "tie_word_embeddings",
    "pad_token_id",
}


def _bert_fields(config: ModelConfig) -> dict[str, Any]:
    names = _COMMON | {"layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob"}
    return config.model_dump(include=names) | {
        "num_attention_heads": config.num_built_heads,
        "type_vocab_size": config.type_vocab_size,
        "hidden_act": "gelu",
    }


def _electra_fields(config: ModelConfig) -> dict[str, Any]:
    return _bert_fields(config) | {"embedding_size": config.embedding_size}


def _common_fields(config: ModelConfig) -> dict[str, Any]:
    return config.model_dump(include=_COMMON) | {
        "num_attention_heads": config.num_built_heads,
        "attention_bias": config.linear_bias,
        "mlp_bias": config.linear_bias,
        "attention_dropout": config.attention_probs_dropout_prob,
    }


def _modernbert_fields(config: ModelConfig) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": config.rope_theta}
    return _common_fields(config) | {
        "hidden_activation": "gelu",
        "norm_eps": config.layer_norm_eps,
        "norm_bias": config.norm_bias,
        "embedding_dropout": config.hidden_dropout_prob,
        "mlp_dropout": 0.0,
        "decoder_bias": config.decoder_bias,
        "classifier_bias": config.head_bias,
        "layer_types": ["full_attention"] * config.num_hidden_layers,
        "rope_parameters": {"full_attention": rope, "sliding_attention": rope},
    }


def _llama_fields(config: ModelConfig) -> dict[str, Any]:
    return _common_fields(config) | {
        "hidden_act": "silu",
        "num_key_value_heads": config.num_built_heads,
        "rms_norm_eps": config.layer_norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
    }


def _lilliput_fields(config: ModelConfig) -> dict[str, Any]:
    derived = {field.name: getattr(config, field.name) for field in fields(NetworkConfig)}
    return derived | config.model_dump(mode="json")


_WRITERS: dict[Format, Callable[[ModelConfig], dict[str, Any]]] = {
    "roberta": _bert_fields,
    "roberta-prelayernorm": _bert_fields,
    "electra": _electra_fields,
    "modernbert": _modernbert_fields,
    "llama": _llama_fields,
    "lilliput": _lilliput_fields,
}
