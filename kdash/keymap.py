"""The keys of the configuration file: whether there are such bindings, and such keys."""

from __future__ import annotations

import pkgutil
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, _character_to_key
from textual.screen import ModalScreen
from textual.widgets import Input

from kdash import panes, widgets
from kdash.configuration import PANES, Configuration
from kdash.widgets.pane import Pane

_CHARACTERS = {_character_to_key(chr(code)) for code in range(0x21, 0x7F)}
_MODIFIERS = ("ctrl+", "shift+", "alt+", "super+", "hyper+", "meta+")
_TAKEN = App.COMMAND_PALETTE_BINDING  # before any binding


@dataclass(frozen=True, slots=True)
class Known:
    """A binding of the program."""

    id: str
    keys: tuple[str, ...]
    node: type[DOMNode]  # whose it is

    @property
    def part(self) -> str:
        """The first word of its id: what it is a key of."""
        return self.id.partition(".")[0]

    @property
    def pane(self) -> str:
        """The pane it is at work in; empty for all."""
        return next((name for name in PANES if f".{name}" in self.node.__module__), "")

    @property
    def is_alone(self) -> bool:
        """Whether nothing behind it gets keys: a dialog, a line of text."""
        return issubclass(self.node, ModalScreen | Input)

    @property
    def reach(self) -> int:
        """Whether it is the program's (2), a pane's (1) or a part's (0)."""
        return 2 if issubclass(self.node, App) else int(issubclass(self.node, Pane))

    def meets(self, other: Known) -> bool:
        """Whether a key could be meant for both."""
        if self.part == other.part:
            return True
        if (
            self.is_alone
            or other.is_alone
            or (self.pane != other.pane and self.pane and other.pane)
        ):
            return False
        inherits = issubclass(self.node, other.node) or issubclass(other.node, self.node)
        return self.reach != other.reach or inherits or "list" in (self.part, other.part)


def known_bindings() -> dict[str, Known]:
    """Every binding of the program that has an id.

    All modules with widgets are imported: half a second that only a file with [keys] costs.
    """
    import_module("kdash.app")
    for package in (panes, widgets):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    return {
        binding.id: Known(binding.id, _split(binding.key), node)
        for node in _classes(DOMNode)
        for binding in node.__dict__.get("BINDINGS", ())
        if node.__module__.startswith("kdash.") and isinstance(binding, Binding) and binding.id
    }


def _split(keys: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in keys.split(","))


def _classes(above: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for one in above.__subclasses__():
        yield one
        yield from _classes(one)


def check_keymap(configuration: Configuration) -> None:
    """Refuse what can't be.

    Raises:
        ConfigurationError: No such binding or key, or a key that another binding has which would
            get it instead, or no longer.
    """
    if not configuration.keys:
        return
    known = known_bindings()
    for binding, keys in configuration.keys:
        if binding not in known:
            near = get_close_matches(binding, known, 3)
            hint = f"near it: {', '.join(near)}" if near else "kdash config --keys lists them"
            raise configuration.wrong(f"keys.{binding}", f"no such binding; {hint}")
        for name in _split(keys):
            if not _is_key(name):
                why = f"{name!r} is no key; f8, ctrl+s, space, plus or a character is one"
                raise configuration.wrong(f"keys.{binding}", why)
            if name == _TAKEN:
                raise configuration.wrong(f"keys.{binding}", f"{name} opens the palette")
    chosen = {binding: _split(keys) for binding, keys in configuration.keys}
    held = {name: chosen.get(name, one.keys) for name, one in known.items()}
    for binding in reversed(chosen):  # the later of two is the one too many
        for other, theirs in held.items():
            if other == binding or not known[binding].meets(known[other]):
                continue
            both = set(map(_canonical, known[binding].keys)) & set(
                map(_canonical, known[other].keys)
            )
            for key in held[binding]:
                if _canonical(key) in set(map(_canonical, theirs)) - both:
                    why = f"{key} is {other}'s already; give that one another key, too"
                    raise configuration.wrong(f"keys.{binding}", why)


def _canonical(key: str) -> str:
    """A key by the name that Textual's events have: "?" is "question_mark"."""
    return _character_to_key(key) if len(key) == 1 else key


def _is_key(name: str) -> bool:
    """Whether Textual knows a key by this name."""
    while name.startswith(_MODIFIERS):
        name = name.partition("+")[2]
    if len(name) == 1:
        return name.isprintable()
    if name in {key.value for key in Keys} | _CHARACTERS:
        return True
    try:
        unicodedata.lookup(name.upper().replace("_", " "))
    except KeyError:
        return False
    return True
