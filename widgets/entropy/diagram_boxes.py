"""Boxes, bars with a mark and columns: the parts the diagram of the Linux 4.3 pools is made of."""

from __future__ import annotations

from collections.abc import Sequence

from kdash.widgets.entropy.gauge import bar
from kdash.widgets.entropy.tone_lines import Line, Span, plain

FULL_MARK = "┃"


def fitted(line: Line, width: int) -> Line:
    """The line cut or filled with blanks to `width` cells."""
    spans = []
    left = width
    for text, tone in line:
        if left <= 0:
            break
        spans.append(Span(text[:left], tone))
        left -= len(text)
    return (*spans, Span(" " * left)) if left > 0 else tuple(spans)


def box(
    title: str, lines: Sequence[Line], width: int, tone: str = "", outlet: str = ""
) -> list[Line]:
    """Lines in a frame of `width` cells with a title in its upper edge.

    Args:
        title: What the box is.
        lines: What stands in it.
        width: Cells, frame included.
        tone: Of the frame.
        outlet: "┬" where something leaves by the middle of its lower edge.
    """
    inside = width - 4
    head = f"┌ {title[:inside]} "
    lower = "─" * (width - 2)
    if outlet:
        middle = (width - 2) // 2
        lower = lower[:middle] + outlet + lower[middle + 1 :]
    return [
        (Span(head, tone), Span("─" * (width - len(head) - 1) + "┐", tone)),
        *((Span("│ ", tone), *fitted(line, inside), Span(" │", tone)) for line in lines),
        (Span(f"└{lower}┘", tone),),
    ]


def marked_bar(value: float, top: float, width: int, marks: Sequence[float], tone: str) -> Line:
    """A bar filled up to value / top with a mark at each of `marks`, which are values too."""
    if width <= 0:
        return ()
    drawn = bar(value, top, width)
    filled = len(drawn.rstrip("·"))
    cells = list(drawn)
    at = {min(width - 1, int(mark / top * width)) for mark in marks if 0 <= mark <= top}
    for place in at:
        cells[place] = FULL_MARK
    spans: list[Span] = []
    for place, cell in enumerate(cells):
        kind = "strong" if place in at else tone if place < filled else "muted"
        if spans and spans[-1].tone == kind:
            spans[-1] = Span(spans[-1].text + cell, kind)
        else:
            spans.append(Span(cell, kind))
    return tuple(spans)


def columns(parts: Sequence[Sequence[Line]], width: int, gap: int = 1) -> list[Line]:
    """Blocks of lines side by side, each `width` cells wide."""
    height = max((len(part) for part in parts), default=0)
    rows: list[Line] = []
    for y in range(height):
        spans: list[Span] = []
        for x, part in enumerate(parts):
            line = part[y] if y < len(part) else ()
            spans += (Span(" " * gap), *fitted(line, width)) if x else fitted(line, width)
        rows.append(tuple(spans))
    return rows


def centred(text: str, width: int, tone: str = "") -> Line:
    """Text in the middle of `width` cells."""
    return (Span(text[:width].center(width), tone),)


def joined(pieces: Sequence[Span], width: int, gap: str = "  ") -> list[Line]:
    """Pieces one after the other, on as many lines of `width` cells as they need."""
    lines: list[Line] = []
    now: list[Span] = []
    for piece in pieces:
        if now and len(plain(tuple(now))) + len(gap) + len(piece.text) > width:
            lines.append(tuple(now))
            now = []
        now += [Span(gap), piece] if now else [piece]
    return [*lines, tuple(now)] if now else lines


def branches(stem: int, ends: Sequence[int], width: int) -> Line:
    """The way from one place to several below it, drawn in `width` cells.

    Args:
        stem: Column the way comes from.
        ends: Columns it leads to, rising.
        width: Cells.
    """
    first, last = min(stem, *ends), max(stem, *ends)
    row = [" "] * width
    row[first : last + 1] = "─" * (last + 1 - first)
    for end in ends:
        row[end] = "┌" if end == first else "┐" if end == last else "┬"
    if first == last:
        row[stem] = "│"
    elif stem in ends:
        row[stem] = "├" if stem == first else "┤" if stem == last else "┼"
    else:
        row[stem] = "└" if stem == first else "┘" if stem == last else "┴"
    return (Span("".join(row), "muted"),)
