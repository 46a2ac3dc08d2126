"""Exits by kind: how many, what share, how many a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from kdash.backends.kvm.facts import RunState, Snapshot
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.part import Line, LinePart, Piece
from kdash.widgets.vcpu.status import amount

MOST = 6  # kinds with a line of their own
SPAN = 1.0  # seconds over which a rate is taken
BAR = "█"
NAME, NUMBER, SHARE, RATE = 15, 8, 6, 10  # cells of the columns

Counts = tuple[tuple[str, int], ...]


def histogram_lines(counts: Counts, rates: Mapping[str, float], width: int) -> list[Line]:
    """A line a kind, the most frequent first, the rest in one.

    Args:
        counts: Exits by name, the most frequent first.
        rates: Exits a second by name; empty while the guest stands.
        width: Cells there are.
    """
    total = sum(count for _, count in counts)
    shown = list(counts)
    if len(shown) > MOST:
        rest = shown[MOST - 1 :]
        shown = [*shown[: MOST - 1], (f"{len(rest)} others", sum(count for _, count in rest))]
    most = max((count for _, count in shown), default=0)
    room = max(0, width - NAME - NUMBER - SHARE - (RATE if rates else 0) - 1)
    lines = []
    for name, count in shown:
        pieces = [
            Piece(f"{printable(name)[: NAME - 1]:<{NAME}}", "strong"),
            Piece(f"{amount(count):>{NUMBER - 1}} "),
            Piece(f"{100 * count / total:>{SHARE - 2}.0f}% ", "label"),
        ]
        if rates:
            pieces.append(Piece(f"{amount(rates.get(name, 0.0)):>{RATE - 3}}/s ", "accent"))
        pieces.append(Piece(BAR * max(1, room * count // most), "muted"))
        lines.append(Line(tuple(pieces)))
    return lines


class Histogram(LinePart, can_focus=False):
    """The kinds over the list of exits, where that has all the room."""

    DEFAULT_CSS = f"""
    Histogram {{ height: auto; max-height: {MOST + 1}; overflow-y: hidden; }}
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.display = False
        self._counts: Counts = ()
        self._rates: dict[str, float] = {}
        self._samples: deque[tuple[float, Counts]] = deque()

    def show(self, now: float, snapshot: Snapshot) -> None:
        """Draw the counts of `snapshot`, taken at `now` (monotonic, seconds)."""
        self._counts = snapshot.exit_counts
        samples = self._samples
        if snapshot.state is not RunState.RUNNING:
            samples.clear()
            self._rates = {}
        else:
            samples.append((now, snapshot.exit_counts))
            while now - samples[0][0] > SPAN and len(samples) > 2:
                samples.popleft()
            before, seconds = dict(samples[0][1]), now - samples[0][0]
            if seconds > 0:
                self._rates = {
                    name: max(0, count - before.get(name, 0)) / seconds
                    for name, count in self._counts
                }
        self.lay_out()

    def lay_out(self) -> None:
        """Make the lines for the room there is."""
        lines = histogram_lines(self._counts, self._rates, self.app.size.width if not
                                self.room.width else self.room.width)  # fmt: skip
        height = len(lines)
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        self.set_lines(lines)
