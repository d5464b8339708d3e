"""Build one transformer with switches, initialise it, and read and write Hugging Face folders.

`build_model` makes a `LanguageModel` from a `ModelConfig`; everything that trains or scores models
uses its four words: `encode`, `head_hidden`, `decoder_weight` (with `decoder_bias`) and `logits`.
`export_model` writes a folder that `transformers` loads by itself, and `load_hugging_face` reads one.
torch is loaded when one of them is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.core.lazy import lazy_attributes

if TYPE_CHECKING:
    from lilliput.models.attention import AttentionKernel
    from lilliput.models.build import LanguageModel, build_model, initialise
    from lilliput.models.classification import ClassificationHead, HeadStyle, Pooling, pool
    from lilliput.models.hugging_face.card import ModelCard
    from lilliput.models.hugging_face.export import (
        ExportedClassifier,
        export_model,
        native_head_style,
    )
    from lilliput.models.hugging_face.exported import Exported
    from lilliput.models.hugging_face.importing import load_hugging_face
    from lilliput.models.transformer import Transformer

_HOMES = {
    "LanguageModel": "build",
    "build_model": "build",
    "initialise": "build",
    "ClassificationHead": "classification",
    "HeadStyle": "classification",
    "Pooling": "classification",
    "pool": "classification",
    "ModelCard": "hugging_face.card",
    "ExportedClassifier": "hugging_face.export",
    "Exported": "hugging_face.exported",
    "export_model": "hugging_face.export",
    "native_head_style": "hugging_face.export",
    "load_hugging_face": "hugging_face.importing",
    "AttentionKernel": "attention",
    "Transformer": "transformer",
}

__all__ = [
    "AttentionKernel",
    "ClassificationHead",
    "Exported",
    "ExportedClassifier",
    "HeadStyle",
    "LanguageModel",
    "ModelCard",
    "Pooling",
    "Transformer",
    "build_model",
    "export_model",
    "initialise",
    "load_hugging_face",
    "native_head_style",
    "pool",
]

__getattr__ = lazy_attributes(__name__, {}, with_torch=_HOMES)
