"""Folders that transformers reads, and folders that others wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from lilliput.core.errors import ArtefactError, InputError
from lilliput.tokenization import KINDS, load_tokenizer

_TEXTS = [
    "the dog was cooking",
    "don't help the singers, mother's café!",
    "a <mask> end",
    "",
    "  x",
]


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_encodes_identically(tokenizers_folder: Path, kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    folder = tokenizers_folder / f"{kind}-330"
    theirs = transformers.AutoTokenizer.from_pretrained(str(folder))
    ours = load_tokenizer(folder).backend
    ours.encode_special_tokens = False
    for text in _TEXTS:
        encoding = ours.encode(text)
        assert theirs(text)["input_ids"] == encoding.ids
        assert theirs(text, "a dog")["input_ids"] == ours.encode(text, "a dog").ids
        decoded = theirs.decode(encoding.ids, skip_special_tokens=True)
        assert decoded == ours.decode(encoding.ids, skip_special_tokens=True)
    assert theirs.mask_token_id == 4
    assert theirs.pad_token_id == 1
    assert (theirs.cls_token, theirs.sep_token, theirs.unk_token) == ("<s>", "</s>", "<unk>")
    assert theirs.model_max_length == 128
    assert len(theirs) == load_tokenizer(folder).vocab_size


def test_the_mask_takes_the_space_before_it(tokenizers_folder: Path) -> None:
    backend = load_tokenizer(tokenizers_folder / "byte-bpe-330").backend
    backend.encode_special_tokens = False
    assert backend.encode("the <mask> dog").ids[2] == 4


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tokenizer.json.*got .*nowhere"):
        load_tokenizer(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{", "[]", '{"model": {"type": "BPE"}}'])
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
