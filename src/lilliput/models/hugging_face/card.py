"""The model card: what the model is, what it cost, how it scores, and what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2

from lilliput.architecture import ModelConfig, count_parameters, shape_name


@dataclass(frozen=True)
class ModelCard:
    """Hold what a card says beyond the architecture; what is absent is left out of it.

    Attributes:
        name: Title.
        language: BCP 47 code of the language, where the corpus states it.
        text: What is done to every text before it becomes tokens, in words; empty where it is not known.
        run: Id of the training run.
        corpus: Name and content hash of the corpus.
        tokenizer: Name and content hash of the tokenizer.
        results: Losses and counts of the run (loss, perplexity, tokens_seen, …).
        flops: Training FLOPs under each convention.
        scores: Records with task, start, metric, value, low, high, n, baseline, note.
        limits: One sentence each.
        profile: Training profile and other short facts.
    """

    name: str
    language: str = ""
    text: str = ""
    run: str = ""
    corpus: Mapping[str, str] = field(default_factory=dict[str, str])
    tokenizer: Mapping[str, str] = field(default_factory=dict[str, str])
    results: Mapping[str, float | int | str] = field(default_factory=dict[str, float | int | str])
    flops: Mapping[str, float] = field(default_factory=dict[str, float])
    scores: Sequence[Mapping[str, Any]] = ()
    limits: Sequence[str] = ()
    profile: Mapping[str, str] = field(default_factory=dict[str, str])


_ALWAYS_TRUE_LIMITS = (
    "A small model of a small language, made to study scaling; not an assistant, and not checked for "
    "what it may say about people.",
    "It has seen only words of its corpus; text outside that vocabulary is out of its domain.",
)


def render_card(config: ModelConfig, record: Mapping[str, Any], card: ModelCard | None) -> str:
    """Return the card as Markdown with a YAML head."""
    card = card or ModelCard(name=f"{config.layout} {shape_name(config)}")
    architecture = record["architectures"][0]
    return (
        markdown_environment("lilliput.models.hugging_face")
        .get_template("model_card.md")
        .render(
            card=card,
            config=config,
            shape=shape_name(config),
            parameters=count_parameters(config),
            architecture=architecture,
            auto_class=_auto_class(architecture),
            task=_task(architecture),
            model_type=record["model_type"],
            remote_code="auto_map" in record,
            limits=[*card.limits, *_ALWAYS_TRUE_LIMITS],
        )
    )


def _auto_class(architecture: str) -> str:
    return "AutoModelFor" + architecture.partition("For")[2]


def _task(architecture: str) -> str:
    return {
        "MaskedLM": "fill-mask",
        "CausalLM": "text-generation",
        "SequenceClassification": "text-classification",
    }[architecture.partition("For")[2]]


def markdown_environment(package: str) -> jinja2.Environment:
    """Return the templates of a package for Markdown, with the filters `plain` and `number`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "templates"),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = plain
    environment.filters["number"] = _number
    return environment


def plain(text: object) -> str:
    """Return `text` on one line, with nothing that Markdown, HTML or YAML would take for markup."""
    one_line = " ".join(str(text).split())
    for character, name in {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}.items():
        one_line = one_line.replace(character, name)
    return "".join(f"\\{c}" if c in "`*_[]\\" else c for c in one_line)


def _number(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return plain(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"
