"""Find the tokenizer that a folder stands for: its own, the picked one, or the only one in it."""

from __future__ import annotations

from pathlib import Path

from lilliput.core.artefacts import is_artefact
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.reader import read_record
from lilliput.tokenization.comparison.compare import COMPARISON, COMPARISON_FILE
from lilliput.tokenization.folder import TOKENIZER_FILE
from lilliput.tokenization.settings import TokenizerSettings
from lilliput.tokenization.training.train import train_tokenizer


def find_tokenizer(folder: Path) -> Path:
    """Return the tokenizer in `folder`, or of those in it the one a comparison picked, or the only one.

    Raises:
        InputError: There is none, or several and no comparison.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return folder
    held = sorted(path.parent for path in folder.glob(f"*/{TOKENIZER_FILE}"))
    if is_artefact(folder / COMPARISON):
        name = str(read_record(folder / COMPARISON / COMPARISON_FILE)["picked"]["name"])
        if folder / name in held:
            return folder / name
    if len(held) == 1:
        return held[0]
    raise InputError(
        f"{folder} must be a tokenizer, or hold one only, or a comparison that picked one",
        got=", ".join(path.name for path in held) or "none",
        remedy="Give the folder of one tokenizer with --tokenizer.",
    )


def default_tokenizer(corpus: Path, out: Path, *, reporter: Reporter = SILENT) -> Path:
    """Return the tokenizer for a store at `out` when none is named.

    It is looked for in the folder `tokenizers` beside `out`; where there is no such folder, a byte-level
    one with the default settings is trained there.

    Raises:
        InputError: The folder holds several and no comparison.
    """
    shelf = out.resolve().parent / "tokenizers"
    if any(shelf.glob(f"*/{TOKENIZER_FILE}")):
        return find_tokenizer(shelf)
    settings = TokenizerSettings()
    folder = shelf / f"{settings.kind}-{settings.vocab_size}"
    return train_tokenizer(corpus, folder, settings, reporter=reporter)
