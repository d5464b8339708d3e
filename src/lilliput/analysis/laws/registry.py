"""The laws that are known: the built-in ones, and those that a plugin or a test registers.

Every choice of a law goes through this list: the comparison of `--law auto`, curves, intervals, warnings,
help texts and the report. To add a law from outside the package, subclass `CostLaw`, `SizedLaw` or
`BestSizeLaw` of `lilliput.analysis.laws.base` and call `register_law` with an instance when your module is
imported. Modules named by an installed package's entry points of the group `lilliput.plugins` are imported
by the command line. Data never names code: a table or a study can only name laws that are registered.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TypeVar

from lilliput.core.errors import InputError
from lilliput.core.registry import PLUGIN_GROUP
from lilliput.core.wording import plural

if TYPE_CHECKING:
    from lilliput.analysis.laws.base import CostLaw, CurveLaw, Law

Kind = TypeVar("Kind", bound="Law")
AUTO = "auto"
_LAWS: dict[str, Law] = {}


def register_law(law: Law) -> None:
    """Make a law known under its name; registering the same class again replaces it.

    Raises:
        InputError: Another law has that name, or the name is "auto".
    """
    known = _LAWS.get(law.name)
    if law.name == AUTO or (known is not None and type(known) is not type(law)):
        raise InputError("a law must have a name of its own", got=law.name)
    _LAWS[law.name] = law


def unregister_law(name: str) -> None:
    """Forget a law; a test that registers one calls this when it ends."""
    _LAWS.pop(name, None)


@cache
def load_plugins() -> None:
    """Import the modules that installed packages name as `lilliput.plugins`, once; each registers its laws."""
    for point in entry_points(group=PLUGIN_GROUP):
        point.load()


def laws_of(kind: type[Kind]) -> list[Kind]:
    """Return the registered laws of one kind, in the order in which they were registered."""
    return [law for law in _LAWS.values() if isinstance(law, kind)]


def law_names() -> tuple[str, ...]:
    """Return what `--law` may be: "auto" and the name of every registered law."""
    return (AUTO, *_LAWS)


def law_named(name: str) -> Law:
    """Return the law of that name.

    Raises:
        InputError: No such law is registered.
    """
    if name not in _LAWS:
        raise InputError(
            "the law must be a registered one",
            got=name,
            remedy=f"There are {', '.join(_LAWS)}. A law of another package must be imported first.",
        )
    return _LAWS[name]


def curve_law(name: str) -> CurveLaw:
    """Return the law of loss of that name.

    Raises:
        InputError: No such law is registered, or it is a law of the best size.
    """
    from lilliput.analysis.laws.base import CurveLaw

    law = law_named(name)
    if not isinstance(law, CurveLaw):
        raise InputError("a law of loss is needed here", got=f"{name}, a law of the best size")
    return law


def cost_law(name: str) -> CostLaw:
    """Return the law of loss against cost of that name.

    Raises:
        InputError: No such law is registered, or it is another kind of law.
    """
    from lilliput.analysis.laws.base import CostLaw

    law = law_named(name)
    if not isinstance(law, CostLaw):
        raise InputError("a law of loss against cost is needed here", got=name)
    return law


def law_label(name: str, n_breaks: int = 0) -> str:
    """Return a law in words, with its number of breaks: "broken power law, joined (2 breaks)"."""
    label = law_named(name).label if name in _LAWS else name
    return f"{label} ({plural(n_breaks, 'break')})" if n_breaks else label


def laws_in_words() -> str:
    """Return one sentence a kind of law, for `--help`: each name with its formula or what it finds."""
    from lilliput.analysis.laws.base import BestSizeLaw, CostLaw, SizedLaw

    kinds: tuple[tuple[str, type[Law]], ...] = (
        ("Loss against cost", CostLaw),
        ("Loss against size and tokens", SizedLaw),
        ("The best size for a cost", BestSizeLaw),
    )
    said = (
        (kind, "; ".join(f"{law.name} ({law.help})" for law in laws_of(base)))
        for kind, base in kinds
    )
    return " ".join(f"{kind}: {laws}." for kind, laws in said if laws)
