"""What readers that share a lock cost each other: measured here, simulated for larger machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.entropy.contention_facts import Contention, Point, Shares
from kdash.backends.wording import counted
from kdash.widgets.entropy.curves import Curve, curve_lines, short
from kdash.widgets.entropy.tone_lines import Line, Span, ToneLines, plain, wrapped

BESIDE = 120  # cells; from here on both experiments stand side by side
LEAST_CHART, MOST_CHART = 6, 14  # lines
MARK = 0.8  # share of waiting that the published machine of four sockets exceeded
TABLE = 52  # cells of the table before the bars of shares
LEAST_BAR, MOST_BAR = 16, 40  # cells of such a bar
EXPLANATION = (
    "Threads read 16 bytes time after time: in Linux 4.3 all behind one pool's lock, in the "
    "proposal of 2015 with a pool and lock for each node. r measures on this machine, which "
    "keeps every processor busy for some seconds; r again stops."
)
TONES = ("bad", "warning", "good", "accent")


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
        head = wrapped(EXPLANATION, width, "muted")
        if width < BESIDE:
            chart = min(MOST_CHART, max(LEAST_CHART, height - len(head) - 10))
            return [*head, (), *self._measured_lines(width, chart), (),
                    *self._simulated_lines(width, chart)]  # fmt: skip
        half = (width - 3) // 2
        chart = min(MOST_CHART, max(LEAST_CHART, height - len(head) - 14))
        left, right = self._measured_lines(half, chart), self._simulated_lines(half, chart)
        return [*head, (), *_beside(left, right, half)]

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
        return [*lines, *_table(found.points, width, _measured_tone)]

    def _simulated_lines(self, width: int, chart: int) -> list[Line]:
        if not self._simulated:
            return [(Span("SIMULATED", "strong"), Span("  computing", "muted"))]
        origin = self._simulated[0].origin
        lines: list[Line] = [(Span("SIMULATED", "strong"), Span(f"  {origin}", "muted"))]
        curves = [
            Curve(_curve(points), tone, dotted=True)
            for points, tone in (
                ([point for point in self._simulated if point.pools == 1], "bad"),
                (_one_a_socket(self._simulated), "good"),
            )
        ]
        lines += curve_lines(curves, width, chart, "reads/s", "threads, 30 a socket")
        return [*lines, *_table(self._simulated, width, _simulated_tone)]


def _measured_curves(points: Sequence[Point]) -> list[Curve]:
    kinds = {tone: [one for one in points if _measured_tone(one) == tone] for tone in TONES}
    return [Curve(_curve(found), tone) for tone, found in kinds.items() if found]


def _curve(points: Sequence[Point]) -> tuple[tuple[float, float], ...]:
    return tuple(sorted((float(point.threads), point.reads_per_second) for point in points))


def _one_a_socket(points: Sequence[Point]) -> list[Point]:
    """Of each number of threads the point with the most pools."""
    most: dict[int, Point] = {}
    for point in points:
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
    return "bad" if point.pools == 1 else "good"


def _table(points: Sequence[Point], width: int, tone_of: Callable[[Point], str]) -> list[Line]:
    room = min(MOST_BAR, width - TABLE - 2)
    best = width >= TABLE
    head = f"{'threads':>7} {'design':<10} {'reads/s':>7}" + (f" {'best':>6}" if best else "")
    head += f" {'CPU ns':>7} {'CPU':>4}"
    share = f" {'spin':>5}"
    lines: list[Line] = [
        (Span(f"{head}{share}" + ("  shares of time" if room >= LEAST_BAR else ""), "muted"),)
    ]
    for point in points:
        spin = f"{point.shares.spin:>5.0%}" if point.shares else f"{'-':>5}"
        numbers = f" {short(point.reads_per_second):>7}"
        numbers += f" {short(point.best_reads_per_second):>6}" if best else ""
        numbers += f" {short(point.cpu_ns_per_read):>7} {point.cpu_share:>4.0%} "
        high = point.shares is not None and point.shares.spin > MARK
        line: Line = (
            Span(f"{point.threads:>7} "),
            Span(f"{point.design:<10}", tone_of(point)),
            Span(numbers),
            Span(spin, "bad" if high else ""),
        )
        if room >= LEAST_BAR and point.shares is not None:
            line += (Span("  "), *_shares(point.shares, room))
        lines.append(line)
    if room >= LEAST_BAR:
        mark = f"80 % waiting ▲{'':{room - round(MARK * room)}}"
        lines.append((Span(f"{mark:>{TABLE + 2 + room}}", "muted"),))
        lines.append((Span("█ waiting for the lock  ▒ holding it  ░ the rest", "muted"),))
    return lines


def _shares(shares: Shares, room: int) -> Line:
    spin = round(shares.spin * room)
    hold = min(room - spin, round(shares.hold * room))
    rest = room - spin - hold
    return Span("█" * spin, "bad"), Span("▒" * hold, "warning"), Span("░" * rest, "muted")


def _beside(left: Sequence[Line], right: Sequence[Line], half: int) -> list[Line]:
    found = []
    for row in range(max(len(left), len(right))):
        first = left[row] if row < len(left) else ()
        second = right[row] if row < len(right) else ()
        gap = " " * max(0, half - len(plain(first)))
        found.append((*first, Span(f"{gap}   "), *second))
    return found
