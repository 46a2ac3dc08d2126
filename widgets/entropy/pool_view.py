"""The input pool of Linux 4.3 as a model at work: its words, its count, its last operation."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from kdash.backends.entropy.facts import ModelStep, PoolState
from kdash.widgets.entropy.gauge import Level, level_lines
from kdash.widgets.entropy.pool_map import FULL_COLUMNS, LEGEND, full_width, map_lines
from kdash.widgets.entropy.tone_lines import Line, Span, ToneLines, wrapped

# Defaults of Linux 4.3, drivers/char/random.c: random_read_wakeup_bits, random_write_wakeup_bits.
READ_WAKEUP = 64  # bits
WRITE_WAKEUP = 896  # bits: 28 of the pool's 128 words
UNIT = 8  # entropy_count is kept in 1/8 bit (ENTROPY_SHIFT 3)
REMEMBERED = 64  # steps listed below the map, where there is room
OUTPUT_LINES = 2  # of a long extraction
NOTICE = (
    "A MODEL of Linux 4.3's input pool, run by kdash on this machine's events or on those you "
    "make up. It never touches the kernel's own pool."
)
NOTICE_IN_SHORT = "MODEL of Linux 4.3's input pool, run by kdash; not the kernel's pool"
LOW = 22  # lines below which every line is needed for the words


class PoolView(ToneLines):
    """Draws the pool after the latest step; remembers how long ago each word changed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state: PoolState | None = None
        self._steps: deque[ModelStep] = deque(maxlen=REMEMBERED)
        self._changed_at: dict[int, int] = {}  # word -> index of the step that changed it
        self._output = b""
        self._feed = ""
        self._failure = ""

    @property
    def last_output(self) -> bytes:
        """What the last extraction gave."""
        return self._output

    @property
    def empty(self) -> bool:
        """Whether there is no pool to draw yet."""
        return self._state is None

    def fail(self, cause: str) -> None:
        """Say above the pool why it goes on no more."""
        if cause != self._failure:
            self._failure = cause
            self.redraw()

    def set_feed(self, words: str) -> None:
        """Say what feeds the model: "live, clock x60", "frozen"."""
        if words != self._feed:
            self._feed = words
            self.redraw()

    def start(self, state: PoolState) -> None:
        """Draw the pool before its first step, in place of one before."""
        self._state = state
        self._steps.clear()
        self._changed_at.clear()
        self._output = b""
        self.redraw()

    def add(self, steps: Sequence[ModelStep]) -> None:
        """Take in steps, oldest first, and draw the pool after the last."""
        for step in steps:
            self._steps.append(step)
            self._state = step.input
            self._changed_at.update(dict.fromkeys(step.changed_words, step.index))
            self._output = step.output or self._output
        if steps:
            self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """Lay the view out; the list of earlier steps takes the lines the rest leaves."""
        state = self._state
        failure = wrapped(self._failure, width, "bad") if self._failure else []
        if state is None:
            return failure or [(Span("starting the model of Linux 4.3's input pool", "muted"),)]
        notice = NOTICE if height >= LOW else NOTICE_IN_SHORT
        top = [*failure, *wrapped(notice, width, "muted"), *_count_lines(state, width)]
        below = [*self._last_lines(width)]
        if width >= full_width():
            rows = len(state.words) // FULL_COLUMNS
            if height >= len(top) + rows + len(below) + 1:
                below.insert(0, (Span(LEGEND, "muted"),))
        else:
            below[:0] = wrapped(LEGEND, width, "muted")
        words = map_lines(state.words, self._ages(), width, height - len(top) - len(below))
        lines = [*top, *words, *below]
        left = height - len(lines)
        return [*lines, *self._earlier(left)] if left >= 3 else lines

    def _ages(self) -> list[int | None]:
        state, latest = self._state, self._steps[-1].index if self._steps else 0
        return [
            latest - self._changed_at[word] if word in self._changed_at else None
            for word in range(len(state.words) if state else 0)
        ]

    def _last_lines(self, width: int) -> list[Line]:
        tone = "warning" if self._feed.startswith("FROZEN") else "muted"
        feed = [(Span(self._feed, tone),)] if self._feed else []
        if not self._steps:
            return [*feed, (Span("no step yet: s takes one", "muted"),)]
        step = self._steps[-1]
        changed = len(step.changed_words)
        did = f"#{step.index} {step.operation}; {changed} word{'s' * (changed != 1)} changed"
        if self._feed and len(self._feed) + 2 + len(did) <= width:
            lines: list[Line] = [(Span(f"{self._feed}  ", tone), Span(did, "strong"))]
        else:
            lines = [*feed, *wrapped(did, width, "strong", indent="  ")]
        return [*lines, *self._output_lines(width)]

    def _output_lines(self, width: int) -> list[Line]:
        if not self._output:
            return [(Span("nothing extracted yet: x takes up to 10 bytes", "muted"),)]
        lines = wrapped(f"last extraction: {self._output.hex(' ')}", width, indent="  ")
        if len(lines) <= OUTPUT_LINES:
            return lines
        return [*lines[:OUTPUT_LINES], (Span(f"  ... {len(self._output)} bytes", "muted"),)]

    def _earlier(self, room: int) -> list[Line]:
        steps = list(self._steps)[-2::-1][: room - 2]
        if not steps:
            return []
        listed = [(Span(f"#{step.index:<5} {step.operation}", "muted"),) for step in steps]
        return [(), (Span("before that", "muted"),), *listed]


def _count_lines(state: PoolState, width: int) -> list[Line]:
    bits = state.entropy_count / UNIT
    tone = "good" if bits >= READ_WAKEUP else "warning"
    marks = (("read", READ_WAKEUP), ("write", WRITE_WAKEUP))
    return level_lines(Level("count", bits, state.size_bits, marks, tone), width)
