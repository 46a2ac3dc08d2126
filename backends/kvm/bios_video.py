"""int 10h: the text services of a VGA BIOS; graphics modes are remembered, not drawn.

Source: Ralf Brown's Interrupt List, release 61, INT 10; IBM PC/AT technical reference,
section 5 (BIOS data area).
"""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm.bios_frame import Frame
from kdash.backends.kvm.bios_layout import CURSOR_SHAPE, VIDEO_MODE
from kdash.backends.kvm.bios_text import COLUMNS, Memory, TextConsole

#: Modes whose characters are at 0xb8000 in 80 columns.
_TEXT_MODES: Final = (2, 3, 7)
_KEEP: Final = 0x80  # with a mode: don't clear
_VGA_COLOUR: Final = 0x08  # display combination code


class VideoServices:
    """The services of int 10h.

    Args:
        text: the screen.
        memory: where the BIOS data area is.
    """

    def __init__(self, text: TextConsole, memory: Memory) -> None:
        self._text = text
        self._memory = memory

    def serve(self, frame: Frame) -> None:  # noqa: PLR0912 - one case a function
        """One call."""
        text = self._text
        match frame.high("rax"):
            case 0x00:
                self._set_mode(frame.low("rax"))
            case 0x01:
                self._memory.write(CURSOR_SHAPE, frame.word("rcx").to_bytes(2, "little"))
            case 0x02:
                text.cursor = (frame.high("rdx"), frame.low("rdx"))
            case 0x03:
                row, column = text.cursor
                frame.set16("rdx", row << 8 | column)
                shape = self._memory.read(CURSOR_SHAPE, 2)
                frame.set16("rcx", int.from_bytes(shape, "little"))
            case 0x06 | 0x07 as function:
                self._scroll(frame, 1 if function == 0x06 else -1)
            case 0x08:
                character, attribute = text.cell()
                frame.set16("rax", attribute << 8 | character)
            case 0x09:
                text.repeat(frame.low("rax"), frame.low("rbx"), frame.word("rcx"))
            case 0x0A:
                text.repeat(frame.low("rax"), None, frame.word("rcx"))
            case 0x0E:
                text.teletype(frame.low("rax"))
            case 0x0F:
                frame.set16("rax", COLUMNS << 8 | self._memory.read(VIDEO_MODE, 1)[0])
                frame.set16("rbx", frame.low("rbx"))  # page 0
            case 0x12 if frame.low("rbx") == 0x10:  # colour, 256 KiB
                frame.set16("rbx", 0x0003)
                frame.set16("rcx", 0x0009)
            case 0x13 if frame.high("rbx") == 0:
                self._string(frame)
            case 0x1A if frame.low("rax") == 0:
                frame.set16("rax", frame.word("rax") & 0xFF00 | 0x1A)
                frame.set16("rbx", _VGA_COLOUR)

    def _set_mode(self, value: int) -> None:
        mode = value & ~_KEEP
        self._memory.write(VIDEO_MODE, bytes((mode,)))
        if mode in _TEXT_MODES and not value & _KEEP:
            self._text.clear()

    def _scroll(self, frame: Frame, direction: int) -> None:
        window = (frame.high("rcx"), frame.low("rcx"), frame.high("rdx"), frame.low("rdx"))
        self._text.scroll(direction * frame.low("rax"), frame.high("rbx"), window)

    def _string(self, frame: Frame) -> None:
        """Write a string; AL bit 0: the cursor follows, bit 1: each with its attribute."""
        form, length = frame.low("rax"), frame.word("rcx")
        cell = 2 if form & 2 else 1
        data = frame.read("es", frame.word("rbp"), length * cell)
        before = self._text.cursor
        self._text.cursor = (frame.high("rdx"), frame.low("rdx"))
        for at in range(0, len(data) - cell + 1, cell):
            self._text.teletype(data[at], data[at + 1] if cell == 2 else frame.low("rbx"))
        if not form & 1:
            self._text.cursor = before
