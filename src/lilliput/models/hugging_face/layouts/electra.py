"""ELECTRA's generator: BERT with embeddings of a width of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lilliput.architecture import ModelConfig
from lilliput.models.hugging_face.layouts.base import ForeignLayout, register_layout
from lilliput.models.hugging_face.layouts.bert import (
    CLASSIFIER,
    EMBEDDINGS,
    LAYER,
    POST_NORM,
    read_bert,
    write_bert,
)

_MODULES = {
    **EMBEDDINGS,
    **LAYER,
    **POST_NORM,
    "projection": ("{base}.embeddings_project",),
    "head.dense": ("generator_predictions.dense",),
    "head.norm": ("generator_predictions.LayerNorm",),
    "decoder": ("generator_lm_head",),
    **CLASSIFIER,
}


def _read(record: Mapping[str, Any]) -> ModelConfig:
    pad = record.get("pad_token_id", 0)
    return read_bert(record, "electra", pad_token_id=pad, position_offset=0, norm_position="post")


def _write(config: ModelConfig) -> dict[str, Any]:
    return write_bert(config) | {"embedding_size": config.embedding_size}


def _has_token_types(config: ModelConfig) -> bool:
    return config.type_vocab_size > 0


ELECTRA = register_layout(
    ForeignLayout(
        model_type="electra",
        native="electra",
        class_prefix="Electra",
        base="electra",
        modules=_MODULES,
        read=_read,
        write=_write,
        says={"type_vocab_size"},
        fits=_has_token_types,
        classifier_style="gelu",
    )
)
