"""The text screen of a guest, with the glyphs and colours of a PC: drawn, never obeyed."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from kdash.backends.kvm.facts import TextScreen
from kdash.widgets.vcpu.console import ConsolePart
from kdash.widgets.vcpu.part import Line, Piece, taught

EMPTY = "nothing on the text screen yet: what the guest writes to 0xb8000 comes here"
BLANK = b"\x00 \xff"  # characters that leave a cell empty

#: Code page 437 as the VGA draws it: below the space there are glyphs too (IBM PC character set).
_LOW = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
GLYPHS = (
    _LOW
    + bytes(range(0x20, 0x7F)).decode("ascii")
    + "⌂"
    + bytes(range(0x80, 0xFF)).decode("cp437")
    + " "
)
#: The colours of text modes as the VGA's BIOS loads them; 6 is brown, not dark yellow.
COLOURS = (
    "000000", "0000aa", "00aa00", "00aaaa", "aa0000", "aa00aa", "aa5500", "aaaaaa",
    "555555", "5555ff", "55ff55", "55ffff", "ff5555", "ff55ff", "ffff55", "ffffff",
)  # fmt: skip


@lru_cache(maxsize=256)
def style_of(attribute: int) -> Style:
    """Colours of an attribute byte: bits 0-3 text, bits 4-6 ground, bit 7 blinks."""
    return Style(
        color=Color.parse(f"#{COLOURS[attribute & 0xF]}"),
        bgcolor=Color.parse(f"#{COLOURS[attribute >> 4 & 7]}"),
        blink=True if attribute & 0x80 else None,
    )


def screen_lines(screen: TextScreen) -> list[Line]:
    """A line for each row; the tone of a piece is its attribute in hexadecimal."""
    lines: list[Line] = []
    for row in range(screen.rows):
        start = row * screen.columns * 2
        cells = screen.cells[start : start + screen.columns * 2]
        pairs = zip(cells[::2], cells[1::2], strict=False)
        lines.append(
            Line(
                tuple(
                    Piece("".join(GLYPHS[code] for code, _ in run), f"{attribute:02x}")
                    for attribute, run in groupby(pairs, key=lambda pair: pair[1])
                )
            )
        )
    return lines


def used_rows(screen: TextScreen) -> int:
    """Rows from the top to the last with something in it."""
    text = screen.cells[::2]
    return -(-len(text.rstrip(BLANK)) // screen.columns)


class ScreenView(ConsolePart):
    """The screen as it is in the guest's memory."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Screen", id=id)
        self._screen: TextScreen | None = None
        self._followed = 0  # line to which it was scrolled for the sake of what is written

    @property
    def written(self) -> bool:
        """Whether the guest ever wrote there."""
        return self._screen is not None

    def show(self, screen: TextScreen | None) -> None:
        """Draw the screen; None: the guest never wrote there."""
        if screen is not self._screen:
            self._screen = screen
            self.lay_out()

    def lay_out(self) -> None:
        """Make the lines."""
        width, height = self.room
        if not width:
            return
        screen = self._screen
        if screen is None:
            self.set_title("Screen", self.note(""))
            self.set_lines(taught(EMPTY, width))
            return
        size = f"{screen.columns}x{screen.rows}"
        if width < screen.columns:
            size += f", columns 1 to {width}"
        self.set_title("Screen", self.note(size))
        following = self.scroll_offset.y == self._followed
        self.set_lines(screen_lines(screen))
        if following and height:
            self._followed = max(0, used_rows(screen) - height)
            self.scroll_to(y=self._followed, animate=False, force=True)

    def copy_text(self) -> str:
        """The text without colours; empty before the guest wrote any."""
        return super().copy_text() if self._screen is not None else ""

    def render_line(self, y: int) -> Strip:
        """Draw one row in the guest's colours."""
        place = y + self.scroll_offset.y
        if self._screen is None or place >= len(self._lines):
            return super().render_line(y)
        segments = [
            Segment(text, style_of(int(tone, 16))) for text, tone in self._lines[place].pieces
        ]
        return Strip(segments).adjust_cell_length(self.room.width, self._base)
