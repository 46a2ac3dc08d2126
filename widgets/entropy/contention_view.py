"""What readers that share a lock cost each other: measured here, simulated for larger machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.entropy.contention_facts import Contention, Point, Shares
from kdash.backends.wording import counted
from kdash.widgets.entropy.curves import Curve, curve_lines, key_lines, short
from kdash.widgets.entropy.diagram_boxes import columns
from kdash.widgets.entropy.tone_lines import Line, Span, ToneLines, wrapped

BESIDE = 120  # cells; from here on both experiments stand side by side
LEAST_CHART, MOST_CHART = 6, 14  # lines
LEAST_CPU = 0.8  # share of the processors the threads had, below which figures are too low
DISTURBED = "Other work had a part of the processors (CPU): rates are too low, best runs less so."
TALL = 30  # lines; below this the explanation is short
MARK = 0.8  # share of waiting that the published machine of four sockets exceeded
TABLE = 52  # cells of a table of measured points
LEAST_BAR, MOST_BAR = 16, 40  # cells of such a bar
EXPLANATION = (
    "Threads read 16 bytes time after time: in Linux 4.3 all behind one pool's lock, in the "
    "proposal of 2015 with a pool and lock for each node. r measures on this machine, which "
    "keeps every processor busy for some seconds; r again stops."
)
IN_SHORT = (
    "Reads of 16 bytes behind one pool's lock (Linux 4.3), or with a pool and lock each (2015). "
    "r measures for some seconds, r again stops."
)
NAMES = (
    ("a", "bad", "1 pool for all threads"), ("s", "warning", "some threads a pool"),
    ("e", "good", "a pool for each thread"), ("g", "accent", "getrandom of this kernel"),
)  # fmt: skip
SIMULATED_NAMES = (
    ("a", "bad", "1 pool for all nodes"), ("n", "good", "a pool for each node"),
    ("c", "accent", "a pool for each CPU"),
)  # fmt: skip


class ContentionView(ToneLines):
    """Draws both experiments; asks for the measurement by a message."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "measure", "Measure", id="contention.measure",
                tooltip="Measure contention on this machine, or stop measuring"),
    ]  # fmt: skip

    class Measure(Message):
        """The measurement is to begin, or to end."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._measured: Contention | None = None
        self._simulated: tuple[Point, ...] = ()
        self._state = ""
        self._failed = False

    def action_measure(self) -> None:
        """Ask for the measurement, or for its end."""
        self.post_message(self.Measure())

    def show_measured(self, found: Contention | None, state: str, *, failed: bool = False) -> None:
        """Draw what is measured so far, and say how far that is."""
        self._measured, self._state, self._failed = found, state, failed
        self.redraw()

    def show_simulated(self, points: tuple[Point, ...]) -> None:
        """Draw the simulated machines."""
        self._simulated = points
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """Lay both experiments out, beside or below each other."""
        head = wrapped(EXPLANATION if height >= TALL else IN_SHORT, width, "muted")
        if width < BESIDE:
            chart = min(MOST_CHART, max(LEAST_CHART, height - len(head) - 12))
            return [*head, (), *self._measured_lines(width, chart), (),
                    *self._simulated_lines(width, chart)]  # fmt: skip
        half = (width - 3) // 2
        chart = min(MOST_CHART, max(LEAST_CHART, height - len(head) - 14))
        left, right = self._measured_lines(half, chart), self._simulated_lines(half, chart)
        return [*head, (), *columns([left, right], half, gap=3)]

    def _measured_lines(self, width: int, chart: int) -> list[Line]:
        found = self._measured
        tone = "bad" if self._failed else "accent" if self._state else "muted"
        title = "MEASURED on this machine"
        lines: list[Line] = [(Span(title, "strong"),)]
        if found is not None:
            host = f"{counted(found.cpus, 'processor')}, {counted(found.nodes, 'NUMA node')}"
            if len(title) + 2 + len(host) <= width:
                lines = [(*lines[0], Span(f"  {host}", "muted"))]
            else:
                lines.append((Span(host, "muted"),))
        lines += wrapped(self._state, width, tone)
        if found is None:
            return lines if self._state else [*lines, (Span("nothing yet: r measures", "muted"),)]
        if max(point.threads for point in found.points) > 1:
            lines += curve_lines(_measured_curves(found.points), width, chart, "reads/s", "threads")
            tones = {_measured_tone(point) for point in found.points}
            lines += key_lines([name for name in NAMES if name[1] in tones], width)
        lines += _table(found.points, width, _measured_tone, measured=True)
        if min(point.cpu_share for point in found.points) < LEAST_CPU:
            lines += wrapped(DISTURBED, width, "warning")
        return lines

    def _simulated_lines(self, width: int, chart: int) -> list[Line]:
        if not self._simulated:
            return [(Span("SIMULATED", "strong"), Span("  computing", "muted"))]
        origin = self._simulated[0].origin
        lines: list[Line] = [(Span("SIMULATED", "strong"), Span(f"  {origin}", "muted"))]
        shared = [point for point in self._simulated if point.pools == 1]
        each = [point for point in self._simulated if point.pools == point.threads]
        designs = (shared, _one_a_node(self._simulated), each)
        curves = [
            Curve(_curve(points), tone, dotted=True, mark=mark)
            for points, (mark, tone, _) in zip(designs, SIMULATED_NAMES, strict=True)
            if points
        ]
        lines += curve_lines(curves, width, chart, "reads/s", "threads, 30 a socket")
        drawn = {curve.mark for curve in curves}
        names = [name for name in SIMULATED_NAMES if name[0] in drawn]
        lines += key_lines(names, width, dotted=True)
        return [*lines, *_table(self._simulated, width, _simulated_tone, measured=False)]


def _measured_curves(points: Sequence[Point]) -> list[Curve]:
    found = []
    for mark, tone, _ in NAMES:
        kind = [point for point in points if _measured_tone(point) == tone]
        if kind:
            found.append(Curve(_curve(kind), tone, mark=mark))
    return found


def _curve(points: Sequence[Point]) -> tuple[tuple[float, float], ...]:
    return tuple(sorted((float(point.threads), point.reads_per_second) for point in points))


def _one_a_node(points: Sequence[Point]) -> list[Point]:
    """Of each number of threads the point with the most pools that threads share."""
    most: dict[int, Point] = {}
    for point in points:
        if point.pools == point.threads:
            continue
        if point.threads not in most or point.pools > most[point.threads].pools:
            most[point.threads] = point
    return list(most.values())


def _measured_tone(point: Point) -> str:
    """One pool for all, some, one each, the running kernel."""
    if not point.pools:
        return "accent"
    if point.pools == point.threads and point.threads > 1:
        return "good"
    return "bad" if point.pools == 1 else "warning"


def _simulated_tone(point: Point) -> str:
    if point.pools == 1:
        return "bad"
    return "accent" if point.pools == point.threads else "good"


def _table(
    points: Sequence[Point], width: int, tone_of: Callable[[Point], str], *, measured: bool
) -> list[Line]:
    """A line for each point; best runs and processor time only of what was measured."""
    best = measured and width >= TABLE
    head = f"{'threads':>7} {'design':<10} {'reads/s':>7}" + (f" {'best':>6}" if best else "")
    head += f" {'CPU ns':>7} {'CPU':>4}" if measured else ""
    head += f" {'waiting':>8}"
    room = min(MOST_BAR, width - len(head) - 2)
    bars = room >= LEAST_BAR
    lines: list[Line] = [
        (Span(head, "muted"), *(_bar_head(room) if bars else ())),
    ]
    for point in points:
        numbers = f" {short(point.reads_per_second):>7}"
        numbers += f" {short(point.best_reads_per_second):>6}" if best else ""
        if measured:
            numbers += f" {short(point.cpu_ns_per_read):>7} {point.cpu_share:>4.0%}"
        high = point.shares is not None and point.shares.spin > MARK
        spin = f"{point.shares.spin:.0%}" if point.shares else "-"
        line: Line = (
            Span(f"{point.threads:>7} "),
            Span(f"{point.design:<10}", tone_of(point)),
            Span(numbers),
            Span(f" {'!' + spin if high else spin:>8}", "bad" if high else ""),
        )
        if bars and point.shares is not None:
            line += (Span("  "), *_shares(point.shares, room))
        lines.append(line)
    key = "█ waiting for the lock  ▒ holding it  ░ the rest"
    told = wrapped(f"{key}  ! more than {MARK:.0%} waiting", width, "muted")
    return [*lines, *told] if bars else lines


def _bar_head(room: int) -> Line:
    """The heading of the bars, with the mark above its place in them."""
    place = round(MARK * room)
    text = "shares of time" if room >= MOST_BAR else ""
    mark = f"{MARK:.0%} "
    return (Span(f"  {text:<{place - len(mark)}}{mark}▼", "muted"),)


def _shares(shares: Shares, room: int) -> Line:
    spin = round(shares.spin * room)
    hold = min(room - spin, round(shares.hold * room))
    rest = room - spin - hold
    return Span("█" * spin, "bad"), Span("▒" * hold, "warning"), Span("░" * rest, "muted")
