"""Read and write Llama, the causal layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lilliput.architecture import ModelConfig
from lilliput.core.errors import InputError
from lilliput.models.hugging_face.layouts.base import (
    ForeignLayout,
    read_sizes,
    register_layout,
    require_value,
    write_sizes,
)

_MODULES = {
    "embeddings.word": ("{base}.embed_tokens",),
    "layers.{}.qkv": tuple(
        f"{{base}}.layers.{{}}.self_attn.{part}_proj" for part in ("q", "k", "v")
    ),
    "layers.{}.attention_out": ("{base}.layers.{}.self_attn.o_proj",),
    "layers.{}.attention_norm": ("{base}.layers.{}.input_layernorm",),
    "layers.{}.up": ("{base}.layers.{}.mlp.gate_proj", "{base}.layers.{}.mlp.up_proj"),
    "layers.{}.down": ("{base}.layers.{}.mlp.down_proj",),
    "layers.{}.feed_forward_norm": ("{base}.layers.{}.post_attention_layernorm",),
    "final_norm": ("{base}.norm",),
    "decoder": ("lm_head",),
    "classifier.out": ("score",),
}


def _read(record: Mapping[str, Any]) -> ModelConfig:
    require_value(record, "hidden_act", "silu", "silu")
    sizes = read_sizes(record)
    heads, width = sizes["num_attention_heads"], sizes["hidden_size"]
    require_value(record, "num_key_value_heads", heads, heads)
    require_value(record, "head_dim", width // heads, width // heads)
    rope = record.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default" or record.get("rope_scaling"):
        raise InputError(
            "rotary positions must be unscaled to import a llama model",
            got=rope.get("rope_type") or record.get("rope_scaling"),
        )
    bias = record.get("attention_bias", False)
    require_value(record, "mlp_bias", bias, False)
    pad = record.get("pad_token_id")
    return ModelConfig.for_layout(
        "llama",
        **sizes,
        pad_token_id=1 if pad is None else pad,
        linear_bias=bias,
        rope_theta=rope.get("rope_theta", record.get("rope_theta", 10_000.0)),
        layer_norm_eps=record.get("rms_norm_eps", 1e-6),
        attention_probs_dropout_prob=record.get("attention_dropout", 0.0),
        tie_word_embeddings=record.get("tie_word_embeddings", False),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    return write_sizes(config) | {
        "attention_bias": config.linear_bias,
        "mlp_bias": config.linear_bias,
        "attention_dropout": config.attention_probs_dropout_prob,
        "hidden_act": "silu",
        "num_key_value_heads": config.num_built_heads,
        "rms_norm_eps": config.layer_norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
    }


LLAMA = register_layout(
    ForeignLayout(
        model_type="llama",
        native="llama",
        class_prefix="Llama",
        base="model",
        modules=_MODULES,
        read=_read,
        write=_write,
        says={"linear_bias", "rope_theta"},
        classifier_style="linear",
        classifier_poolings=("last",),
    )
)
