"""The description of one layout of Hugging Face: names of tensors, and both ways through `config.json`.

A layout is one module in this room beside its row in the table of `lilliput.architecture`. The module ends
with `register_layout(ForeignLayout(...))`; export, import, cards and twins in tests then know it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lilliput.architecture import ModelConfig, layout_defaults
from lilliput.core.errors import InputError
from lilliput.core.files import read_json
from lilliput.core.registry import Registry

if TYPE_CHECKING:
    from lilliput.models.classification import HeadStyle, Pooling

# The layout that can say every configuration, because its folders bring our own code along.
OWN_TYPE = "lilliput"
# Fields that every native `config.json` can say.
_ALWAYS_SAID = frozenset(
    {
        "max_position_embeddings",
        "layer_norm_eps",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "tie_word_embeddings",
    }
)


def _every_config_fits(config: ModelConfig) -> bool:
    del config
    return True


def _nothing_more(style: HeadStyle, pooling: Pooling) -> dict[str, Any]:
    del style, pooling
    return {}


@dataclass(frozen=True)
class ForeignLayout:
    """Describe one layout of Hugging Face.

    Attributes:
        model_type: Its name in `config.json`.
        native: The layout of `lilliput.architecture` that it writes down.
        class_prefix: What the names of its classes begin with: "Roberta" of `RobertaForMaskedLM`.
        base: Name of the trunk in its tensors; stands for `{base}` in `modules`.
        modules: Native module to foreign modules, `{}` being the number of the layer; several are equal
            parts stacked along the first axis.
        read: The configuration that a `config.json` describes.
        write: The architecture's part of `config.json`, but for `model_type`.
        says: Switches that `config.json` can say beside those that all can; every other switch must stand
            where the native layout has it.
        fits: Further conditions for a configuration to be written in this layout.
        decoder_bias: Names of the decoder's bias, all of them copies; empty: as `modules` says.
        classifier_style: Form of its own classification head.
        classifier_poolings: What that head can pool.
        classifier_fields: What `config.json` says of a classifier beyond what it says in every layout.
        code: Modules of `lilliput.models` that travel with the folder.
        auto_map: Classes in them that `transformers` loads, by the `Auto…` class that finds them.
    """

    model_type: str
    native: str
    class_prefix: str
    base: str
    modules: Mapping[str, tuple[str, ...]]
    read: Callable[[Mapping[str, Any]], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    says: Collection[str] = ()
    fits: Callable[[ModelConfig], bool] = _every_config_fits
    decoder_bias: tuple[str, ...] = ()
    classifier_style: HeadStyle = "tanh"
    classifier_poolings: Collection[Pooling] = ("first",)
    classifier_fields: Callable[[HeadStyle, Pooling], dict[str, Any]] = _nothing_more
    code: tuple[str, ...] = ()
    auto_map: Callable[[ModelConfig], dict[str, str]] | None = field(default=None)

    @property
    def brings_code(self) -> bool:
        """Return whether a folder needs `trust_remote_code`."""
        return bool(self.code)

    def can_write(self, config: ModelConfig) -> bool:
        """Return whether `config.json` says all of `config` exactly."""
        if self.native != config.layout:
            return False
        defaults = layout_defaults(config.layout)
        departures = {name for name, value in defaults.items() if getattr(config, name) != value}
        return departures <= _ALWAYS_SAID | set(self.says) and self.fits(config)

    def to_config(self, config: ModelConfig) -> dict[str, Any]:
        """Return the architecture's part of `config.json`."""
        return {"model_type": self.model_type, **self.write(config)}

    def architecture_name(self, *, is_causal: bool, is_classifier: bool) -> str:
        """Return the class that loads the folder."""
        if is_classifier:
            return f"{self.class_prefix}ForSequenceClassification"
        return f"{self.class_prefix}For{'CausalLM' if is_causal else 'MaskedLM'}"

    def foreign_names(self, name: str) -> tuple[str, ...]:
        """Return the foreign tensors that together hold the native tensor `name`.

        Several are equal parts stacked along the first axis, as RoBERTa's for `layers.0.qkv.weight`:

            roberta.encoder.layer.0.attention.self.query.weight
            roberta.encoder.layer.0.attention.self.key.weight
            roberta.encoder.layer.0.attention.self.value.weight

        Those of the decoder's bias are copies.
        """
        if self.model_type == OWN_TYPE:
            return (name if name.startswith("classifier.") else f"transformer.{name}",)
        if name == "decoder_bias" and self.decoder_bias:
            return self.decoder_bias
        module, _, parameter = _as_module_parameter(name).rpartition(".")
        parts = module.split(".")
        number = parts[1] if parts[0] == "layers" else ""
        template = ".".join(["layers", "{}", *parts[2:]]) if number else module
        return tuple(
            f"{foreign.format(number, base=self.base)}.{parameter}"
            for foreign in self.modules[template]
        )


