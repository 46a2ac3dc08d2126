"""The help screen: every key that works now, made from the bindings themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.app import App

    from kdash.widgets.pane import CommandWord, Pane


@dataclass(frozen=True, slots=True)
class Section:
    """One group of keys."""

    title: str
    lines: tuple[tuple[str, str], ...]  # (keys, what they do)


def sections(app: App[int], pane: Pane) -> tuple[Section, ...]:
    """Group the keys that work at this moment by where they are bound.

    The part with the focus comes first, then its pane, then the whole program.
    """
    grouped: dict[str, dict[str, list[str]]] = {}
    for active in app.screen.active_bindings.values():
        title = _title(active, app, pane)
        if title and active.enabled:
            text = active.tooltip or active.binding.tooltip or active.binding.description
            key = app.get_key_display(active.binding)
            keys = grouped.setdefault(title, {}).setdefault(text, [])
            if key not in keys:
                keys.append(key)
    found = [
        Section(title, tuple((" ".join(keys), text) for text, keys in entries.items()))
        for title, entries in sorted(grouped.items(), key=lambda item: item[0] == "Everywhere")
    ]
    if pane.WORDS:
        found.append(_words(pane.WORDS))
    return tuple(found)


def _title(active: ActiveBinding, app: App[int], pane: Pane) -> str:
    if active.node is app or active.node is app.screen:
        return "Everywhere"
    return f"{pane.NAME} pane"


def _words(words: Iterable[CommandWord]) -> Section:
    return Section("Command prompt (press :)", tuple((word.usage, word.help) for word in words))


class HelpScreen(ModalScreen[None]):
    """Lists the sections; any of the keys that close it closes it."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll { width: 76; max-width: 100%; height: auto; max-height: 100%;
        border: round $primary; background: $surface; padding: 0 1; }
    HelpScreen Static { width: 1fr; height: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1,enter", "dismiss", "Close", id="help.close"),
    ]

    def __init__(self, content: tuple[Section, ...]) -> None:
        super().__init__()
        self._sections = content

    def compose(self) -> ComposeResult:
        """Draw the sections below each other."""
        with VerticalScroll() as box:
            box.border_title = "Keys"
            box.border_subtitle = "Esc closes"
            yield Static(self._content())

    def _content(self) -> Content:
        lines: list[Content] = []
        for section in self._sections:
            lines += (
                [Content(""), Content.styled(section.title, "bold")]
                if lines
                else [Content.styled(section.title, "bold")]
            )
            lines += [
                Content.assemble(Content.styled(f"  {keys:<20}", "$text-accent"), " ", text)
                for keys, text in section.lines
            ]
        return Content("\n").join(lines)
