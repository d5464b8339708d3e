"""Templates of tasks in lm-eval's form, as far as they only name fields: nothing of a template is executed.

{{question}}                            the field `question` of the row
{{choices.text}}                        a field of a field
{{[sol1, sol2]}}                        a list of fields, for choices
{{choices.label.index(answerKey)}}      where the value of one field stands in another, for the answer
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from lilliput.core.errors import InputError

_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_FIELD = re.compile(r"\{\{\s*(" + _PATH + r")\s*\}\}")
_LIST = re.compile(r"\{\{\s*\[\s*(" + _PATH + r"(?:\s*,\s*" + _PATH + r")*)\s*,?\s*\]\s*\}\}")
_INDEX = re.compile(r"\{\{\s*(" + _PATH + r")\.index\(\s*(" + _PATH + r")\s*\)\s*\}\}")


def field_of(row: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path of a row.

    Raises:
        InputError: The row has no such field.
    """
    value: Any = row
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise InputError(
                "each row must have the fields that the task's templates name",
                got=f"no {path} in a row with {', '.join(row)}",
            )
        value = cast("Mapping[str, Any]", value)[name]
    return value


def check_template(template: str, where: str) -> None:
    """Refuse a template that does more than name fields.

    Raises:
        InputError: It does; the message shows the part.
    """
    rest = _FIELD.sub("", template)
    if _LIST.fullmatch(template.strip()) or _INDEX.fullmatch(template.strip()):
        return
    if "{{" in rest or "{%" in rest or "{#" in rest:
        raise InputError(
            f"templates may only name fields, as in {{{{question}}}}; {where} does more",
            got=template,
            remedy="Write the text into the rows of the JSON Lines file, and name its field.",
        )


def rendered(template: str, row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return a template with each field in its place, and the values of these fields."""
    values: list[str] = []

    def value(match: re.Match[str]) -> str:
        values.append(str(field_of(row, match.group(1))))
        return values[-1]

    return _FIELD.sub(value, template), values


def choices_of(template: str | Sequence[str], row: Mapping[str, Any]) -> list[str]:
    """Return the choices of a row: from a list of templates, a field that holds a list, or a list of fields.

    Raises:
        InputError: The field holds no list of texts.
    """
    if not isinstance(template, str):
        return [rendered(one, row)[0] for one in template]
    listed = _LIST.fullmatch(template.strip())
    if listed:
        return [
            str(field_of(row, path.strip())) for path in listed.group(1).split(",") if path.strip()
        ]
    found = field_of(row, _path_in(template))
    if not isinstance(found, (list, tuple)):
        raise InputError("the choices of a row must be a list", got=repr(found))
    return [str(one) for one in cast("Sequence[Any]", found)]


def answer_of(template: str | int, row: Mapping[str, Any], choices: Sequence[str]) -> int:
    """Return the number of the right choice, from 0: a number, the choice's text, or its place in a field.

    Raises:
        InputError: It is none of the choices.
    """
    if isinstance(template, int):
        found: Any = template
    elif index := _INDEX.fullmatch(template.strip()):
        names, wanted = field_of(row, index.group(1)), field_of(row, index.group(2))
        found = list(names).index(wanted) if wanted in names else wanted
    else:
        found = field_of(row, _path_in(template))
    if isinstance(found, str):
        found = int(found) if found.isdigit() else _place_of(found, choices)
    if not isinstance(found, int) or not 0 <= found < len(choices):
        raise InputError(
            f"the answer must be one of the {len(choices)} choices, counted from 0", got=repr(found)
        )
    return found


def _place_of(text: str, choices: Sequence[str]) -> int:
    return choices.index(text) if text in choices else -1


def _path_in(template: str) -> str:
    """Return the path of a template that is one field: `gold`, or `{{gold}}`."""
    match = _FIELD.fullmatch(template.strip())
    return match.group(1) if match else template.strip()
