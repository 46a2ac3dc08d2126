"""Several classes of a widget at once, for one look through the style sheet."""

from __future__ import annotations

from collections.abc import Mapping

from textual.dom import DOMNode


def set_classes(node: DOMNode, wanted: Mapping[str, bool]) -> None:
    """Give a widget the classes that are wanted, take the others of them away.

    Each change by itself looks up the styles of everything below the widget; this does so once,
    and not at all where nothing changes.
    """
    changed = [name for name, on in wanted.items() if node.has_class(name) != on]
    for name in changed:
        node.set_class(wanted[name], name, update=False)
    if changed:
        node.update_node_styles()
