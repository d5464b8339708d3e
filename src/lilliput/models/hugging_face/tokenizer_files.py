"""The tokenizer's files as they travel with a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lilliput.architecture import ModelConfig
from lilliput.core.artefacts import Build
from lilliput.core.errors import InputError
from lilliput.core.files import read_json, write_json
from lilliput.core.hashing import file_hash

_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
# Which of a tokenizer's special tokens `config.json` names by id.
_SPECIAL_IDS = {
    "bos_token_id": "bos_token",
    "eos_token_id": "eos_token",
    "cls_token_id": "cls_token",
    "sep_token_id": "sep_token",
}


def tokenizer_hashes(tokenizer: Path | None) -> dict[str, str]:
    """Name and hash of each file of the tokenizer in the folder; empty for None.

    Raises:
        InputError: There is no tokenizer in the folder.
    """
    if tokenizer is None:
        return {}
    if not (tokenizer / _FILES[0]).is_file():
        raise InputError(f"the tokenizer's folder must hold {_FILES[0]}", got=tokenizer)
    present = [tokenizer / name for name in _FILES if (tokenizer / name).is_file()]
    return {path.name: file_hash(path) for path in present}


def check_vocabulary(tokenizer: Path | None, config: ModelConfig) -> None:
    """Refuse a tokenizer whose ids the model does not have.

    Raises:
        InputError: The tokenizer has more ids than the model has embeddings.
    """
    if tokenizer is None:
        return
    size = Tokenizer.from_file(str(tokenizer / _FILES[0])).get_vocab_size()
    if size > config.vocab_size:
        raise InputError(
            f"the tokenizer must have at most the model's {config.vocab_size} ids",
            got=size,
            remedy="Give the tokenizer this model was trained with.",
        )


def special_ids(tokenizer: Path | None) -> dict[str, int | None]:
    """Ids of the special tokens; None, said aloud, keeps a library's default from standing there."""
    if tokenizer is None:
        return dict.fromkeys(_SPECIAL_IDS)
    tokens = read_json(tokenizer / "special_tokens_map.json")
    added = read_json(tokenizer / "tokenizer.json").get("added_tokens", [])
    ids = {entry["content"]: entry["id"] for entry in added}
    return {key: ids.get(_text(tokens.get(name))) for key, name in _SPECIAL_IDS.items()}


def _text(token: Any) -> str:
    """The text of a special token, which may be written with its options."""
    return str(token["content"] if isinstance(token, dict) else token)


def copy_tokenizer(build: Build, tokenizer: Path | None, config: ModelConfig) -> None:
    """Copy the files into an export, with the longest text the model takes."""
    for name in tokenizer_hashes(tokenizer):
        assert tokenizer is not None
        record = read_json(tokenizer / name)
        if name == "tokenizer_config.json":
            record["model_max_length"] = config.max_seq_length
        write_json(build.path(name), record)
