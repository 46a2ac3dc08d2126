"""A dialog that goes through folders to a file: typed, completed, clicked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, Static

from kdash.widgets.columns import Cell, Column
from kdash.widgets.line_table import LineTable
from kdash.widgets.printable import one_line
from kdash.widgets.typed_line import TypedLine

UP = ".."
RECENT = "recent"  # the note of what was chosen lately


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that can be chosen."""

    name: str  # as shown, a folder with a slash
    path: str  # absolute
    folder: bool = False
    note: str = ""  # RECENT, or a few words
    options: str = ""  # it was opened with


@dataclass(frozen=True, slots=True)
class Listing:
    """What is in a folder."""

    folder: str  # absolute
    entries: tuple[Entry, ...] = ()
    problem: str = ""  # why it can't be listed


class Files(Protocol):
    """Looks at the file system for the dialog. What it does may take a while."""

    def listing(self, folder: str) -> Listing:
        """What is in a folder, hidden files too, folders first; never raises."""

    def recent(self) -> Sequence[Entry]:
        """What was chosen lately, newest first."""

    def place(self, folder: str, typed: str) -> str:
        """The absolute folder that `typed` with a slash at its end means in `folder`."""

    def about(self, path: str) -> str:
        """One line on a file: what it is, its size and age, or why that can't be told."""

    def choose(self, path: str, options: str) -> str:
        """Take what was chosen; what is wrong with it, empty where nothing is."""


class _Options(Suggester):
    """Completes the last word of the options."""

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._known = known

    async def get_suggestion(self, value: str) -> str | None:
        head, blank, word = value.rpartition(" ")
        hit = next((one for one in self._known if word and one.startswith(word)), None)
        return None if hit is None else f"{head}{blank}{hit}"


class _Table(LineTable[Entry], can_focus=False):
    """The list; the keyboard stays in the line above it."""


