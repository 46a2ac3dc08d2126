"""A level against its fixed range, and progress towards an end: two things that look different."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kdash.widgets.entropy.tone_lines import Line, Span

EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
MARK = "▲"
LEAST_BAR = 6  # cells below which a bar moves to a line of its own


def bar(value: float, top: float, width: int) -> str:
    """`width` cells filled up to value / top, to an eighth of a cell; the rest is dotted."""
    share = min(max(value / top, 0.0), 1.0) if top > 0 else 0.0
    eighths = round(share * width * 8)
    if share > 0 and width > 0:
        eighths = max(1, eighths)  # a little is more than nothing
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
    number = f"{value:.0f}/{top} bits"
    left = len(label) + 1
    room = width - left - len(number) - 1
    lines: list[Line] = [(Span(f"{label} "), Span(number, "strong"))]
    if room >= LEAST_BAR:
        lines = [(Span(f"{label} "), *_bar(level, room), Span(f" {number}", "strong"))]
    else:  # too narrow: the bar below the number
        left, room = 0, max(0, width)
        lines.append(_bar(level, room))
    inside = [(name, bits) for name, bits in level.marks if 0 <= bits <= top]
    return [*lines, *_marks(inside, top, left, room, width)] if inside and top > 0 else lines


def _bar(level: Level, room: int) -> Line:
    drawn = bar(level.value, level.top, room)
    filled = drawn.rstrip("·")
    return Span(filled, level.tone), Span(drawn[len(filled) :], "muted")


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
    indent = min(left, max(0, width - len(legend)))
    return [(Span(pointers, "muted"),), (Span(" " * indent + legend, "muted"),)]


def progress_lines(
    label: str, value: int, end: int, width: int, *, again: bool = False
) -> list[Line]:
    """Progress: a thin line, in words complete or not, never a level.

    Args:
        label: Towards what.
        value: What is reached.
        end: What is to be reached.
        width: Cells.
        again: Whether to be on the way is nothing to mind: it begins anew each time, or only
            another generator knows what its number means.
    """
    done = value >= end
    tone = "" if again else "good" if done else "warning"
    words = f"{value} of {end} bits"
    if not again:
        words += f": {'complete' if done else 'still collecting'}"
    room = width - len(label) - len(words) - 2
    if room >= LEAST_BAR:
        drawn = _progress(value, end, room, tone)
        return [(Span(f"{label} "), *drawn, Span(f" {words}", tone))]
    return [(Span(label),), _progress(value, end, width, tone), (Span(words, tone),)]


def _progress(value: int, end: int, room: int, tone: str) -> Line:
    filled = room * min(max(0, value), end) // end if end > 0 else room
    return Span("━" * filled, tone), Span("╌" * (room - filled), "muted")
