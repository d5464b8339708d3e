"""What our tensors are called in Hugging Face's layouts, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Format = Literal["roberta", "roberta-prelayernorm", "electra", "modernbert", "llama", "lilliput"]

# Native module to foreign modules; several stand for equal parts stacked along the first axis.
# A `{}` is the number of the layer.
_BERT_EMBEDDINGS = {
    "embeddings.word": ("{base}.embeddings.word_embeddings",),
    "embeddings.position": ("{base}.embeddings.position_embeddings",),
    "embeddings.token_type": ("{base}.embeddings.token_type_embeddings",),
    "embeddings.norm": ("{base}.embeddings.LayerNorm",),
}
_BERT_LAYER = {
    "layers.{}.qkv": tuple(
        f"{{base}}.encoder.layer.{{}}.attention.self.{part}" for part in ("query", "key", "value")
    ),
    "layers.{}.attention_out": ("{base}.encoder.layer.{}.attention.output.dense",),
    "layers.{}.up": ("{base}.encoder.layer.{}.intermediate.dense",),
    "layers.{}.down": ("{base}.encoder.layer.{}.output.dense",),
}
_BERT_POST_NORM = {
    "layers.{}.attention_norm": ("{base}.encoder.layer.{}.attention.output.LayerNorm",),
    "layers.{}.feed_forward_norm": ("{base}.encoder.layer.{}.output.LayerNorm",),
}
_BERT_PRE_NORM = {
    "layers.{}.attention_norm": ("{base}.encoder.layer.{}.attention.LayerNorm",),
    "layers.{}.feed_forward_norm": ("{base}.encoder.layer.{}.intermediate.LayerNorm",),
    "final_norm": ("{base}.LayerNorm",),
}
_ROBERTA_HEAD = {
    "head.dense": ("lm_head.dense",),
    "head.norm": ("lm_head.layer_norm",),
    "decoder": ("lm_head.decoder",),
}
_ROBERTA_CLASSIFIER = {
    "classifier.dense": ("classifier.dense",),
    "classifier.out": ("classifier.out_proj",),
}

_MODULES: dict[str, dict[str, tuple[str, ...]]] = {
    "roberta": _BERT_EMBEDDINGS
    | _BERT_LAYER
    | _BERT_POST_NORM
    | _ROBERTA_HEAD
    | _ROBERTA_CLASSIFIER,
    "roberta-prelayernorm": _BERT_EMBEDDINGS
    | _BERT_LAYER
    | _BERT_PRE_NORM
    | _ROBERTA_HEAD
    | _ROBERTA_CLASSIFIER,
    "electra": _BERT_EMBEDDINGS
    | _BERT_LAYER
    | _BERT_POST_NORM
    | {
        "projection": ("{base}.embeddings_project",),
        "head.dense": ("generator_predictions.dense",),
        "head.norm": ("generator_predictions.LayerNorm",),
        "decoder": ("generator_lm_head",),
    }
    | _ROBERTA_CLASSIFIER,
    "modernbert": {
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
    },
    "llama": {
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
    },
}
_BASE = {
    "roberta": "roberta",
    "roberta-prelayernorm": "roberta_prelayernorm",
    "electra": "electra",
    "modernbert": "model",
    "llama": "model",
}
# RoBERTa keeps the bias of its decoder twice; where the two are not tied, the first is the one used.
_DECODER_BIAS = {
    "roberta": ("lm_head.decoder.bias", "lm_head.bias"),
    "roberta-prelayernorm": ("lm_head.decoder.bias", "lm_head.bias"),
}


def foreign_names(name: str, layout: Format) -> tuple[str, ...]:
    """The tensors of `layout` that together hold the native tensor `name`.

    Several names are equal parts stacked along the first axis, except for the decoder's bias, where
    they are copies.
    """
    if layout == "lilliput":
        return (name if name.startswith("classifier.") else f"transformer.{name}",)
    if name == "decoder_bias" and layout in _DECODER_BIAS:
        return _DECODER_BIAS[layout]
    module, _, parameter = _as_module_parameter(name).rpartition(".")
    parts = module.split(".")
    number = parts[1] if parts[0] == "layers" else ""
    template = ".".join(["layers", "{}", *parts[2:]]) if number else module
    modules = _MODULES[layout][template]
    return tuple(f"{m.format(number, base=_BASE[layout])}.{parameter}" for m in modules)


def _as_module_parameter(name: str) -> str:
    return {"decoder": "decoder.weight", "decoder_bias": "decoder.bias"}.get(name, name)


def to_foreign(state: Mapping[str, Tensor], layout: Format) -> dict[str, Tensor]:
    """The tensors of `state` under the names of `layout`, split where it keeps them apart."""
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        names = foreign_names(name, layout)
        copies = name == "decoder_bias"
        parts = (tensor,) * len(names) if copies else tensor.chunk(len(names))
        for foreign, part in zip(names, parts, strict=True):
            result[foreign] = part.detach().clone(memory_format=torch.contiguous_format)
    return result


def from_foreign(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], layout: Format
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Tensors for the native names of `wanted`, taken from `found`.

    Returns:
        The tensors; the foreign names that are missing; the foreign names that nobody asked for.
    """
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    unused = set(found)
    for name in wanted:
        names = foreign_names(name, layout)
        unused.difference_update(names)
        if name == "decoder_bias":
            names = tuple(n for n in names if n in found)[:1] or names[:1]
        if absent := [n for n in names if n not in found]:
            missing += absent
        else:
            state[name] = torch.cat([found[n] for n in names])
    return state, missing, sorted(unused)