class _Name(TypedLine):
    """What is typed narrows the list; keys that mean nothing in a name move in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "screen.move(1)", "Down", show=False, id="files.down",
                tooltip="Next file"),
        Binding("up", "screen.move(-1)", "Up", show=False, id="files.up",
                tooltip="Previous file"),
        Binding("pagedown,ctrl+d", "screen.page(1)", "Page down", show=False,
                id="files.page-down", tooltip="Half a page down"),
        Binding("pageup,ctrl+u", "screen.page(-1)", "Page up", show=False,
                id="files.page-up", tooltip="Half a page up"),
        Binding("left", "left", "Up a folder", show=False, id="files.left",
                tooltip="In text as usual; at its begin to the folder above"),
        Binding("backspace", "back", "Up a folder", show=False, id="files.parent",
                tooltip="In text as usual; at its begin to the folder above"),
        Binding("right", "right", "Into", show=False, id="files.into",
                tooltip="In text as usual; at its end into the folder"),
        Binding("tab", "screen.complete", "Complete", show=False, id="files.complete",
                tooltip="Complete the name; with nothing to add, to the options"),
    ]  # fmt: skip

    async def action_left(self) -> None:
        """To the left, or to the folder above."""
        if self.cursor_position:
            self.action_cursor_left()
        else:
            await self.run_action("screen.up")

    async def action_back(self) -> None:
        """Delete to the left, or go to the folder above."""
        if self.cursor_position:
            self.action_delete_left()
        else:
            await self.run_action("screen.up")

    async def action_right(self) -> None:
        """To the right, or into the folder."""
        if self.cursor_position < len(self.value):
            self.action_cursor_right()
        else:
            await self.run_action("screen.into")


class FileDialog(ModalScreen[None]):
    """Chooses a file. Names are data, never markup."""

    DEFAULT_CSS = """
    FileDialog { align: center middle; }
    FileDialog > Vertical { width: 90%; max-width: 110; height: 90%; max-height: 36;
        border: round $primary; background: $surface; padding: 0 1; }
    FileDialog Input { height: 1; width: 1fr; border: none; padding: 0; background: $panel; }
    FileDialog Input:focus { border: none; }
    FileDialog Horizontal { height: 1; }
    FileDialog .label { width: 9; color: $text-muted; }
    FileDialog .folder { height: 1; width: 1fr; }
    FileDialog .about { height: 2; color: $text-muted; }
    FileDialog _Table { background: $surface; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Leave", id="files.leave", tooltip="Open nothing"),
        Binding("enter", "choose", "Open", id="files.open", priority=True,
                tooltip="Open the file, or go into the folder"),
        Binding("ctrl+t", "hidden", "Hidden", id="files.hidden", priority=True,
                tooltip="Show hidden files, or hide them"),
        Binding("shift+tab", "name", "Name", show=False, id="files.name",
                tooltip="Back to the name"),
    ]  # fmt: skip

    def __init__(
        self,
        title: str,
        files: Files,
        folder: str,
        *,
        options: Sequence[str] | None = None,
        folders: bool = False,
    ) -> None:
        """Make the dialog.

        Args:
            title: What it is for.
            files: Looks at the file system.
            folder: Absolute; where to begin.
            options: Names of options to complete; None: there is no line for options.
            folders: A folder can be chosen as a whole.
        """
        super().__init__()
        self._title = title
        self._files = files
        self._listing = Listing(folder)
        self._recent: Sequence[Entry] = ()
        self._known = options
        self._folders = folders
        self._hidden = False
        self._shown: tuple[Entry, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay out folder, name, list, what is known of the file, and options."""
        with Vertical() as box:
            box.border_title = Content(self._title)
            box.border_subtitle = "Enter opens  Backspace up  Tab completes  ctrl+t hidden"
            with Horizontal():
                yield Static("folder", classes="label")
                yield Static("", classes="folder", markup=False)
            with Horizontal():
                yield Static("name", classes="label")
                yield _Name(compact=True, select_on_focus=False, placeholder="type to narrow")
            yield _Table((Column("name", "", share=1), Column("note", "", 10)), _cells)
            if self._known is not None:
                with Horizontal():
                    yield Static("options", classes="label")
                    yield Input(
                        compact=True, select_on_focus=False, classes="options",
                        placeholder="such as --mode long --memory 64M (Tab)",
                        suggester=_Options(self._known),
                    )  # fmt: skip
            yield Static("", classes="about", markup=False)

    @property
    def _table(self) -> _Table:
        return self.query_one(_Table)

    @property
    def _typed(self) -> _Name:
        return self.query_one(_Name)

    async def on_mount(self) -> None:
        """Show the first folder."""
        self._typed.focus()
        self._recent = await asyncio.to_thread(self._files.recent)
        self._go(self._listing.folder)

    # -- folders ------------------------------------------------------------------------

    def _go(self, folder: str, came_from: str = "") -> None:
        """Show another folder; the cursor stands on the one that was left."""
        self._list(folder, came_from)

    @work(group="list", exclusive=True)
    async def _list(self, folder: str, came_from: str) -> None:
        self._listing = await asyncio.to_thread(self._files.listing, folder)
        self.query_one(".folder", Static).update(Content(one_line(self._listing.folder)))
        self._narrow()
        if came_from:
            self._table.select(lambda entry: entry.path == came_from)

    def _narrow(self) -> None:
        """Show the entries that fit what was typed, those that begin so first."""
        typed = self._typed.value.lower()
        entries = self._listing.entries
        if not (self._hidden or typed.startswith(".")):
            entries = tuple(entry for entry in entries if not entry.name.startswith("."))
        begin = [entry for entry in entries if entry.name.lower().startswith(typed)]
        if typed:
            begin += [
                entry for entry in entries
                if typed in entry.name.lower() and not entry.name.lower().startswith(typed)
            ]  # fmt: skip
        recent = [entry for entry in self._recent if typed in entry.path.lower()]
        self._shown = (*recent, *self._fixed(typed), *begin)
        problem = self._listing.problem
        hides = len(self._listing.entries) > len(begin)
        nothing = "nothing here fits; Backspace widens" if typed else "nothing in this folder"
        self._table.placeholder = problem or nothing
        self._table.set_rows(self._shown)
        self._table.cursor = 0 if recent or typed else min(len(self._fixed("")), len(begin))
        total = f"{len(self._listing.entries):,} here"
        count = f"{len(begin):,} of {total}" if hides else total
        self.query_one("Vertical", Vertical).border_title = Content(f"{self._title}  {count}")
        if problem:
            self._tell(problem)

    def _fixed(self, typed: str) -> list[Entry]:
        """The folder itself, where it can be chosen."""
        folder = self._listing.folder
        if typed or not self._folders:
            return []
        return [Entry("./", folder, note="all of it")]

    def on_input_changed(self, event: Input.Changed) -> None:
        """A slash goes into a folder, other text narrows the list."""
        event.stop()
        if event.input is not self._typed:
            return
        head, slash, rest = event.value.rpartition("/")
        if slash:
            with self.prevent(Input.Changed):
                self._typed.value = rest
            self._recent = ()
            self._go(self._begun(head) or self._files.place(self._listing.folder, head + slash))
        else:
            self._narrow()

    def _begun(self, typed: str) -> str:
        """The only folder here whose name begins as typed; empty where that is not clear."""
        folders = [entry for entry in self._listing.entries if entry.folder]
        fitting = [one for one in folders if typed and one.name.startswith(typed)]
        exact = any(one.name == f"{typed}/" for one in fitting)
        return fitting[0].path if len(fitting) == 1 and not exact else ""

    def action_up(self) -> None:
        """Go to the folder above."""
        here = self._listing.folder
        self._recent = ()
        self._go(self._files.place(here, f"{UP}/"), here)

    def action_into(self) -> None:
        """Go into the folder under the cursor."""
        entry = self._table.current
        if entry is not None and entry.folder:
            self._enter(entry)

    def _enter(self, entry: Entry) -> None:
        with self.prevent(Input.Changed):
            self._typed.value = ""
        self._recent = ()
        self._go(entry.path)

    def action_hidden(self) -> None:
        """Show hidden files, or hide them."""
        self._hidden = not self._hidden
        self._narrow()

    # -- the list -----------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._table.cursor += by

    def action_page(self, direction: int) -> None:
        """Move half a page."""
        self._table.action_page(direction)

    def action_complete(self) -> None:
        """Complete what was typed as far as it is the same in all; else go to the options."""
        typed = self._typed.value
        names = [
            entry.name for entry in self._shown
            if not entry.note and entry.name.lower().startswith(typed.lower())
        ]  # fmt: skip
        common = _common(names) if typed else ""
        if len(common) > len(typed):
            self._typed.value = common  # with a slash at its end it goes into the folder
            self._typed.cursor_position = len(self._typed.value)
        elif self._known is not None:
            self.query_one(".options", Input).focus()

    def action_name(self) -> None:
        """Back from the options."""
        self._typed.focus()

    @on(LineTable.Highlighted)
    def _highlighted(self, event: LineTable.Highlighted) -> None:
        event.stop()
        entry = self._table.current
        if entry is not None:
            self._look(entry)

    @work(group="about", exclusive=True)
    async def _look(self, entry: Entry) -> None:
        self._tell(await asyncio.to_thread(self._files.about, entry.path))

    def _tell(self, text: str, *, failed: bool = False) -> None:
        line = Content.styled(one_line(text), "$text-error" if failed else "")
        self.query_one(".about", Static).update(line)

    # -- choosing -----------------------------------------------------------------------

    @on(LineTable.Chosen)
    def _chosen(self, event: LineTable.Chosen) -> None:
        event.stop()
        self.action_choose()

    def action_choose(self) -> None:
        """Open the file under the cursor, or go into the folder."""
        entry = self._table.current
        if entry is None:
            self._tell(self._listing.problem or "there is no such file here", failed=True)
            return
        if entry.folder:
            self._enter(entry)
            return
        line = self.query(".options")
        options = line.first(Input).value.strip() if line else ""
        complaint = self._files.choose(entry.path, options or entry.options)
        if complaint:
            self._tell(complaint, failed=True)
        else:
            self.dismiss()


def _cells(entry: Entry) -> Sequence[Cell]:
    tone = "accent" if entry.folder else ""
    name = entry.name
    if entry.note == RECENT:
        name = "  ".join(filter(None, (name, entry.options, f"in {entry.path.rpartition('/')[0]}")))
    return (Cell(name, tone), Cell(entry.note, "muted"))


def _common(names: Sequence[str]) -> str:
    """The longest beginning of all names."""
    if not names:
        return ""
    first, last = min(names), max(names)
    for place, letter in enumerate(first):
        if place >= len(last) or last[place] != letter:
            return first[:place]
    return first
