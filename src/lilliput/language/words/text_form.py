"""The form of a text: what a word profile does to characters before words are looked for.

A corpus stores its texts in this form, so every text that a model of the corpus meets (a task, a
prompt, a sentence of a pair) must be brought into the same form.

| text as written | `composed` | `composed`, `lower_case` |
| --- | --- | --- |
| `Cafe` + U+0301 | `Café` | `café` |
| `hap` + U+00AD + `py` | `happy` | `happy` |
| `There` | `There` | `there` |
"""

from __future__ import annotations

import unicodedata
from typing import Literal

from pydantic import Field

from lilliput.core.settings import Settings

CharacterForm = Literal["as_written", "composed"]

# Characters without a look of their own that stand inside words: the soft hyphen (a place where a line
# may break), the word joiner, and the zero-width no-break space, which is also the byte order mark.
INVISIBLE = "\u00ad\u2060\ufeff"

_WITHOUT_INVISIBLE = dict.fromkeys(map(ord, INVISIBLE))


class TextForm(Settings):
    """Record the changes that are made to every character of a text, whatever the words are."""

    characters: CharacterForm = Field(
        description="as_written: nothing is changed; composed: a letter and its marks become one character where Unicode has it (form NFC), and soft hyphens, word joiners and byte order marks are left out."
    )
    lower_case: bool = Field(description="The text is lower-cased.")

    @property
    def in_words(self) -> str:
        """Return a phrase for cards and messages, such as "lower-cased"."""
        steps = ["characters composed (NFC), invisible ones left out"] * (
            self.characters == "composed"
        )
        return ", ".join([*steps, *["lower-cased"] * self.lower_case]) or "as it is written"

    def apply(self, text: str) -> str:
        """Return `text` in this form; applying it twice changes nothing more."""
        if self.characters == "composed":
            text = composed(text, folds_case=self.lower_case)
        return text.lower() if self.lower_case else text


def composed(text: str, *, folds_case: bool) -> str:
    """Return `text` with composed letters and without invisible characters.

    Args:
        text: Any text.
        folds_case: Whether the text will be compared in lower case. A few capital letters have a
            composed form only in lower case (J with caron); a text that holds one is lower-cased here.
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text.translate(_WITHOUT_INVISIBLE))
    if folds_case:
        lowered = text.lower()
        if not unicodedata.is_normalized("NFC", lowered):
            return unicodedata.normalize("NFC", lowered)
    return text
