"""The text a boot sector prints by BIOS calls: a log of it, and the screen at 0xb8000."""

from __future__ import annotations

from typing import Final, Protocol

from kdash.backends.kvm.bios_layout import CURSOR
from kdash.backends.kvm.device_state import Sent

SCREEN: Final = 0xB8000
COLUMNS: Final = 80
ROWS: Final = 25
PLAIN: Final = 0x07  # light grey on black
#: Bytes of the log kept.
KEPT: Final = 1 << 20

_BELL, _BACKSPACE, _NEWLINE, _RETURN = 7, 8, 10, 13


class Memory(Protocol):
    """Guest-physical memory."""

    def read(self, physical: int, length: int) -> bytes:
        """Read; IndexError where no memory is."""
        ...

    def write(self, physical: int, data: bytes) -> None:
        """Write; IndexError where no memory is."""
        ...


class TextConsole:
    """80x25 cells with a cursor, which is in the BIOS data area where guests look for it."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.sent = Sent()  # printed so far, a bounded tail

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column, always on the screen."""
        column, row = self._memory.read(CURSOR, 2)
        return min(row, ROWS - 1), min(column, COLUMNS - 1)

    @cursor.setter
    def cursor(self, place: tuple[int, int]) -> None:
        row, column = place
        self._memory.write(CURSOR, bytes((min(column, COLUMNS - 1), min(row, ROWS - 1))))

    def clear(self) -> None:
        """Blank the screen, the cursor at its begin."""
        self._memory.write(SCREEN, bytes((0x20, PLAIN)) * (COLUMNS * ROWS))
        self.cursor = (0, 0)

    def log(self, character: int, count: int = 1) -> None:
        """Keep what is printed."""
        self.sent += bytes((character,)) * count
        if len(self.sent) > KEPT:
            self.sent.keep(KEPT // 2)

    def teletype(self, character: int, attribute: int | None = None) -> None:
        """Print at the cursor and move on, with bell, backspace, line feed and return."""
        self.log(character)
        row, column = self.cursor
        if character == _RETURN:
            column = 0
        elif character == _NEWLINE:
            row += 1
        elif character == _BACKSPACE:
            column = max(column - 1, 0)
        elif character != _BELL:
            self.put(row, column, character, attribute)
            column += 1
        if column == COLUMNS:
            row, column = row + 1, 0
        if row == ROWS:
            self.scroll(1, PLAIN, (0, 0, ROWS - 1, COLUMNS - 1))
            row = ROWS - 1
        self.cursor = (row, column)

    def put(self, row: int, column: int, character: int, attribute: int | None = None) -> None:
        """Write one cell; without an attribute the cell's stays."""
        at = SCREEN + 2 * (row * COLUMNS + column)
        self._memory.write(at, bytes((character,) if attribute is None else (character, attribute)))

    def cell(self) -> tuple[int, int]:
        """Character and attribute under the cursor."""
        row, column = self.cursor
        character, attribute = self._memory.read(SCREEN + 2 * (row * COLUMNS + column), 2)
        return character, attribute

    def repeat(self, character: int, attribute: int | None, count: int) -> None:
        """Write so many cells from the cursor on, which stays."""
        row, column = self.cursor
        first = row * COLUMNS + column
        count = min(count, COLUMNS * ROWS - first)
        self.log(character, count)
        for cell in range(first, first + count):
            self.put(*divmod(cell, COLUMNS), character, attribute)

    def scroll(self, lines: int, attribute: int, window: tuple[int, int, int, int]) -> None:
        """Move a window (top, left, bottom, right) up, down for negative lines; 0 blanks it."""
        top, left, bottom, right = window
        bottom, right = min(bottom, ROWS - 1), min(right, COLUMNS - 1)
        if top > bottom or left > right:
            return
        blank = bytes((0x20, attribute)) * (right - left + 1)

        def at(row: int) -> int:
            return SCREEN + 2 * (row * COLUMNS + left)

        rows = [self._memory.read(at(row), len(blank)) for row in range(top, bottom + 1)]
        for number in range(len(rows)):
            source = number + lines
            kept = lines and 0 <= source < len(rows)
            self._memory.write(at(top + number), rows[source] if kept else blank)