def _as_module_parameter(name: str) -> str:
    return {"decoder": "decoder.weight", "decoder_bias": "decoder.bias"}.get(name, name)


REGISTRY: Registry[ForeignLayout] = Registry(
    "Hugging Face layout", "lilliput.models.hugging_face.layouts"
)


def register_layout(layout: ForeignLayout) -> ForeignLayout:
    """List a layout under its `model_type`.

    Raises:
        ConfigurationError: Another layout has that name.
    """
    REGISTRY.add(layout.model_type, layout)
    return layout


def foreign_layout(config: ModelConfig) -> ForeignLayout:
    """Return the native layout that says `config` exactly, or our own, whose folders bring code along."""
    layouts = REGISTRY.items()
    return next(
        (one for one in layouts.values() if one.model_type != OWN_TYPE and one.can_write(config)),
        layouts[OWN_TYPE],
    )


def layout_of_type(model_type: object) -> ForeignLayout:
    """Return the layout that a `config.json` names.

    Raises:
        InputError: It is none of ours.
    """
    layouts = REGISTRY.items()
    found = layouts.get(model_type) if isinstance(model_type, str) else None
    if found is None:
        raise InputError(
            f"model_type must be one of {', '.join(layouts)}",
            got=repr(model_type),
            remedy="Only these layouts can be imported.",
        )
    return found


_LARGEST_SIZE = 1 << 31


def read_foreign_config(path: Path) -> tuple[ForeignLayout, ModelConfig]:
    """Return the layout and the configuration that a `config.json` describes.

    Raises:
        InputError: It is none of our layouts, asks for what the transformer does not have, or is no
            configuration at all.
    """
    record: Any = read_json(path)
    if not isinstance(record, dict):
        raise InputError(f"{path} must be a table of keys", got=f"a {type(record).__name__}")
    layout = layout_of_type(record.get("model_type"))
    for name in (*_SIZES, "embedding_size"):
        size = record.get(name, 1)
        if type(size) is not int or not 0 < size < _LARGEST_SIZE:
            raise InputError(
                f"{name} in {path} must be a positive whole number", got=repr(size)[:80]
            )
    try:
        return layout, layout.read(record)
    except (TypeError, AttributeError, KeyError, ArithmeticError, ValueError) as error:
        # Keys of types that this layout cannot have; what our own rules refuse has its sentence already.
        raise InputError(
            f"{path} must describe a {layout.model_type} model",
            got=f"{type(error).__name__}: {error}",
            remedy="Save it again with the library that the model is from.",
        ) from None


# ---- For modules of layouts: sizes that all of them say ------------------------------------------------

_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "max_position_embeddings",
)
_WRITTEN = {
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "max_position_embeddings",
    "tie_word_embeddings",
    "pad_token_id",
}


def read_sizes(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes that `config.json` must give.

    Raises:
        InputError: One is missing.
    """
    missing = [name for name in _SIZES if name not in record]
    if missing:
        raise InputError("config.json must give every size", got=f"no {missing[0]}")
    values = {name: record[name] for name in _SIZES}
    return values | {"embedding_size": record.get("embedding_size", record["hidden_size"])}


def write_sizes(config: ModelConfig, *more: str) -> dict[str, Any]:
    """Return the sizes as every layout writes them, and the fields `more` beside them."""
    return config.model_dump(include=_WRITTEN | set(more)) | {
        "num_attention_heads": config.num_built_heads
    }


def require_value(record: Mapping[str, Any], key: str, allowed: object, default: object) -> None:
    """Raise InputError where `config.json` gives `key` another value than the one that we can build."""
    found = record.get(key, default)
    if found != allowed:
        raise InputError(
            f"{key} must be {allowed!r} to import a {record['model_type']} model", got=repr(found)
        )
