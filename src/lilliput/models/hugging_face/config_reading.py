"""The `ModelConfig` that a Hugging Face `config.json` describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lilliput.architecture import ModelConfig
from lilliput.core.errors import InputError
from lilliput.models.hugging_face.names import Format


def from_foreign_config(record: Mapping[str, Any]) -> tuple[ModelConfig, Format]:
    """The configuration that a `config.json` describes, and its layout.

    Raises:
        InputError: The layout is unknown, or asks for what the transformer does not have.
    """
    layout: Any = record.get("model_type")
    if layout not in _READERS:
        raise InputError(
            f"model_type must be one of {', '.join(_READERS)}",
            got=repr(layout),
            remedy="Only these layouts can be imported.",
        )
    return _READERS[layout](record), layout


def _require(record: Mapping[str, Any], key: str, allowed: object, default: object) -> None:
    found = record.get(key, default)
    if found != allowed:
        raise InputError(
            f"{key} must be {allowed!r} to import a {record['model_type']} model", got=repr(found)
        )


def _shared(record: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_hidden_layers",
        "max_position_embeddings",
    )
    missing = [name for name in names if name not in record]
    if missing:
        raise InputError("config.json must give every size", got=f"no {missing[0]}")
    values = {name: record[name] for name in names}
    return values | {"embedding_size": record.get("embedding_size", record["hidden_size"])}


def _read_bert(record: Mapping[str, Any]) -> ModelConfig:
    layout = "electra" if record["model_type"] == "electra" else "roberta"
    _require(record, "hidden_act", "gelu", "gelu")
    _require(record, "position_embedding_type", "absolute", "absolute")
    is_pre = record["model_type"] == "roberta-prelayernorm"
    pad = record.get("pad_token_id", 0 if layout == "electra" else 1)
    return ModelConfig.for_layout(
        layout,
        **_shared(record),
        pad_token_id=pad,
        position_offset=0 if layout == "electra" else pad + 1,
        norm_position="pre" if is_pre else "post",
        type_vocab_size=record.get("type_vocab_size", 2),
        layer_norm_eps=record.get("layer_norm_eps", 1e-12),
        hidden_dropout_prob=record.get("hidden_dropout_prob", 0.1),
        attention_probs_dropout_prob=record.get("attention_probs_dropout_prob", 0.1),
        tie_word_embeddings=record.get("tie_word_embeddings", True),
    )


def _read_modernbert(record: Mapping[str, Any]) -> ModelConfig:
    _require(record, "hidden_activation", "gelu", "gelu")
    layers = record["num_hidden_layers"]
    period = record.get("global_attn_every_n_layers", 3)
    kinds = record.get("layer_types") or [
        "sliding_attention" if i % period else "full_attention" for i in range(layers)
    ]
    if set(kinds) != {"full_attention"}:
        raise InputError(
            "every layer must have full attention to import a modernbert model",
            got=f"{kinds.count('sliding_attention')} of {len(kinds)} with sliding attention",
        )
    rope = (record.get("rope_parameters") or {}).get("full_attention") or {}
    bias = record.get("attention_bias", False)
    _require(record, "mlp_bias", bias, False)
    return ModelConfig.for_layout(
        "modernbert",
        **_shared(record),
        pad_token_id=record.get("pad_token_id", 50283),
        linear_bias=bias,
        norm_bias=record.get("norm_bias", False),
        head_bias=record.get("classifier_bias", False),
        decoder_bias=record.get("decoder_bias", True),
        rope_theta=rope.get("rope_theta", record.get("global_rope_theta", 160_000.0)),
        layer_norm_eps=record.get("norm_eps", 1e-5),
        hidden_dropout_prob=record.get("embedding_dropout", 0.0),
        attention_probs_dropout_prob=record.get("attention_dropout", 0.0),
        tie_word_embeddings=record.get("tie_word_embeddings", True),
    )


def _read_llama(record: Mapping[str, Any]) -> ModelConfig:
    _require(record, "hidden_act", "silu", "silu")
    heads = record["num_attention_heads"]
    _require(record, "num_key_value_heads", heads, heads)
    _require(record, "head_dim", record["hidden_size"] // heads, record["hidden_size"] // heads)
    rope = record.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default" or record.get("rope_scaling"):
        raise InputError(
            "rotary positions must be unscaled to import a llama model",
            got=rope.get("rope_type") or record.get("rope_scaling"),
        )
    bias = record.get("attention_bias", False)
    _require(record, "mlp_bias", bias, False)
    pad = record.get("pad_token_id")
    return ModelConfig.for_layout(
        "llama",
        **_shared(record),
        pad_token_id=1 if pad is None else pad,
        linear_bias=bias,
        rope_theta=rope.get("rope_theta", record.get("rope_theta", 10_000.0)),
        layer_norm_eps=record.get("rms_norm_eps", 1e-6),
        attention_probs_dropout_prob=record.get("attention_dropout", 0.0),
        tie_word_embeddings=record.get("tie_word_embeddings", False),
    )


def _read_lilliput(record: Mapping[str, Any]) -> ModelConfig:
    names = [name for name in ModelConfig.model_fields if name in record and name != "layout"]
    return ModelConfig.for_layout(record["layout"], **{name: record[name] for name in names})


_READERS: dict[Any, Callable[[Mapping[str, Any]], ModelConfig]] = {
    "roberta": _read_bert,
    "roberta-prelayernorm": _read_bert,
    "electra": _read_bert,
    "modernbert": _read_modernbert,
    "llama": _read_llama,
    "lilliput": _read_lilliput,
}
