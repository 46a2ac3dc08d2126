"""The text screen of a PC: 80x25 cells of guest memory at 0xb8000.

Mode 3 of the VGA BIOS: a character code of code page 437, then an attribute byte.
"""

from __future__ import annotations

from typing import Final, Protocol

from kdash.backends.kvm.facts import TextScreen

SCREEN: Final = 0xB8000
COLUMNS: Final = 80
ROWS: Final = 25


class Memory(Protocol):
    """Guest-physical memory."""

    def read(self, physical: int, length: int) -> bytes:
        """Read; IndexError where no memory is."""
        ...


class ScreenReader:
    """Looks at the screen of a guest that was just loaded.

    Args:
        memory: what the guest writes to.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._loaded = self._cells()
        self._latest: TextScreen | None = None

    def read(self) -> TextScreen | None:
        """The screen, the same object until it changes; None: the guest never wrote there."""
        cells = self._cells()
        if self._latest is None and cells == self._loaded:
            return None
        if self._latest is None or self._latest.cells != cells:
            self._latest = TextScreen(COLUMNS, ROWS, cells)
        return self._latest

    def _cells(self) -> bytes:
        try:
            return self._memory.read(SCREEN, COLUMNS * ROWS * 2)
        except IndexError:
            return b""
