"""The keys that hints name: those that the user has given to their bindings."""

from __future__ import annotations

from textual.keys import format_key
from textual.widget import Widget


def key_of(widget: Widget, binding: str, usual: str) -> str:
    """The first key of a binding.

    Args:
        widget: Who hints at it.
        binding: Its id.
        usual: Its key where the configuration names no other.
    """
    keys = widget.app._keymap.get(binding, "") if widget.is_attached else ""
    return format_key(keys.partition(",")[0].strip()) if keys else usual
