"""Parts that BERT's children share: names of tensors, and most of `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lilliput.architecture import ModelConfig
from lilliput.models.hugging_face.layouts.base import read_sizes, require_value, write_sizes

EMBEDDINGS = {
    "embeddings.word": ("{base}.embeddings.word_embeddings",),
    "embeddings.position": ("{base}.embeddings.position_embeddings",),
    "embeddings.token_type": ("{base}.embeddings.token_type_embeddings",),
    "embeddings.norm": ("{base}.embeddings.LayerNorm",),
}
LAYER = {
    "layers.{}.qkv": tuple(
        f"{{base}}.encoder.layer.{{}}.attention.self.{part}" for part in ("query", "key", "value")
    ),
    "layers.{}.attention_out": ("{base}.encoder.layer.{}.attention.output.dense",),
    "layers.{}.up": ("{base}.encoder.layer.{}.intermediate.dense",),
    "layers.{}.down": ("{base}.encoder.layer.{}.output.dense",),
}
POST_NORM = {
    "layers.{}.attention_norm": ("{base}.encoder.layer.{}.attention.output.LayerNorm",),
    "layers.{}.feed_forward_norm": ("{base}.encoder.layer.{}.output.LayerNorm",),
}
PRE_NORM = {
    "layers.{}.attention_norm": ("{base}.encoder.layer.{}.attention.LayerNorm",),
    "layers.{}.feed_forward_norm": ("{base}.encoder.layer.{}.intermediate.LayerNorm",),
    "final_norm": ("{base}.LayerNorm",),
}
CLASSIFIER = {
    "classifier.dense": ("classifier.dense",),
    "classifier.out": ("classifier.out_proj",),
}


def write_bert(config: ModelConfig) -> dict[str, Any]:
    """Return the fields that all of BERT's children write."""
    names = ("layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob")
    return write_sizes(config, *names) | {
        "type_vocab_size": config.type_vocab_size,
        "hidden_act": "gelu",
    }


def read_bert(
    record: Mapping[str, Any], layout: str, *, pad_token_id: int, **fields: Any
) -> ModelConfig:
    """Return the configuration of one of BERT's children, with the `fields` that it alone has."""
    require_value(record, "hidden_act", "gelu", "gelu")
    require_value(record, "position_embedding_type", "absolute", "absolute")
    return ModelConfig.for_layout(
        layout,
        **read_sizes(record),
        pad_token_id=pad_token_id,
        type_vocab_size=record.get("type_vocab_size", 2),
        layer_norm_eps=record.get("layer_norm_eps", 1e-12),
        hidden_dropout_prob=record.get("hidden_dropout_prob", 0.1),
        attention_probs_dropout_prob=record.get("attention_probs_dropout_prob", 0.1),
        tie_word_embeddings=record.get("tie_word_embeddings", True),
        **fields,
    )
