"""Prepare the tokenizer's files as they travel with a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lilliput.architecture import ModelConfig
from lilliput.core.artefacts import whole
from lilliput.core.errors import InputError
from lilliput.core.reader import read_record

_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
# Which of a tokenizer's special tokens `config.json` names by id.
_SPECIAL_IDS = {
    "bos_token_id": "bos_token",
    "eos_token_id": "eos_token",
    "cls_token_id": "cls_token",
    "sep_token_id": "sep_token",
}


def tokenizer_records(
    tokenizer: Path | None,
    config: ModelConfig,
    *,
    normalizer: Mapping[str, Any] | None = None,
    writes_on: bool = False,
) -> dict[str, dict[str, Any]]:
    """Return name and content of each file of a tokenizer, as it travels with a model; empty for None.

    Args:
        tokenizer: Folder of the tokenizer.
        config: The model's; the longest text it reads is stated.
        normalizer: Stands in the place of the tokenizer's own, where it is given.
        writes_on: Whether the model goes on with a text, so that a prompt must not end with `</s>`.

    Raises:
        InputError: There is no tokenizer in the folder.
    """
    if tokenizer is None:
        return {}
    if not (tokenizer / _FILES[0]).is_file():
        raise InputError(f"the tokenizer's folder must hold {_FILES[0]}", got=tokenizer)
    present = [name for name in _FILES if (tokenizer / name).is_file()]
    records: dict[str, dict[str, Any]] = {name: read_record(tokenizer / name) for name in present}
    whole = records[_FILES[0]]
    if normalizer is not None:
        whole["normalizer"] = dict(normalizer)
    if writes_on and whole.get("post_processor") is not None:
        whole["post_processor"] = _open_ended(whole["post_processor"])
    if _FILES[1] in records:
        records[_FILES[1]]["model_max_length"] = config.max_seq_length
    return records


def _open_ended(processor: dict[str, Any]) -> dict[str, Any]:
    """Return a post-processor that puts no special token after the last text.

    With `<s> text </s>` a causal model would be asked what comes after the end of the text.
    """
    kind = processor["type"]
    if kind == "Sequence":
        return {**processor, "processors": [_open_ended(one) for one in processor["processors"]]}
    if kind in ("RobertaProcessing", "BertProcessing"):
        (bos, bos_id), (eos, eos_id) = processor["cls"], processor["sep"]
        first, last, between = _special(bos), _text_part("A"), _special(eos)
        return {
            "type": "TemplateProcessing",
            "single": [first, last],
            "pair": [first, last, between, _text_part("B")],
            "special_tokens": {
                name: {"id": name, "ids": [number], "tokens": [name]}
                for name, number in ((bos, bos_id), (eos, eos_id))
            },
        }
    if kind != "TemplateProcessing":
        return processor
    return {**processor, **{key: _without_end(processor[key]) for key in ("single", "pair")}}


def _special(name: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": name, "type_id": 0}}


def _text_part(name: str) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": 0}}


def _without_end(template: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a template up to its last text."""
    last = max((i for i, part in enumerate(template) if "Sequence" in part), default=-1)
    return template[: last + 1] if last >= 0 else template


def check_vocabulary(tokenizer: Path | None, config: ModelConfig) -> None:
    """Refuse a tokenizer whose ids the model does not have.

    Raises:
        InputError: The tokenizer has more ids than the model has embeddings.
    """
    if tokenizer is None:
        return
    whole(tokenizer / _FILES[0])
    size = Tokenizer.from_file(str(tokenizer / _FILES[0])).get_vocab_size()
    if size > config.vocab_size:
        raise InputError(
            f"the tokenizer must have at most the model's {config.vocab_size} ids",
            got=size,
            remedy="Give the tokenizer this model was trained with.",
        )


def special_ids(tokenizer: Path | None) -> dict[str, int | None]:
    """Return ids of the special tokens; None, said aloud, keeps a library's default from standing there."""
    if tokenizer is None:
        return dict.fromkeys(_SPECIAL_IDS)
    tokens = read_record(tokenizer / "special_tokens_map.json")
    added = read_record(tokenizer / "tokenizer.json").get("added_tokens", [])
    ids = {entry["content"]: entry["id"] for entry in added}
    return {key: ids.get(_text(tokens.get(name))) for key, name in _SPECIAL_IDS.items()}


def _text(token: Any) -> str:
    """Return the text of a special token, which may be written with its options."""
    return str(token["content"] if isinstance(token, dict) else token)
