"""Write the text form of a corpus as the `normalizer` of a `tokenizer.json`, and read it back.

With it an exported tokenizer lower-cases by itself, in `transformers` as here. The tests hold it against
`TextForm.apply` on all assigned characters of Unicode and on generated texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lilliput.language.words.text_form import INVISIBLE, TextForm

AS_WRITTEN = TextForm(characters="as_written", lower_case=False)

# Σ at the end of a word becomes ς; the library's own step makes every Σ a σ. This is Unicode's condition
# (section 3.13, Final_Sigma) as Python reads it: a cased letter before, none after, past all that is ignorable.
_CASED = r"[\p{Cased}&&[^\p{Case_Ignorable}]]"
_FINAL_SIGMA = rf"(?<={_CASED}\p{{Case_Ignorable}}*)Σ(?!\p{{Case_Ignorable}}*{_CASED})"

Record = Mapping[str, Any]
"""A normalizer, or one step of it, as `tokenizer.json` writes it."""


def normalizer_steps(text_form: TextForm) -> list[Record]:
    """Return what brings a text into `text_form`, in order; nothing where it stays as it is written."""
    steps: list[Record] = []
    if text_form.characters == "composed":
        steps += [_replace(f"[{INVISIBLE}]", ""), {"type": "NFC"}]
    if text_form.lower_case:
        steps += [_replace(_FINAL_SIGMA, "ς"), {"type": "Lowercase"}]
    if text_form.characters == "composed" and text_form.lower_case:
        # Once more: a few letters have a composed form in lower case alone (J with caron, for one).
        steps += [{"type": "NFC"}]
    return steps


def _replace(regex: str, content: str) -> Record:
    return {"type": "Replace", "pattern": {"Regex": regex}, "content": content}


# Longest first, so that all steps that are there are found.
_FORMS = (
    TextForm(characters="composed", lower_case=True),
    TextForm(characters="composed", lower_case=False),
    TextForm(characters="as_written", lower_case=True),
)


def joined_steps(steps: list[Record]) -> Record | None:
    """Return one normalizer that does `steps` in order; None when there is none."""
    if len(steps) <= 1:
        return steps[0] if steps else None
    return {"type": "Sequence", "normalizers": list(steps)}


def split_normalizer(normalizer: Record | None) -> tuple[TextForm, list[Record]]:
    """Return the text form with which a normalizer begins, and the steps that follow it.

    A normalizer that was not written here leaves texts as they are written, as far as it is known.
    """
    steps = _steps_of(normalizer)
    for text_form in _FORMS:
        wanted = normalizer_steps(text_form)
        if steps[: len(wanted)] == wanted:
            return text_form, steps[len(wanted) :]
    return AS_WRITTEN, steps


def with_text_form(normalizer: Record | None, text_form: TextForm) -> Record | None:
    """Return `normalizer` with the steps of `text_form` before its own, unless it begins with them."""
    found, _ = split_normalizer(normalizer)
    if found == text_form:
        return normalizer
    return joined_steps([*normalizer_steps(text_form), *_steps_of(normalizer)])


def _steps_of(normalizer: Record | None) -> list[Record]:
    if normalizer is None:
        return []
    if normalizer["type"] == "Sequence":
        return list(normalizer["normalizers"])
    return [normalizer]
