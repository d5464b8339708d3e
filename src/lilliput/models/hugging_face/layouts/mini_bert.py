"""The layout "lilliput", our own: it can express every configuration, and is the only one for `mini-bert`.

Its folders bring the code of the model along, which `transformers` loads by `auto_map`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lilliput.architecture import ModelConfig
from lilliput.models.hugging_face.layouts.base import OWN_TYPE, ForeignLayout, register_layout

if TYPE_CHECKING:
    from lilliput.models.classification import HeadStyle, Pooling


def _read(record: Mapping[str, Any]) -> ModelConfig:
    names = [name for name in ModelConfig.model_fields if name in record and name != "layout"]
    return ModelConfig.for_layout(record["layout"], **{name: record[name] for name in names})


def _write(config: ModelConfig) -> dict[str, Any]:
    from lilliput.models.transformer import NetworkConfig

    derived = {one.name: getattr(config, one.name) for one in fields(NetworkConfig)}
    return derived | config.model_dump(mode="json")


def _classifier_fields(style: HeadStyle, pooling: Pooling) -> dict[str, Any]:
    del pooling
    return {"classifier_style": style}


def _auto_map(config: ModelConfig) -> dict[str, str]:
    kind = "CausalLM" if config.is_causal else "MaskedLM"
    classes = {
        "AutoConfig": "LilliputConfig",
        "AutoModel": "LilliputModel",
        f"AutoModelFor{kind}": f"LilliputFor{kind}",
        "AutoModelForSequenceClassification": "LilliputForSequenceClassification",
    }
    return {auto: f"modeling_lilliput.{name}" for auto, name in classes.items()}


MINI_BERT = register_layout(
    ForeignLayout(
        model_type=OWN_TYPE,
        native="mini-bert",
        class_prefix="Lilliput",
        base="transformer",
        modules={},
        read=_read,
        write=_write,
        classifier_fields=_classifier_fields,
        code=("modeling_lilliput.py", "transformer.py", "attention.py", "classification.py"),
        auto_map=_auto_map,
    )
)
