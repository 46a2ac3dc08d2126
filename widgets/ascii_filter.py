"""The screen in the characters of ASCII alone, for terminals and fonts that have no others."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SIGNS: Final = {
    **dict.fromkeys("←◄«‹", "<"),
    **dict.fromkeys("→▶▸►»›", ">"),
    **dict.fromkeys("↑▲△", "^"),
    **dict.fromkeys("↓▼▽", "v"),
    **dict.fromkeys("●•◆♦", "*"),
    **dict.fromkeys("○◦◇", "o"),
    **dict.fromkeys("·∙", "."),
    **dict.fromkeys("█▉▊■▮▓◼", "#"),
    **dict.fromkeys("▋▌▒▇▆", "="),
    **dict.fromkeys("▍▎▏▄▅▃", "-"),
    **dict.fromkeys("▁▂", "_"),
    **dict.fromkeys("░□▯", "."),
    "▀": "^", "▐": "|", "▔": "-", "▕": "|",
    "…": "~", "‖": "|", "×": "x", "÷": "/", "µ": "u", "μ": "u", "±": "+",
    "≤": "<", "≥": ">", "≈": "~", "≠": "!", "−": "-", "–": "-", "—": "-",
    "‘": "'", "’": "'", "“": '"', "”": '"', "✓": "+", "✔": "+", "✗": "x", "✘": "x",
    "↔": "-", "↕": "|", "↵": "<", "⇧": "^",
}  # fmt: skip
_KEY_NAMES: Final = {
    "⏎": "enter", "⌫": "backspace", "←": "left", "→": "right", "↑": "up", "↓": "down",
}  # fmt: skip
_BRAILLE: Final = 0x2800  # Unicode: eight bits of dots behind it
_UPPER: Final = 0b00011011  # dots of the two upper rows
_LOWER: Final = 0b11100100  # dots of the two lower ones


class AsciiFilter(LineFilter):
    """Changes what is drawn, cell by cell, just before it is sent: nothing can go round it."""

    @staticmethod
    def key_name(display: str) -> str:
        """The name of a key that is shown by a sign: no other key's sign may stand for it."""
        return _KEY_NAMES.get(display, display)

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments, as wide, in ASCII."""
        del background
        return [
            segment
            if segment.control or segment.text.isascii()
            else Segment(as_ascii(segment.text), segment.style)
            for segment in segments
        ]


def as_ascii(text: str) -> str:
    """Text that takes as many cells, of ASCII characters that look alike, or ? where none does."""
    return text if text.isascii() else "".join(map(_sign, text))


@lru_cache(maxsize=4096)
def _sign(character: str) -> str:
    if character.isascii():
        return character
    width = cell_len(character)
    if sign := _SIGNS.get(character):
        return sign * width
    code = ord(character)
    if _BRAILLE <= code < _BRAILLE + 256:
        return _dots(code - _BRAILLE)
    if 0x2500 <= code < 0x2580:
        return _line(unicodedata.name(character))
    if character.isspace():
        return " " * width
    letter = unicodedata.normalize("NFKD", character)[:1]
    return letter if width == 1 and letter.isascii() and letter.isprintable() else "?" * width


def _dots(dots: int) -> str:
    """A cell of a plot: where its dots are."""
    if dots.bit_count() > 5:
        return "#"
    upper, lower = dots & _UPPER, dots & _LOWER
    return ":" if upper and lower else "'" if upper else "." if lower else " "


def _line(name: str) -> str:
    """A part of a box or graph, by its Unicode name."""
    turns = sum(way in name for way in ("UP", "DOWN", "LEFT", "RIGHT"))
    if "DIAGONAL" in name:
        return "X" if "CROSS" in name else "/" if "UPPER RIGHT" in name else "\\"
    across = "HORIZONTAL" in name or "LEFT" in name or "RIGHT" in name
    along = "VERTICAL" in name or "UP" in name or "DOWN" in name
    if across and along:
        return "+"
    if across:
        return "=" if "HEAVY" in name and not turns else "-"
    return "|"
