"""Read and write RoBERTa, with norms behind each block or, as `roberta-prelayernorm`, before it."""

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
    PRE_NORM,
    read_bert,
    write_bert,
)

_HEAD = {
    "head.dense": ("lm_head.dense",),
    "head.norm": ("lm_head.layer_norm",),
    "decoder": ("lm_head.decoder",),
}


def _read(record: Mapping[str, Any]) -> ModelConfig:
    is_pre = record["model_type"] == "roberta-prelayernorm"
    pad = record.get("pad_token_id", 1)
    return read_bert(
        record,
        "roberta",
        pad_token_id=pad,
        position_offset=pad + 1,
        norm_position="pre" if is_pre else "post",
    )


def _rows_fit(config: ModelConfig) -> bool:
    # It counts positions from the id of padding, and cannot do without token types.
    return config.position_offset == config.pad_token_id + 1 and config.type_vocab_size > 0


def _rows_fit_and_norms_come_first(config: ModelConfig) -> bool:
    return _rows_fit(config) and config.norm_position == "pre"


# It keeps the bias of its decoder twice; where the two are not tied, the first is the one used.
_DECODER_BIAS = ("lm_head.decoder.bias", "lm_head.bias")

ROBERTA = register_layout(
    ForeignLayout(
        model_type="roberta",
        native="roberta",
        class_prefix="Roberta",
        base="roberta",
        modules=EMBEDDINGS | LAYER | POST_NORM | _HEAD | CLASSIFIER,
        read=_read,
        write=write_bert,
        says={"type_vocab_size", "position_offset"},
        fits=_rows_fit,
        decoder_bias=_DECODER_BIAS,
    )
)
ROBERTA_PRE_NORM = register_layout(
    ForeignLayout(
        model_type="roberta-prelayernorm",
        native="roberta",
        class_prefix="RobertaPreLayerNorm",
        base="roberta_prelayernorm",
        modules=EMBEDDINGS | LAYER | PRE_NORM | _HEAD | CLASSIFIER,
        read=_read,
        write=write_bert,
        says={"type_vocab_size", "position_offset", "norm_position"},
        fits=_rows_fit_and_norms_come_first,
        decoder_bias=_DECODER_BIAS,
    )
)
