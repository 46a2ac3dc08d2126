"""Several curves over one axis in braille characters: solid ones and dotted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from kdash.widgets.entropy.braille import ACROSS, BITS, BLANK, DOWN, dot_row, round_top
from kdash.widgets.entropy.tone_lines import Line, Span, plain

LABELS = 8  # cells left of the axis
KEY_SOLID, KEY_DOTTED = "⠒", "⠂"
BESIDE = (0, 1, -1, 2, -2)  # cells from a point, where its letter may stand
DOTTED = 3  # of so many dot columns a dotted curve fills one
TOPS = (1, 1.5, 2, 3, 4, 6, 8)  # times a power of ten: where an upright axis may end


@dataclass(frozen=True, slots=True)
class Curve:
    """Points joined by straight lines."""

    points: tuple[tuple[float, float], ...]  # by rising x
    tone: str
    dotted: bool = False
    mark: str = ""  # a letter at each point, by which the curve is known without colours


def curve_lines(
    curves: Sequence[Curve], width: int, height: int, unit: str, axis: str
) -> list[Line]:
    """Draw the curves in `width` x `height` cells, axes and their labels included.

    Args:
        curves: The later are drawn over the earlier; y starts at 0, x at the least there is.
        width: Cells, at least LABELS + 8.
        height: Lines, at least 4.
        unit: Stands behind the greatest value on the upright axis: "reads/s".
        axis: What the level axis counts: "threads".
    """
    points = [point for curve in curves for point in curve.points]
    left, right = min((x for x, _ in points), default=0.0), max((x for x, _ in points), default=1.0)
    if left == right:
        left = 0.0
    top = round_top(max((y for _, y in points), default=1.0), 1.0, TOPS)
    across, rows = max(1, width - LABELS - 1), max(1, height - 2)
    dots = [[0] * across for _ in range(rows)]
    tones = [[""] * across for _ in range(rows)]
    for curve in curves:
        for x, y in _dots(curve, (left, right), top, across * ACROSS, rows * DOWN):
            dots[y // DOWN][x // ACROSS] |= BITS[x % ACROSS][y % DOWN]
            tones[y // DOWN][x // ACROSS] = curve.tone
    marks = _marks(curves, (left, right), top, across, rows)
    lines: list[Line] = []
    for row in range(rows):
        label = short(top) if row == 0 else "0" if row == rows - 1 else ""
        lines.append(
            (
                Span(f"{label:>{LABELS}}"),
                Span("┤" if label else "│", "muted"),
                *_runs(dots[row], tones[row], marks.get(row, {})),
            )
        )
    lines.append((Span(" " * LABELS), Span("└" + "─" * across, "muted")))
    first, last = short(left), short(right)
    room = across - len(first) - len(last)
    names = f"{f'{unit} over {axis}'[:room]:^{max(0, room)}}"
    lines.append((Span(" " * (LABELS + 1)), Span(f"{first}{names}{last}"[:across], "muted")))
    return lines


def key_lines(
    entries: Sequence[tuple[str, str, str]], width: int, *, dotted: bool = False
) -> list[Line]:
    """Which curve is which: its letter, a piece of it, its name.

    Args:
        entries: Letter, tone and name of each.
        width: Cells there are.
        dotted: Whether the curves are dotted ones.
    """
    piece = KEY_DOTTED if dotted else KEY_SOLID
    lines: list[Line] = []
    now: tuple[Span, ...] = ()
    for mark, tone, name in entries:
        entry = (Span(f"{piece}{mark}{piece}", tone), Span(f" {name}"))
        if now and len(plain(now)) + 2 + len(plain(entry)) > width:
            lines.append(now)
            now = ()
        now = (*now, Span("  "), *entry) if now else entry
    return [*lines, now] if now else lines


def short(value: float) -> str:
    """A number in at most five characters: 167k, 2.15M."""
    for limit, divisor, unit in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= limit:
            return f"{value / divisor:.3g}{unit}"
    return f"{value:.0f}"


def _marks(
    curves: Sequence[Curve], span: tuple[float, float], top: float, across: int, rows: int
) -> dict[int, dict[int, tuple[str, str]]]:
    """The letters of the points and their tones, by row and column.

    Where curves meet, the letter of the first stands at the point, those of the others beside it.
    """
    found: dict[int, dict[int, tuple[str, str]]] = {}
    for curve in curves:
        for x, y in _placed(curve, span, top, across * ACROSS, rows * DOWN):
            row = found.setdefault(y // DOWN, {})
            place = x // ACROSS
            beside = (place + way for way in BESIDE)
            free = (at for at in beside if at not in row and 0 <= at < across)
            if curve.mark and (at := next(free, None)) is not None:
                row[at] = (curve.mark, curve.tone)
    return found


def _placed(
    curve: Curve, span: tuple[float, float], top: float, columns: int, rows: int
) -> list[tuple[int, int]]:
    """The dot of each point."""
    left, right = span
    length = (right - left) or 1.0
    return [
        (round((x - left) / length * (columns - 1)), dot_row(y, 0.0, top, rows))
        for x, y in curve.points
    ]


def _runs(dots: Sequence[int], tones: Sequence[str], marks: Mapping[int, tuple[str, str]]) -> Line:
    cells = [
        marks.get(x, (chr(BLANK + dot), tone))
        for x, (dot, tone) in enumerate(zip(dots, tones, strict=True))
    ]
    runs = groupby(cells, key=lambda cell: cell[1])
    return tuple(Span("".join(char for char, _ in run), tone) for tone, run in runs)


def _dots(
    curve: Curve, span: tuple[float, float], top: float, columns: int, rows: int
) -> list[tuple[int, int]]:
    """The dots of a curve; a point is four of them, so that one alone is seen."""
    found = []
    placed = _placed(curve, span, top, columns, rows)
    for x, y in placed:
        found += [
            (min(columns - 1, x + i), min(rows - 1, max(0, y + j))) for i in (0, 1) for j in (-1, 0)
        ]
    for (x0, y0), (x1, y1) in pairwise(placed):
        before = y0
        for x in range(x0, x1 + 1):
            row = round(y0 + (y1 - y0) * (x - x0) / max(1, x1 - x0))
            if not curve.dotted:
                step = 1 if row >= before else -1
                found += [(x, y) for y in range(before, row + step, step)]
            elif x % DOTTED == 0:
                found.append((x, row))
            before = row
    return found
