"""Pages of the reference that are made from the code: the verbs from the application, the keys from the models."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from lilliput.architecture import ModelConfig
from lilliput.cli._frame import build_app
from lilliput.report.glossary import GLOSSARY
from lilliput.study import Recipe

TABLE_HEAD = "| option | meaning | default |\n|---|---|---|"
KEY_HEAD = "| key | type | default | meaning |\n|---|---|---|---|"


def cli_reference() -> str:
    """Every verb with its arguments, options and example, as Markdown."""
    parts: list[str] = []
    for name, command in verbs(typer.main.get_command(build_app())):
        parts.append(f"## `lilliput {name}`")
        parts += [_shown(text) for text in (command.help, command.epilog) if text]
        parts.append("\n".join([TABLE_HEAD, *map(_option_row, command.params)]))
    return "\n\n".join(parts) + "\n"


def verbs(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """(name, command) of every verb that does something, in the order of --help."""
    for name, command in group.commands.items():
        full = f"{before} {name}".strip()
        if hasattr(command, "commands"):
            yield from verbs(command, full)
        else:
            yield full, command


def _shown(text: str) -> str:
    """Help text as Markdown; what follows "Example:" as a block of code."""
    head, example, command = text.strip().partition("Example: ")
    if not example:
        return head
    command, _, after = command.partition("\n\n")
    code = f"```text\n{' '.join(command.split())}\n```"
    return "\n\n".join(part for part in (head.strip(), code, after.strip()) if part)


def _option_row(option: Any) -> str:
    is_option = option.param_type_name == "option"
    name = (
        ", ".join(option.opts) if is_option else (option.metavar or option.name).strip("{}").upper()
    )
    default = option.default
    shown = (
        "required"
        if option.required
        else ""
        if default in (None, (), False, "")
        else f"`{default}`"
    )
    return f"| `{name}` | {_cell(getattr(option, 'help', '') or '')} | {_cell(shown)} |"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def glossary_reference() -> str:
    """Every word of the report with its meaning, as a definition list."""
    terms = sorted(GLOSSARY, key=lambda term: term.name.casefold())
    return "\n".join(f"{term.name}\n: {term.meaning}\n" for term in terms)


def recipe_reference() -> str:
    """Every key of a recipe with type, default and meaning, as Markdown, a section a table of TOML."""
    parts = [_section("the top level", Recipe)]
    parts += [_section(f"[{path}]", model) for path, model in tables(Recipe)]
    parts.append(_section("[model]", ModelConfig))
    return "\n\n".join(parts) + "\n"


def tables(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """(dotted name, model) of every table below `model`, depth first."""
    for name, field in model.model_fields.items():
        origin = get_origin(field.annotation)
        for inner in _models_in(field.annotation):
            place = {dict: f"{name}.NAME", tuple: name}.get(origin, name)
            path = f"{before}.{place}".lstrip(".")
            yield path, inner
            yield from tables(inner, path)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _section(title: str, model: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_cell(_type_name(field.annotation))} | {_default(field)} | {_cell(field.description or '')} |"
        for name, field in model.model_fields.items()
    ]
    return f"## `{title}`\n\n" + "\n".join([KEY_HEAD, *rows])


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is PydanticUndefined:
        value = field.default_factory()
    if isinstance(value, BaseModel):
        return "see its table"
    return f"`{_cell(value if value != '' else 'empty')}`" if value not in ((), {}) else "none"


def _type_name(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin in (Union, types.UnionType):
        return " or ".join("absent" if part is type(None) else _type_name(part) for part in inner)
    if origin in (tuple, dict):
        return f"{'list' if origin is tuple else 'table'} of {_type_name(inner[-1 if origin is dict else 0])}"
    if isinstance(annotation, type):
        return "table" if issubclass(annotation, BaseModel) else annotation.__name__
    # What is left is Annotated, or a name of typing.
    return _type_name(inner[0]) if inner else str(annotation).removeprefix("typing.")
