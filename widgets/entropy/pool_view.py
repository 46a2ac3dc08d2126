"""The input pool of Linux 4.3 as a model at work: its words, its count, its last operation."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from kdash.backends.entropy.facts import ModelStep, PoolState
from kdash.widgets.entropy.gauge import Level, level_lines
from kdash.widgets.entropy.model_view import ModelView, bits_of
from kdash.widgets.entropy.pool_map import (
    FULL_COLUMNS,
    LEGEND,
    POINTER_LEGEND,
    full_width,
    map_lines,
    pointer_ages,
)
from kdash.widgets.entropy.step_lines import change_lines
from kdash.widgets.entropy.tone_lines import Line, Span, wrapped
from kdash.widgets.key_names import key_of

# Defaults of Linux 4.3, drivers/char/random.c: random_read_wakeup_bits, random_write_wakeup_bits.
READ_WAKEUP = 64  # bits
WRITE_WAKEUP = 896  # bits: 28 of the pool's 128 words
REMEMBERED = 64  # steps listed below the map, where there is room
LEAST_EARLIER = 3  # lines of that list, its heading included
OUTPUT_LINES = 2  # of a long extraction
NOTICE = (
    "A MODEL of Linux 4.3's input pool, run by kdash on this machine's events or on those you "
    "make up. It never touches the kernel's own pool."
)
NOTICE_IN_SHORT = "MODEL of Linux 4.3's input pool, run by kdash; not the kernel's pool"
LOW = 22  # lines below which every line is needed for the words


class PoolView(ModelView):
    """Draws the pool after the latest step; remembers how long ago each word changed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state: PoolState | None = None
        self._steps: deque[ModelStep] = deque(maxlen=REMEMBERED)
        self._changed_at: dict[int, int] = {}  # word -> index of the step that changed it
        self._output = b""
        self._feed = ""

    @property
    def last_output(self) -> bytes:
        """What the last extraction gave."""
        return self._output

    @property
    def empty(self) -> bool:
        """Whether there is no pool to draw yet."""
        return self._state is None

    def set_feed(self, words: str, *, drawn: bool = True) -> None:
        """Say what feeds the model: "live, clock x60", "frozen"; `drawn` at once."""
        if words != self._feed:
            self._feed = words
            if drawn:
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
        failure = self.failure_lines(width)
        if state is None:
            return failure or [(Span("starting the model of Linux 4.3's input pool", "muted"),)]
        count, below = _count_lines(state, width), self._last_lines(width)
        notice = wrapped(NOTICE, width, "muted")
        rows = len(state.words) // FULL_COLUMNS if width >= full_width() else 0
        if height < LOW or len(failure) + len(notice) + len(count) + rows + len(below) > height:
            notice = wrapped(NOTICE_IN_SHORT, width, "muted")
        top = [*failure, *notice, *count]
        words = map_lines(state.words, self._ages(state), width, height - len(top) - len(below))
        legend = wrapped(POINTER_LEGEND if self._all_changed else LEGEND, width, "muted")
        if len(top) + len(words) + len(legend) + len(below) > height and rows:
            legend = []  # the words themselves come first
        lines = [*top, *words, *legend, *below]
        return [*lines, *self._more_lines(width, height - len(lines))]

    @property
    def _all_changed(self) -> bool:
        """Whether the last step went through the whole pool."""
        last = self._steps[-1] if self._steps else None
        return last is not None and len(last.changed_words) == len(last.input.words)

    def _ages(self, state: PoolState) -> Sequence[int | None]:
        if self._all_changed:
            return pointer_ages(state)
        latest = self._steps[-1].index if self._steps else 0
        return [
            latest - self._changed_at[word] if word in self._changed_at else None
            for word in range(len(state.words))
        ]

    def _last_lines(self, width: int) -> list[Line]:
        tone = "warning" if self._feed.startswith("FROZEN") else "muted"
        feed = wrapped(self._feed, width, tone) if self._feed else []
        if not self._steps:
            return [
                *feed,
                (Span(f"no step yet: {key_of(self, 'entropy.step', 's')} takes one", "muted"),),
            ]
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
            key = key_of(self, "entropy.extract", "x")
            return [(Span(f"nothing extracted yet: {key} takes up to 10 bytes", "muted"),)]
        lines = wrapped(f"last extraction: {self._output.hex(' ')}", width, indent="  ")
        if len(lines) <= OUTPUT_LINES:
            return lines
        return [*lines[:OUTPUT_LINES], (Span(f"  ... {len(self._output)} bytes", "muted"),)]

    def _more_lines(self, width: int, room: int) -> list[Line]:
        """All that a step taken alone has changed; else, or below it, what came before."""
        changed: list[Line] = []
        if self._steps and self._steps[-1].changes and room > 1:
            changed = [(), *change_lines(self._steps[-1].changes, width)][:room]
        return [*changed, *self._earlier(room - len(changed))]

    def _earlier(self, room: int) -> list[Line]:
        if room < LEAST_EARLIER:
            return []
        steps = list(self._steps)[-2::-1][: room - 2]
        if not steps:
            return []
        listed = [(Span(f"#{step.index:<5} {step.operation}", "muted"),) for step in steps]
        return [(), (Span("before that", "muted"),), *listed]


def _count_lines(state: PoolState, width: int) -> list[Line]:
    bits = bits_of(state)
    tone = "good" if bits >= READ_WAKEUP else "warning"
    marks = (("read", READ_WAKEUP), ("write", WRITE_WAKEUP))
    return level_lines(Level("count", bits, state.size_bits, marks, tone), width)
