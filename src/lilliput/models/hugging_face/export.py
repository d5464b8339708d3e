"""Write folders that Hugging Face's `AutoModel…` classes load by themselves."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import xxhash
from torch import Tensor

from lilliput.architecture import ModelConfig
from lilliput.core.artefacts import ArtefactBuild, artefact_id, building, folder_holds, is_artefact
from lilliput.core.files import atomic_path, write_json, write_text
from lilliput.core.hashing import content_id
from lilliput.models.build import LanguageModel
from lilliput.models.classification import ClassificationHead, HeadStyle, Pooling
from lilliput.models.hugging_face.card import ModelCard, render_card
from lilliput.models.hugging_face.exported import Exported
from lilliput.models.hugging_face.layouts.base import (
    OWN_TYPE,
    ForeignLayout,
    foreign_layout,
    layout_of_type,
)
from lilliput.models.hugging_face.names import to_foreign
from lilliput.models.hugging_face.tokenizer_files import (
    check_vocabulary,
    special_ids,
    tokenizer_records,
)

KIND, SCHEMA = "export", 1


@dataclass(frozen=True)
class ExportedClassifier:
    """Hold a classification head with what it needs to be used.

    Attributes:
        head: The trained head.
        pooling: How hidden states became its input.
        labels: Names of the labels, in the order of the scores; one name for regression.
    """

    head: ClassificationHead
    pooling: Pooling
    labels: Sequence[str]


def native_head_style(config: ModelConfig) -> HeadStyle:
    """Return the classification head that the layout of `config` has in Hugging Face."""
    return foreign_layout(config).classifier_style


def export_model(
    model: LanguageModel,
    to: Path,
    *,
    tokenizer: Path | None = None,
    classifier: ExportedClassifier | None = None,
    card: ModelCard | None = None,
    inputs: Mapping[str, str] | None = None,
    normalizer: Mapping[str, Any] | None = None,
) -> Exported:
    """Write `model` as a folder for `AutoModelForMaskedLM` and its siblings.

    The folder is an artefact: repeating the call is free, and `lilliput verify` rechecks its files.

    Args:
        model: The model; its weights are stored in float32 as they are.
        to: The folder; empty, absent, or this very export.
        tokenizer: Folder of the tokenizer to copy in.
        classifier: Export for `AutoModelForSequenceClassification` instead.
        card: What the model card says beyond the architecture.
        inputs: Names and ids of the artefacts this came from.
        normalizer: What the exported tokenizer does to a text first, in place of its own steps, where
            the corpus says more than the tokenizer knows.

    Raises:
        OccupiedFolderError: `to` holds something else.
        InputError: The tokenizer's folder holds none, or one with more ids than the model.
    """
    files = tokenizer_records(
        tokenizer,
        model.config,
        normalizer=normalizer,
        writes_on=model.config.is_causal and classifier is None,
    )
    check_vocabulary(tokenizer, model.config)
    layout = _layout_for(model.config, classifier)
    weights = _weights(model, classifier, layout)
    record = _config_record(model.config, layout, classifier, tokenizer)
    settings = {
        "config": record,
        "weights": _weights_hash(weights),
        "card": asdict(card) if card else None,
        "tokenizer": {name: content_id(content) for name, content in files.items()},
    }
    inputs = dict(inputs or {})
    identity = artefact_id(KIND, SCHEMA, settings, inputs)
    if not (is_artefact(to) and folder_holds(to) == identity):
        with building(to, KIND, SCHEMA, settings, inputs) as build:
            _write_weights(build.path("model.safetensors"), weights)
            write_json(build.path("config.json"), record)
            for name, content in files.items():
                write_json(build.path(name), content)
            _copy_code(build, layout)
            write_text(build.path("README.md"), render_card(model.config, record, card))
            build.facts.update(layout=layout.model_type, repo_type="model")
    return Exported(to, layout.model_type)


def _layout_for(config: ModelConfig, classifier: ExportedClassifier | None) -> ForeignLayout:
    layout = foreign_layout(config)
    if classifier is None:
        return layout
    is_its_own = (
        classifier.head.style == layout.classifier_style
        and classifier.pooling in layout.classifier_poolings
    )
    return layout if is_its_own else layout_of_type(OWN_TYPE)


def _weights(
    model: LanguageModel, classifier: ExportedClassifier | None, layout: ForeignLayout
) -> dict[str, Tensor]:
    state: dict[str, Tensor] = dict(model.state_dict())
    if classifier is not None:
        state = {k: v for k, v in state.items() if not k.startswith(("head.", "decoder"))}
        head = classifier.head.state_dict()
        state |= {f"classifier.{name}": tensor for name, tensor in head.items()}
    return to_foreign({name: tensor.float().cpu() for name, tensor in state.items()}, layout)


def _weights_hash(weights: Mapping[str, Tensor]) -> str:
    state = xxhash.xxh3_128()
    for name in sorted(weights):
        state.update(name.encode("utf-8"))
        state.update(weights[name].numpy().tobytes())
    return state.hexdigest()


def _config_record(
    config: ModelConfig,
    layout: ForeignLayout,
    classifier: ExportedClassifier | None,
    tokenizer: Path | None,
) -> dict[str, Any]:
    name = layout.architecture_name(
        is_causal=config.is_causal, is_classifier=classifier is not None
    )
    record = layout.to_config(config) | {"architectures": [name], "dtype": "float32"}
    record |= special_ids(tokenizer)
    if layout.auto_map is not None:
        record["auto_map"] = layout.auto_map(config)
    return record | _classifier_fields(classifier, layout)


def _classifier_fields(
    classifier: ExportedClassifier | None, layout: ForeignLayout
) -> dict[str, Any]:
    if classifier is None:
        return {}
    labels = list(classifier.labels)
    record: dict[str, Any] = {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": "regression" if len(labels) == 1 else "single_label_classification",
        "classifier_dropout": classifier.head.dropout_prob,
        "classifier_pooling": classifier.pooling,
    }
    return record | layout.classifier_fields(classifier.head.style, classifier.pooling)


def _copy_code(build: ArtefactBuild, layout: ForeignLayout) -> None:
    package = importlib.resources.files("lilliput.models")
    for name in layout.code:
        write_text(build.path(name), package.joinpath(name).read_text(encoding="utf-8"))


def _write_weights(path: Path, weights: dict[str, Tensor]) -> None:
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(weights, temporary, metadata={"format": "pt"})
