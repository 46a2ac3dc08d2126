"""The live generator of this kernel: readiness, what its number means, its signals, a plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType

from kdash.backends.entropy.facts import Era, Reading
from kdash.widgets.entropy.gauge import Level, level_lines, progress_lines
from kdash.widgets.entropy.plot import LABELS, LEAST_HEIGHT, Plot, dot_columns, plot_lines
from kdash.widgets.entropy.series import SERIES, Series, first_series
from kdash.widgets.entropy.signals import signal_lines, signals
from kdash.widgets.entropy.timeline import Timeline, Trend
from kdash.widgets.entropy.tone_lines import Line, Span, ToneLines, plain, wrapped
from kdash.widgets.key_names import key_of

TALLEST_PLOT = 16  # lines; more tells nothing more
GENERATORS = {
    Era.BEFORE_3_17: "generator of Linux before 3.17",
    Era.SINCE_3_17: "generator of Linux 3.17 to 5.5",
    Era.SINCE_5_6: "generator of Linux 5.6 to 5.17",
    Era.SINCE_5_18: "generator of Linux 5.18",
    Era.SINCE_5_19: "generator of Linux 5.19 and later",
    Era.LRNG: "the alternative generator LRNG",
    Era.REPLACED: "/dev/random is not the kernel's own",
    Era.UNKNOWN: "generator not recognised",
}


class KernelView(ToneLines):
    """Draws the latest reading and the history of one series."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "zoom(-1)", "Zoom in", show=False, id="history.zoom-in",
                tooltip="Plot less time, in more detail", key_display="+"),
        Binding("minus", "zoom(1)", "Zoom out", show=False, id="history.zoom-out",
                tooltip="Plot more time, up to a day", key_display="-"),
        Binding("left,h", "cursor(-1)", "Back", show=False, id="history.back",
                tooltip="Cursor of the plot back in time"),
        Binding("right,l", "cursor(1)", "Forward", show=False, id="history.forward",
                tooltip="Cursor of the plot forward in time"),
        Binding("shift+left,H", "cursor(-20)", "Far back", show=False, id="history.far-back",
                tooltip="Cursor of the plot far back in time"),
        Binding("shift+right,L", "cursor(20)", "Far forward", show=False,
                id="history.far-forward", tooltip="Cursor of the plot far forward in time"),
        Binding("escape", "now", "Now", show=False, id="history.now",
                tooltip="Take the plot's cursor away and follow what comes"),
    ]  # fmt: skip

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.series: Series | None = None  # None: the first reading chooses
        self.frozen = False
        self.timeline = Timeline()
        self._reading: Reading | None = None
        self._trend: Trend | None = None
        self._interval = 1.0
        self._plot_rows = range(0)  # lines of the plot, for the mouse

    def show(self, reading: Reading, trend: Trend, interval: float) -> None:
        """Draw this reading, and what led to it, taken `interval` seconds apart."""
        second = self._reading is not None and reading is not self._reading
        self._reading, self._trend, self._interval = reading, trend, interval
        # Rates need two looks; before that nothing can be chosen by what moves.
        known = reading.gauge or reading.irq_per_second is not None
        if self.series is None and (known or second):
            self.series = first_series(reading)
        self.redraw()

    def set_frozen(self, frozen: bool) -> None:
        """Say that what is shown no longer follows the machine, or does again."""
        self.frozen = frozen
        self.redraw()

    def plot(self, series: Series) -> None:
        """Plot another series."""
        self.series = series
        self.redraw()

    def plot_next(self) -> None:
        """Plot the series after this one, leaving out those without a value here."""
        latest = self._reading
        offered = [s for s in SERIES if latest is None or not s.absence(latest)] or list(SERIES)
        place = offered.index(self.series) if self.series in offered else -1
        self.plot(offered[(place + 1) % len(offered)])

    # -- time ---------------------------------------------------------------------------

    def look(self, timeline: Timeline) -> None:
        """Plot another stretch of time."""
        self.timeline = timeline
        self.redraw()

    def fit(self, seconds: float) -> None:
        """Plot at least this many seconds, where there are so many."""
        self.look(self.timeline.fitting(seconds, self._dot_columns))

    @property
    def _dot_columns(self) -> int:
        return dot_columns(self.scrollable_content_region.width)

    def action_zoom(self, by: int) -> None:
        """Plot more time, or less."""
        self.look(self.timeline.zoomed(by))

    def action_cursor(self, by: int) -> None:
        """Move the cursor by dot columns."""
        if self._reading is not None:
            self.look(self.timeline.moved(by, self._reading.monotonic, self._dot_columns))

    def action_now(self) -> None:
        """Follow what comes, without a cursor."""
        self.look(self.timeline.now())

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is."""
        y, x = event.y + self.scroll_offset.y, event.x - LABELS - 1
        columns = self._dot_columns
        if self._reading is None or y not in self._plot_rows or not 0 <= 2 * x < columns:
            return
        end = self._reading.monotonic if self.timeline.end is None else self.timeline.end
        self.look(self.timeline.at(end - (columns - 1 - (2 * x + 1)) * self.timeline.step))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in where the wheel turns over the plot."""
        self._wheel(event, -1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out where the wheel turns over the plot."""
        self._wheel(event, 1)

    def _wheel(self, event: events.MouseEvent, by: int) -> None:
        if event.y + self.scroll_offset.y in self._plot_rows:
            event.stop()
            event.prevent_default()
            self.action_zoom(by)

    # -- drawing ------------------------------------------------------------------------

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """Lay the view out; the plot takes the lines the rest leaves."""
        reading = self._reading
        self._plot_rows = range(0)
        if reading is None:
            return [(Span("reading the generator's state", "muted"),)]
        resumed_by = key_of(self, "entropy.freeze", "space") if self.frozen else ""
        top = [*_state_lines(reading, width, resumed_by), *_number_lines(reading, width)]
        told = [line for signal in signals(reading) for line in signal_lines(signal, width)]
        left = height - len(top) - len(told)
        plot = self._plot_lines(reading, width, min(left - 1, TALLEST_PLOT))
        if left <= len(plot):  # the plot moves, so it comes before what must be scrolled to
            self._plot_rows = range(len(top), len(top) + len(plot))
            return [*top, *plot, *told]
        gap: tuple[Line, ...] = ((),) if left >= len(plot) + 2 else ()
        above = [*top, *gap, *told, ()]
        self._plot_rows = range(len(above), len(above) + len(plot))
        return [*above, *plot]

    def _plot_lines(self, reading: Reading, width: int, height: int) -> list[Line]:
        if self.series is None or self._trend is None:
            return [(Span("the plot begins with the second reading", "muted"),)]
        key = key_of(self, "entropy.plot", "p")
        plot = Plot(self.series, reading, self._trend, self.timeline, self._interval, key)
        return plot_lines(plot, width, max(LEAST_HEIGHT + 1, height))


def _state_lines(reading: Reading, width: int, resumed_by: str) -> list[Line]:
    if reading.ready is None:
        lamp = Span("? READINESS UNKNOWN", "warning")
    elif reading.ready:
        lamp = Span("● READY", "good")
    else:
        lamp = Span("○ NOT SEEDED", "bad")
    words = Span(f"  {_readiness(reading)}")
    if resumed_by:
        words = Span(f"  FROZEN, {resumed_by} resumes", "warning")
    era = Span(GENERATORS[reading.era], "muted")
    line: Line = (lamp, words)
    spare = width - cell_len(plain(line)) - len(era.text)
    if spare >= 2:
        lines: list[Line] = [(*line, Span(" " * spare), era)]
    else:
        lines = [line, (era,)] if cell_len(plain(line)) <= width else [(lamp,), (words,), (era,)]
    for alert in reading.alerts:
        lines += wrapped(f"! {alert}", width, "bad", indent="  ")
    return lines


def _readiness(reading: Reading) -> str:
    if reading.ready is None:
        return ""
    if reading.era is Era.BEFORE_3_17:  # there is no getrandom to say anything about
        return "seeded" if reading.ready else "its numbers could be guessed"
    return "seeded: getrandom does not wait" if reading.ready else "getrandom waits for the seed"


def _number_lines(reading: Reading, width: int) -> list[Line]:
    meaning = wrapped(reading.meaning, width)
    avail, size = reading.entropy_avail, reading.poolsize
    told = reading.unavailable
    if avail is not None and not size:
        reason = told.get("poolsize", "it has none")
        lacking = f"entropy_avail {avail:,} bits; of how many is not available: {reason}"
        return [*wrapped(lacking, width), *meaning]
    if avail is None or size is None:
        reason = told.get("entropy_avail") or told.get("sample") or "no number"
        return [*wrapped(f"entropy_avail not available: {reason}", width, "muted"), *meaning]
    if not reading.gauge:
        again = reading.era is Era.SINCE_5_18 and bool(reading.ready)
        other = reading.era is Era.LRNG  # of what, it alone knows
        label = "entropy_avail" if other else "to the next reseed" if again else "boot progress"
        return [*progress_lines(label, avail, size, width, again=again or other), *meaning]
    read, write = reading.read_wakeup_threshold, reading.write_wakeup_threshold
    both = (("read", read), ("write", write))
    marks = tuple((name, bits) for name, bits in both if bits is not None)
    tone, words = _level(avail, read, write)
    lines = level_lines(Level("entropy_avail", avail, size, marks, tone), width)
    if words:
        lines += wrapped(words, width, tone)
    return [*lines, *meaning]


def _level(avail: int, read: int | None, write: int | None) -> tuple[str, str]:
    """Tone of a level, and what its place among the thresholds brings about, in words."""
    if read is not None and avail < read:
        return "bad", "below the read wake-up: readers of /dev/random wait"
    if write is not None and avail < write:
        return "warning", "below the write wake-up: writers such as rngd are woken to add entropy"
    return "good", ""
