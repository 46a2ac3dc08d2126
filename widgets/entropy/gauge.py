"""A level against its fixed range, and progress towards an end: two things that look different."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kdash.widgets.entropy.tone_lines import Line, Span

EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
MARK = "▲"


def bar(value: float, top: float, width: int) -> str:
    """`width` cells filled up to value / top, to an eighth of a cell; the rest is dotted."""
    share = min(max(value / top, 0.0), 1.0) if top > 0 else 0.0
    eighths = round(share * width * 8)
    if value > 0:
        eighths = max(1, eighths)
    full, rest = divmod(eighths, 8)
    return ("█" * full + EIGHTHS[rest]).ljust(width, "·")


class Level(NamedTuple):
    """A level that moves within a fixed range."""

    label: str
    value: float  # bits
    top: int  # bits
    marks: tuple[tuple[str, int], ...] = ()  # name and bits of each threshold
    tone: str = ""  # of the filled part


def level_lines(level: Level, width: int) -> list[Line]:
    """The level, its number, and its thresholds marked below it, in `width` cells."""
    label, value, top = level.label, level.value, level.top
    number = f" {value:.0f}/{top} bits"
    room = max(4, width - len(label) - 1 - len(number))
    lines: list[Line] = [
        (Span(f"{label} "), Span(bar(value, top, room), level.tone), Span(number, "strong"))
    ]
    inside = [(name, bits) for name, bits in level.marks if 0 <= bits <= top]
    if inside and top > 0:
        lines += _marks(inside, top, len(label) + 1, room, width)
    return lines


def _marks(
    marks: Sequence[tuple[str, int]], top: int, left: int, room: int, width: int
) -> list[Line]:
    row = [" "] * (left + room)
    for _, bits in marks:
        row[left + min(room - 1, bits * room // top)] = MARK
    pointers = "".join(row).rstrip()
    legend = "wake-ups: " + ", ".join(f"{name} {bits}" for name, bits in marks)
    if len(pointers) + 2 + len(legend) <= width:
        return [(Span(f"{pointers}  {legend}", "muted"),)]
    return [(Span(pointers, "muted"),), (Span(" " * left + legend, "muted"),)]


def progress_line(label: str, value: int, end: int, width: int) -> Line:
    """Progress that ends for good: a thin line, in words complete or not, never a level."""
    done = value >= end
    words = f" {value} of {end} bits: {'complete' if done else 'still collecting'}"
    room = max(4, width - len(label) - 1 - len(words))
    filled = room if done else room * max(0, value) // end if end > 0 else 0
    tone = "good" if done else "warning"
    return (
        Span(f"{label} "),
        Span("━" * filled, tone),
        Span("╌" * (room - filled), "muted"),
        Span(words, tone),
    )
