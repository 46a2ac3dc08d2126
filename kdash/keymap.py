"""The keys of the configuration file: whether there are such bindings, and such keys."""

from __future__ import annotations

import pkgutil
import unicodedata
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys

from kdash import panes, widgets
from kdash.configuration import Configuration

_MODIFIERS = ("ctrl+", "shift+", "alt+", "super+", "hyper+", "meta+")


def known_bindings() -> dict[str, str]:
    """The id of every binding of the program, with the keys it has.

    All modules with widgets are imported: half a second that only a file with [keys] costs.
    """
    import_module("kdash.app")
    for package in (panes, widgets):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    return {
        binding.id: binding.key
        for node in _classes(DOMNode)
        for binding in node.__dict__.get("BINDINGS", ())
        if node.__module__.startswith("kdash.") and isinstance(binding, Binding) and binding.id
    }


def _classes(above: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for one in above.__subclasses__():
        yield one
        yield from _classes(one)


def check_keymap(configuration: Configuration) -> None:
    """Refuse what can't be.

    Raises:
        ConfigurationError: No such binding or key, or one key for two bindings of the same part.
    """
    if not configuration.keys:
        return
    known = known_bindings()
    taken: dict[tuple[str, str], str] = {}
    for binding, keys in configuration.keys:
        if binding not in known:
            near = get_close_matches(binding, known, 3)
            hint = f"near it: {', '.join(near)}" if near else "kdash config --keys lists them"
            raise configuration.wrong(f"keys.{binding}", f"no such binding; {hint}")
        for key in keys.split(","):
            name = key.strip()
            if not _is_key(name):
                why = f"{name!r} is no key; f8, ctrl+s, space, plus or a character is one"
                raise configuration.wrong(f"keys.{binding}", why)
            other = taken.setdefault((binding.partition(".")[0], name), binding)
            if other != binding:
                raise configuration.wrong(f"keys.{binding}", f"{name} is {other}'s already")


def _is_key(name: str) -> bool:
    """Whether Textual knows a key by this name."""
    while name.startswith(_MODIFIERS):
        name = name.partition("+")[2]
    if len(name) == 1:
        return name.isprintable()
    if name in {key.value for key in Keys}:
        return True
    try:
        unicodedata.lookup(name.upper().replace("_", " "))
    except KeyError:
        return name in ("minus", "plus", "slash", "at", "colon", "full_stop")
    return True
