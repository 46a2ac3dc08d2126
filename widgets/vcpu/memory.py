"""A stretch of guest memory: followed, scrolled, changed bytes marked, set in place."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.widgets.key_taker import KeyTaker
from kdash.widgets.vcpu.memory_lines import (
    Cursor,
    Examine,
    address_digits,
    bytes_a_row,
    extended,
    memory_lines,
    value_text,
)
from kdash.widgets.vcpu.part import Line, LinePart, Piece

EMPTY = "no memory shown: try :x/64b 0x1000"
EDITING = "hex digits set it, Enter ends"
HEX = frozenset("0123456789abcdef")
TOP = 1 << 64


class MemoryView(LinePart, KeyTaker):
    """Draws what `x` asked for; moving beyond it asks for what lies there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "value(-1)", "Left", show=False, id="memory.left",
                tooltip="Previous value"),
        Binding("l,right", "value(1)", "Right", show=False, id="memory.right",
                tooltip="Next value"),
        Binding("enter", "edit", "Set", show=False, id="memory.set",
                tooltip="Set the value under the cursor: type hexadecimal digits"),
    ]  # fmt: skip

    class Wanted(Message):
        """Other memory shall be shown."""

        def __init__(self, what: Examine) -> None:
            super().__init__()
            self.what = what

    class Edited(Message):
        """Bytes shall be written."""

        def __init__(self, address: int, data: bytes, *, physical: bool) -> None:
            super().__init__()
            self.address = address
            self.data = data
            self.physical = physical

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Memory", id=id)
        self._what: Examine | None = None
        self._data = b""
        self._reference: tuple[int, bytes] = (0, b"")  # address and bytes at the stop before
        self._home = 0  # the address last asked for by a person
        self._cursor: int | None = None  # address of the value under it
        self._typed = ""

    @property
    def what(self) -> Examine | None:
        """What is shown, None before the first `x`."""
        return self._what

    def show(self, what: Examine, data: bytes, *, stop: bool = True) -> None:
        """Draw `data`.

        Args:
            what: What was asked for.
            data: The bytes there, fewer where memory ends.
            stop: The guest has moved since `show` was called last: what differs from the bytes
                shown then is marked from now on. Otherwise marks stay, and what was set in the
                meantime is marked too.
        """
        old = self._what
        if old is None or old.physical != what.physical:
            self._reference, self._cursor = (what.address, data), None
        elif stop:
            self._reference = (old.address, self._data)
        self._reference = extended(self._reference, what.address, data)
        if old is None or (old.follow, old.unit) != (what.follow, what.unit):
            self._home, self._cursor = what.address, None
        self._what, self._data = what, data
        if self._cursor is not None and not what.address <= self._cursor < what.end:
            self._cursor = None
        self.lay_out()

    def forget(self) -> None:
        """Another guest: its memory did not change, it is another."""
        self._what, self._data = None, b""
        self.lay_out()

    def lay_out(self) -> None:
        """Make the lines for the room there is."""
        width, what = self.room.width, self._what
        if not width:
            return
        if what is None:
            self.set_lines([Line((Piece(EMPTY, "muted"),))])
            return
        space = "physical" if what.physical else "linear"
        note = f"{space} {what.address:x}" if self._data or what.physical else ""
        note += f" = {what.follow}" if what.follow else ""
        self.set_title("Memory", EDITING if self.takes_keys else note)
        cursor = None
        if self.has_focus or self.takes_keys:
            self._cursor = self._place()
            cursor = Cursor(self._cursor, self._typed if self.takes_keys else None)
        self.set_lines(memory_lines(what, self._data, self._reference, width, cursor))

    # -- cursor -------------------------------------------------------------------------

    @property
    def _row(self) -> int:
        assert self._what is not None
        return bytes_a_row(self._what, len(self._data), self.room.width)

    def _go(self, address: int) -> None:
        """Put the cursor on the value at `address`; ask for memory that is not shown."""
        what = self._what
        if what is None:
            return
        address = max(0, address)
        if address + what.unit > TOP:
            return
        self._cursor, self._typed = address, ""
        rows = max(1, self.size.height)
        if address < what.address or address >= what.end:
            behind = address < what.address
            top = address - (address - what.address) % self._row
            start = max(0, top) if behind else max(0, top - (rows - 1) * self._row)
            count = max(what.length, rows * self._row) // what.unit
            if not behind:
                count = (top + self._row - start) // what.unit
            self.post_message(self.Wanted(replace(what, address=start, count=count, follow="")))
            return
        self.lay_out()
        self._reveal()

    def _reveal(self) -> None:
        if self._what is None or self._cursor is None:
            return
        line = (self._cursor - self._what.address) // self._row
        top, height = self.scroll_offset.y, self.size.height
        if line < top or line >= top + height:
            y = line if line < top else line - height + 1
            self.scroll_to(y=y, animate=False, force=True)

    def _place(self) -> int:
        """Where the cursor is; the first value on screen unless it was moved."""
        assert self._what is not None
        if self._cursor is not None:
            return self._cursor
        return self._what.address + self.scroll_offset.y * self._row

    def action_value(self, by: int) -> None:
        """Move by values."""
        if self._what is not None:
            self._go(self._place() + by * self._what.unit)

    def action_move(self, by: int) -> None:
        """Move by lines."""
        if self._what is not None:
            self._go(self._place() + by * self._row)

    def action_half_page(self, direction: int) -> None:
        """Move by half a page."""
        if self._what is not None:
            self._go(self._place() + direction * max(1, self.size.height // 2) * self._row)

    def action_edge(self, direction: int) -> None:
        """Back to the address asked for, or to the end of what is shown."""
        if self._what is not None:
            self._go(self._home if direction < 0 else self._what.end - self._what.unit)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the value clicked; a double click sets it."""
        what, offset = self._what, event.get_content_offset(self)
        if what is None or offset is None:
            return
        column = offset.x - address_digits(what, len(self._data)) - 2
        cells = len(value_text(bytes(what.unit), what.form)) + 1
        index = column // cells
        if column >= 0 and index < self._row // what.unit:
            line = offset.y + self.scroll_offset.y
            self._go(what.address + line * self._row + index * what.unit)
            if event.chain == 2:
                self.action_edit()

    def on_blur(self) -> None:
        """What was half typed goes."""
        self._stop_editing()

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self.lay_out()
        self._reveal()

    # -- setting ------------------------------------------------------------------------

    def action_edit(self) -> None:
        """Let digits set the value under the cursor."""
        if self._what is None:
            return
        if self._what.form != "x":
            self.post_message(self.Wanted(replace(self._what, form="x")))
        if self._cursor is None:
            self._cursor = self._place()
        self.takes_keys, self._typed = True, ""
        self.refresh_bindings()
        self.lay_out()
        self._reveal()

    def _stop_editing(self) -> None:
        if self.takes_keys:
            self.takes_keys, self._typed = False, ""
            self.refresh_bindings()
            self.lay_out()

    def take_key(self, event: events.Key) -> None:
        """While a value is being set, digits belong to it."""
        if self._what is None:  # there is nothing to set any more
            self._stop_editing()
            return
        moves = {"left": -1, "right": 1, "up": -self._row, "down": self._row}
        typed = (event.character or "").lower()
        if event.key in ("escape", "enter"):
            if event.key == "enter" and self._typed:
                self._set(self._typed)
            self._stop_editing()
        elif event.key == "backspace":
            self._typed = self._typed[:-1]
            self.lay_out()
        elif event.key in moves:
            by = moves[event.key]
            self._go(self._place() + (by * self._what.unit if abs(by) == 1 else by))
        elif typed in HEX and typed:
            self._typed += typed
            if len(self._typed) == 2 * self._what.unit:
                self._set(self._typed)
                self._go(self._place() + self._what.unit)
            else:
                self.lay_out()

    def _set(self, digits: str) -> None:
        assert self._what is not None
        data = int(digits, 16).to_bytes(self._what.unit, "little")
        self._typed = ""
        self.post_message(self.Edited(self._place(), data, physical=self._what.physical))
