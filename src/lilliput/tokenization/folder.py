"""A tokenizer as a folder that `transformers.AutoTokenizer` reads, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lilliput.core.artefacts import is_artefact, read_manifest, whole
from lilliput.core.errors import ArtefactError, InputError
from lilliput.core.files import read_json, write_json, write_text
from lilliput.core.hashing import file_hash
from lilliput.language.words.text_form import TextForm
from lilliput.tokenization.normalizer import (
    AS_WRITTEN,
    joined_steps,
    split_normalizer,
    with_text_form,
)
from lilliput.tokenization.special import SPECIAL_TOKENS_MAP

TOKENIZER_FILE = "tokenizer.json"
MODEL_MAX_LENGTH = 128  # The paper's sequences; an exported model states its own.
_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": MODEL_MAX_LENGTH,
    "clean_up_tokenization_spaces": False,
    "model_input_names": ["input_ids", "attention_mask"],
    **SPECIAL_TOKENS_MAP,
}


@dataclass(frozen=True)
class LoadedTokenizer:
    """Hold a tokenizer with its origin.

    Attributes:
        folder: Where it lies.
        backend: Encodes and decodes; text that spells a special token is taken as text.
        content: Hash of what it is; enters the id of all that is built on it.
        kind: As trained here, or the algorithm named in the file.
        vocab_size_asked: The size asked for in training; its size where it was not trained here.
        special_ids: Ids of special tokens, whatever they are called.
        unknown_id: The id that stands for text outside the alphabet; -1 where none does.
        text_form: What is done to a text before the tokenizer's own steps.
    """

    folder: Path
    backend: Tokenizer
    content: str
    kind: str
    vocab_size_asked: int
    special_ids: frozenset[int]
    unknown_id: int
    text_form: TextForm = AS_WRITTEN

    @property
    def vocab_size(self) -> int:
        """Return the number of ids, the special tokens included."""
        return self.backend.get_vocab_size(with_added_tokens=True)

    @property
    def name(self) -> str:
        """Return what to call it."""
        return self.folder.name


def save_tokenizer(tokenizer: Tokenizer, folder: Path, corpus: TextForm | None = None) -> None:
    """Write `tokenizer.json` and the two files that `transformers` reads beside it.

    Args:
        tokenizer: What to write.
        folder: Where to.
        corpus: What was done to the text it was trained on; the written tokenizer does it to every text.
    """
    record = json.loads(tokenizer.to_str())
    if corpus is not None:
        record["normalizer"] = with_text_form(record["normalizer"], corpus)
    write_json(folder / "tokenizer_config.json", _CONFIG)
    write_json(folder / "special_tokens_map.json", SPECIAL_TOKENS_MAP)
    # As the library itself lays it out.
    whole = Tokenizer.from_str(json.dumps(record, ensure_ascii=False))
    write_text(folder / TOKENIZER_FILE, whole.to_str(pretty=True) + "\n")


def load_tokenizer(
    folder: Path, corpus: TextForm | None = None, *, is_corpus_text: bool = False
) -> LoadedTokenizer:
    """Return the tokenizer in `folder`: one trained here, or any folder with a `tokenizer.json`.

    Args:
        folder: Where it lies.
        corpus: What was done to the text that a model of this tokenizer learned from. It is done to every
            text first, also where the tokenizer was made elsewhere. None: the tokenizer's file alone decides.
        is_corpus_text: Say that the texts to come are those of that corpus. What was done to them once need
            not be done again, which is faster and gives the same ids.

    Raises:
        InputError: No `tokenizer.json` is there.
        ArtefactError: It cannot be read as a tokenizer.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise InputError(
            "a tokenizer must be a folder with a tokenizer.json",
            got=folder,
            remedy="Train one with: lilliput tokenizer train, or save one with save_pretrained.",
        )
    for name in (TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json"):
        whole(folder / name)
    record = _read_record(path)
    before = record.get("normalizer")
    after = before if corpus is None else with_text_form(before, corpus)
    text_form, own_steps = split_normalizer(after)
    if is_corpus_text and text_form == corpus:
        after = joined_steps(own_steps)
    text = json.dumps({**record, "normalizer": after}, ensure_ascii=False)
    try:
        backend = Tokenizer.from_str(text) if after != before else Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises no kind of its own.
        raise ArtefactError(
            f"{path} must describe a tokenizer",
            got=str(error).splitlines()[0],
            remedy="Save it again with a current version of tokenizers.",
        ) from None
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True
    size = backend.get_vocab_size(with_added_tokens=True)
    kind, asked, content = str(record["model"]["type"]).lower(), size, file_hash(path)
    # An exported model is an artefact too, with a tokenizer among its files.
    manifest = read_manifest(folder) if is_artefact(folder) else None
    if manifest is not None and manifest.kind == "tokenizer":
        content = manifest.content
        kind, asked = str(manifest.settings["kind"]), int(manifest.settings["vocab_size"])
    return LoadedTokenizer(
        folder=folder,
        backend=backend,
        content=content,
        kind=kind,
        vocab_size_asked=asked,
        special_ids=_special_ids(backend),
        unknown_id=_unknown_id(backend, record["model"]),
        text_form=text_form,
    )


def _read_record(path: Path) -> dict[str, Any]:
    record = read_json(path)
    model = record.get("model") if isinstance(record, dict) else None
    if not isinstance(model, dict) or "vocab" not in model or "type" not in model:
        raise ArtefactError(
            f"{path} must describe a tokenizer",
            got="no model with a type and a vocabulary",
            remedy="Save it again with a current version of tokenizers.",
        )
    return record


def _special_ids(backend: Tokenizer) -> frozenset[int]:
    added = backend.get_added_tokens_decoder()
    return frozenset(position for position, token in added.items() if token.special)


def _unknown_id(backend: Tokenizer, model: dict[str, Any]) -> int:
    if isinstance(model.get("unk_id"), int):
        return int(model["unk_id"])
    token = model.get("unk_token")
    position = None if token is None else backend.token_to_id(token)
    return -1 if position is None else position
