"""The help screen: every key that works now, made from the bindings themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import Horizontal
from textual.screen import ModalScreen
from textual.widgets import Static

from kdash.widgets.command_words import HELP, THEME
from kdash.widgets.reading import ReadingBox

if TYPE_CHECKING:
    from textual.app import App

    from kdash.widgets.pane import Pane


PROGRAM = "Everywhere"
PART = "The part with the cursor"
# Textual's own keys that are worth knowing; the rest of them is scrolling.
LIBRARY = {
    "app.focus_next": "Next part",
    "app.focus_previous": "Previous part",
    "screen.copy_text": "Copy the text selected with the mouse",
    "command_palette": "Every action, found by its words",
    "app.command_palette": "Every action, found by its words",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One group of keys."""

    title: str
    lines: tuple[tuple[str, str], ...]  # (keys, what they do)


def sections(app: App[int], pane: Pane) -> tuple[Section, ...]:
    """Group the keys that work at this moment by where they are bound.

    The pane's own keys come first, then those of the part with the focus, then the whole
    program's, and the words of the command prompt last.
    """
    grouped: dict[str, dict[str, list[str]]] = {}
    # Those of the key line, which are wanted most, before the others of their group.
    known = sorted(app.screen.active_bindings.values(), key=lambda one: not one.binding.show)
    for active in known:
        text = _text(active)
        if not active.enabled or not text:
            continue
        key = app.get_key_display(active.binding)
        keys = grouped.setdefault(_title(active, app, pane), {}).setdefault(text, [])
        if key not in keys:
            keys.append(key)
    titles = (f"{pane.NAME} pane", PART, PROGRAM)
    found = [
        Section(title, tuple((" ".join(keys), text) for text, keys in grouped[title].items()))
        for title in titles
        if title in grouped
    ]
    if pane.WORDS:
        found.append(command_section(pane))
    return tuple(found)


def command_section(pane: Pane) -> Section:
    """The words of a pane's command prompt."""
    lines = tuple((word.usage, word.help) for word in (*pane.WORDS, HELP, THEME))
    return Section("Command prompt (press :)", lines)


def _text(active: ActiveBinding) -> str:
    binding = active.binding
    if binding.id:
        return active.tooltip or binding.tooltip or binding.description
    return LIBRARY.get(binding.action, "")


def _title(active: ActiveBinding, app: App[int], pane: Pane) -> str:
    if active.node is pane:
        return f"{pane.NAME} pane"
    return PROGRAM if active.node is app or active.node is app.screen else PART


class HelpScreen(ModalScreen[None]):
    """Lists the sections; any of the keys that close it closes it."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen ReadingBox { width: 80; max-width: 100%; height: auto; max-height: 100%;
        border: round $primary; background: $surface; padding: 0 1; }
    HelpScreen Static { height: auto; }
    HelpScreen .title { width: 1fr; text-style: bold; margin-top: 1; }
    HelpScreen .title.-first { margin-top: 0; }
    HelpScreen Horizontal { height: auto; }
    HelpScreen .keys { width: 20; padding: 0 1; color: $text-accent; }
    HelpScreen .does { width: 1fr; padding-right: 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1,enter", "dismiss", "Close", id="help.close",
                tooltip="Put the help away"),
    ]  # fmt: skip

    def __init__(self, content: tuple[Section, ...], title: str = "Keys") -> None:
        super().__init__()
        self._sections = content
        self._title = title

    def compose(self) -> ComposeResult:
        """Draw the sections below each other, each line of keys beside what they do."""
        with ReadingBox() as box:
            box.border_title = self._title
            box.border_subtitle = "Esc closes   j k scroll"
            for index, section in enumerate(self._sections):
                first = "" if index else " -first"
                yield Static(section.title, classes=f"title{first}", markup=False)
                for keys, text in section.lines:
                    with Horizontal():
                        yield Static(keys, classes="keys", markup=False)
                        yield Static(text, classes="does", markup=False)
