"""What the guest sent over its serial port: data, never obeyed beyond line ends."""

from __future__ import annotations

import re

from rich.cells import cell_len

from kdash.widgets.printable import printable
from kdash.widgets.vcpu.console import ConsolePart
from kdash.widgets.vcpu.part import Line, Piece, taught

LIMIT = 64 * 1024  # bytes drawn; older ones are left out
LIVE = 4 * 1024  # bytes drawn while more are coming
EMPTY = "nothing sent yet: what the guest writes to port 0x3f8 comes here"
ELSEWHERE = "nothing sent to port 0x3f8: this guest writes to its text screen, < and > show it"
_ESCAPE = re.compile(r"(\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})")


def serial_lines(data: bytes, width: int) -> list[Line]:
    r"""Bytes as lines of at most `width` cells.

    LF and CR LF end a line and a tab goes to the next multiple of eight; every other control
    character, escape sequences among them, is shown as an escape in a muted tone. Bytes that
    are no UTF-8 are shown as ``\xff``.
    """
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").expandtabs(8)
    lines: list[Line] = []
    for raw in text.split("\n"):
        pieces = [
            Piece(part, "muted" if escape else "")
            for place, part in enumerate(_ESCAPE.split(printable(raw)))
            for escape in (place % 2 == 1,)
            if part
        ]
        lines += _wrapped(pieces, max(2, width))  # two: a wide character must fit
    return lines


def _amount(length: int) -> str:
    return f"{length:,} byte{'' if length == 1 else 's'}" if length else ""


def _wrapped(pieces: list[Piece], width: int) -> list[Line]:
    rows: list[list[Piece]] = [[]]
    left = width
    for text, tone in pieces:
        rest = text
        while rest:
            head = rest[:left]
            while (cells := cell_len(head)) > left:
                head = head[:-1]
            if not head:
                rows.append([])
                left = width
                continue
            rows[-1].append(Piece(head, tone))
            left -= cells
            rest = rest[len(head) :]
    return [Line(tuple(row)) for row in rows]


class SerialView(ConsolePart):
    """The tail of the serial output; follows its end until scrolled up."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Serial", id=id)
        self._data = b""
        self._live = False
        self._source = "Serial"
        self._empty = EMPTY

    @property
    def written(self) -> bool:
        """Whether the guest sent anything."""
        return bool(self._data)

    def tell_elsewhere(self, elsewhere: bool) -> None:
        """Say that the guest's output is on its text screen, or no longer."""
        empty = ELSEWHERE if elsewhere else EMPTY
        if empty != self._empty:
            self._empty = empty
            self.lay_out()

    def show(self, data: bytes, *, debug_port: bytes = b"", live: bool = False) -> None:
        """Draw the bytes received so far, of a guest that sent none those to its debug port.

        Only the newest of them are drawn while they come, `live`.
        """
        source = "Debug port" if debug_port and not data else "Serial"
        data = data or debug_port
        if data != self._data or live != self._live or source != self._source:
            self._data, self._live, self._source = data[-LIMIT:], live, source
            self.lay_out()

    def lay_out(self) -> None:
        """Make the lines for the room there is."""
        width, height = self.room
        if not width:
            return
        at_end = self.scroll_offset.y >= self.max_scroll_y
        amount = _amount(len(self._data))
        amount = f"the last {amount}" if len(self._data) >= LIMIT else amount
        self.set_title(self._source, self.note(amount))
        if self._data:
            shown = self._data[-LIVE:] if self._live else self._data
            self.set_lines(serial_lines(shown, width))
        else:
            self.set_lines(taught(self._empty, width))
        if at_end and len(self._lines) > height:
            self.scroll_to(y=len(self._lines) - height, animate=False, force=True)

    def copy_text(self) -> str:
        """Everything received, as it is shown."""
        return "\n".join(line.text for line in self._lines) if self._data else ""
