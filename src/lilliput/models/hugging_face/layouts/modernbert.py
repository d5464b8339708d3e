"""Read and write ModernBERT, with attention over the whole sequence in every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lilliput.architecture import ModelConfig
from lilliput.core.errors import InputError
from lilliput.models.hugging_face.layouts.base import (
    ForeignLayout,
    read_sizes,
    register_layout,
    require_value,
    write_sizes,
)

if TYPE_CHECKING:
    from lilliput.models.classification import HeadStyle, Pooling

_MODULES = {
    "embeddings.word": ("{base}.embeddings.tok_embeddings",),
    "embeddings.norm": ("{base}.embeddings.norm",),
    "layers.{}.qkv": ("{base}.layers.{}.attn.Wqkv",),
    "layers.{}.attention_out": ("{base}.layers.{}.attn.Wo",),
    "layers.{}.attention_norm": ("{base}.layers.{}.attn_norm",),
    "layers.{}.up": ("{base}.layers.{}.mlp.Wi",),
    "layers.{}.down": ("{base}.layers.{}.mlp.Wo",),
    "layers.{}.feed_forward_norm": ("{base}.layers.{}.mlp_norm",),
    "final_norm": ("{base}.final_norm",),
    "head.dense": ("head.dense",),
    "head.norm": ("head.norm",),
    "decoder": ("decoder",),
    "classifier.dense": ("head.dense",),
    "classifier.norm": ("head.norm",),
    "classifier.out": ("classifier",),
}


def _read(record: Mapping[str, Any]) -> ModelConfig:
    require_value(record, "hidden_activation", "gelu", "gelu")
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
    require_value(record, "mlp_bias", bias, False)
    return ModelConfig.for_layout(
        "modernbert",
        **read_sizes(record),
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


def _write(config: ModelConfig) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": config.rope_theta}
    return write_sizes(config) | {
        "attention_bias": config.linear_bias,
        "mlp_bias": config.linear_bias,
        "attention_dropout": config.attention_probs_dropout_prob,
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


def _classifier_fields(style: HeadStyle, pooling: Pooling) -> dict[str, Any]:
    del style
    return {"classifier_pooling": "cls" if pooling == "first" else "mean"}


MODERNBERT = register_layout(
    ForeignLayout(
        model_type="modernbert",
        native="modernbert",
        class_prefix="ModernBert",
        base="model",
        modules=_MODULES,
        read=_read,
        write=_write,
        says={"linear_bias", "norm_bias", "head_bias", "decoder_bias", "rope_theta"},
        classifier_style="gelu+norm",
        classifier_poolings=("first", "mean"),
        classifier_fields=_classifier_fields,
    )
)
