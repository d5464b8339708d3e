"""Named things of one kind, each in a module of its own, in this package or in another.

A registry imports the modules of its room when a name is first looked up, so that adding a thing means
adding a module. Other packages register theirs in one of two ways: by importing the `register_…` function
and calling it, or by naming a module in the entry-point group `lilliput.plugins`, which is imported when a
name is not known here. Workers of a study find things of the second kind too.
"""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from lilliput.core.errors import ConfigurationError

PLUGIN_GROUP = "lilliput.plugins"
Item = TypeVar("Item")


class Registry(Generic[Item]):
    """The things of one kind by name.

    Args:
        kind: What one of them is called in messages, such as "training objective".
        package: Dotted name of the room whose modules register the built-in ones.
    """

    def __init__(self, kind: str, package: str) -> None:
        self._kind, self._package = kind, package
        self._items: dict[str, Item] = {}
        self._is_room_read = self._are_plugins_read = False

    def add(self, name: str, item: Item) -> None:
        """List `item` under `name`.

        Raises:
            ConfigurationError: Another thing has that name.
        """
        if self._items.setdefault(name, item) != item:
            raise ConfigurationError(
                f"every {self._kind} must have a name of its own",
                got=f"a second {name!r}",
                remedy="Rename one of them.",
            )

    def remove(self, name: str) -> None:
        """Take the thing called `name` off the list again."""
        del self._items[name]

    def get(self, name: str, *, where: str) -> Item:
        """Return the thing called `name`.

        Args:
            name: Its name.
            where: The setting that gives the name, for the message.

        Raises:
            ConfigurationError: There is none; the message lists those that there are.
        """
        for read_more in (self._read_room, self._read_plugins):
            if name not in self._items:
                read_more()
        if name not in self._items:
            near = difflib.get_close_matches(name, self._items, n=1)
            listed = ", ".join(sorted(self._items))
            raise ConfigurationError(
                f"{where} must be a known {self._kind}",
                got=repr(name),
                remedy=f"Did you mean {near[0]!r}?" if near else f"Known: {listed}.",
            )
        return self._items[name]

    def items(self) -> dict[str, Item]:
        """Return all things by name, those of other installed packages too."""
        self._read_room()
        self._read_plugins()
        return dict(sorted(self._items.items()))

    def _read_room(self) -> None:
        """Import the modules of the room once; each registers what it holds."""
        if not self._is_room_read:
            self._is_room_read = True
            for module in pkgutil.iter_modules(import_module(self._package).__path__):
                import_module(f"{self._package}.{module.name}")

    def _read_plugins(self) -> None:
        """Import the modules that installed packages name, once."""
        if self._are_plugins_read:
            return
        self._are_plugins_read = True
        for plugin in entry_points(group=PLUGIN_GROUP):
            load: Callable[[], object] = plugin.load
            try:
                load()
            except ImportError as error:
                raise ConfigurationError(
                    f"the plugin {plugin.name} of {PLUGIN_GROUP} must be importable",
                    got=error,
                    remedy=f"Install what {plugin.value} needs, or remove the package that names it.",
                ) from None
