"""The laws that are known: every module of this room that registers one, and those of other packages.

Every choice of a law goes through this list: the comparison of `--law auto`, curves, intervals, warnings,
help texts and the report. To add a law, write one module that subclasses `CostLaw`, `SizedLaw` or
`BestSizeLaw` of `lilliput.analysis.laws.base` and ends with `register_law(MyLaw())`. A module in this folder
is found by itself; one of another package is named in the entry-point group `lilliput.plugins`. Data never
names code: a table or a study can only name laws that are registered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lilliput.core.errors import ConfigurationError, InputError
from lilliput.core.registry import Registry
from lilliput.core.wording import plural

if TYPE_CHECKING:
    from lilliput.analysis.laws.base import CostLaw, CurveLaw, Law

Kind = TypeVar("Kind", bound="Law")
AUTO = "auto"
REGISTRY: Registry[Law] = Registry("law", "lilliput.analysis.laws")


def register_law(law: Law) -> None:
    """List a law under its name; a second instance of the same class changes nothing.

    Raises:
        ConfigurationError: Another law has that name, or the name is "auto".
    """
    if law.name == AUTO:
        raise ConfigurationError(
            "a law must have a name of its own",
            got=repr(AUTO),
            remedy="The word asks for a comparison of laws: take another name.",
        )
    REGISTRY.add(law.name, law)


def unregister_law(name: str) -> None:
    """Take a law off the list; a test that registers one calls this when it ends."""
    REGISTRY.remove(name)


def laws_of(kind: type[Kind]) -> list[Kind]:
    """Return the laws of one kind, the simplest first."""
    return [law for law in _in_order() if isinstance(law, kind)]


def law_names() -> tuple[str, ...]:
    """Return what `--law` may be: "auto" and the name of every law."""
    return (AUTO, *(law.name for law in _in_order()))


def _in_order() -> list[Law]:
    """Return all laws: those of cost, then of size and tokens, then of the best size."""
    return sorted(REGISTRY.items().values(), key=lambda law: (law.place_in_lists(), law.name))


def law_named(name: str) -> Law:
    """Return the law of that name.

    Raises:
        ConfigurationError: No such law is registered.
    """
    return REGISTRY.get(name, where="--law")


def curve_law(name: str) -> CurveLaw:
    """Return the law of loss of that name.

    Raises:
        ConfigurationError: No such law is registered.
        InputError: It is a law of the best size.
    """
    from lilliput.analysis.laws.base import CurveLaw

    law = law_named(name)
    if not isinstance(law, CurveLaw):
        raise InputError("a law of loss is needed here", got=f"{name}, a law of the best size")
    return law


def cost_law(name: str) -> CostLaw:
    """Return the law of loss against cost of that name.

    Raises:
        ConfigurationError: No such law is registered.
        InputError: It is another kind of law.
    """
    from lilliput.analysis.laws.base import CostLaw

    law = law_named(name)
    if not isinstance(law, CostLaw):
        raise InputError("a law of loss against cost is needed here", got=name)
    return law


def law_label(name: str, n_breaks: int = 0) -> str:
    """Return a law in words, with its number of breaks: "broken power law, joined (2 breaks)"."""
    law = REGISTRY.items().get(name)
    label = name if law is None else law.label
    return f"{label} ({plural(n_breaks, 'break')})" if n_breaks else label


def laws_in_words() -> str:
    """Return one sentence a kind of law, for `--help`: each name with its formula or what it finds."""
    from lilliput.analysis.laws.base import BestSizeLaw, CostLaw, SizedLaw

    kinds: tuple[tuple[str, type[Law]], ...] = (
        ("Loss against cost", CostLaw),
        ("Loss against size and tokens", SizedLaw),
        ("The best size for a cost", BestSizeLaw),
    )
    listed = (
        (kind, "; ".join(f"{law.name} ({law.help})" for law in laws_of(base)))
        for kind, base in kinds
    )
    return " ".join(f"{kind}: {laws}." for kind, laws in listed if laws)
