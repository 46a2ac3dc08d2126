"""The live generator of this kernel: readiness, what its number means, its signals, a plot."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from kdash.backends.entropy.facts import Era, Reading
from kdash.widgets.entropy.gauge import Level, level_lines, progress_lines
from kdash.widgets.entropy.plot import LEAST_HEIGHT, plot_lines
from kdash.widgets.entropy.series import SERIES, Series, first_series
from kdash.widgets.entropy.signals import signal_lines, signals
from kdash.widgets.entropy.tone_lines import Line, Span, ToneLines, plain, wrapped

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

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.series: Series | None = None  # None: the first reading chooses
        self.frozen = False
        self._readings: Sequence[Reading] = ()
        self._step = 1.0

    def show(self, readings: Sequence[Reading], step: float) -> None:
        """Draw these readings, oldest first, taken `step` seconds apart."""
        self._readings = readings
        self._step = step
        if self.series is None and readings and _settled(readings):
            self.series = first_series(readings[-1])
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
        latest = self._readings[-1] if self._readings else None
        offered = [s for s in SERIES if latest is None or not s.absence(latest)] or list(SERIES)
        place = offered.index(self.series) if self.series in offered else -1
        self.plot(offered[(place + 1) % len(offered)])

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """Lay the view out; the plot takes the lines the rest leaves."""
        if not self._readings:
            return [(Span("reading the generator's state", "muted"),)]
        reading = self._readings[-1]
        top = [*_state_lines(reading, width, frozen=self.frozen), *_number_lines(reading, width)]
        told = [line for signal in signals(reading) for line in signal_lines(signal, width)]
        left = height - len(top) - len(told)
        plot = self._plot_lines(width, min(left - 1, TALLEST_PLOT))
        if left <= len(plot):  # the plot moves, so it comes before what must be scrolled to
            return [*top, *plot, *told]
        gap: tuple[Line, ...] = ((),) if left >= len(plot) + 2 else ()
        return [*top, *gap, *told, (), *plot]

    def _plot_lines(self, width: int, height: int) -> list[Line]:
        if self.series is None:
            return [(Span("the plot begins with the second reading", "muted"),)]
        height = max(LEAST_HEIGHT + 1, height)
        return plot_lines(self.series, self._readings, self._step, width, height)


def _settled(readings: Sequence[Reading]) -> bool:
    # Rates and the reseed clock need two looks; before that nothing can be chosen by what moves.
    return readings[-1].gauge or len(readings) > 1


def _state_lines(reading: Reading, width: int, *, frozen: bool) -> list[Line]:
    if reading.ready is None:
        lamp = Span("? READINESS UNKNOWN", "warning")
    elif reading.ready:
        lamp = Span("● READY", "good")
    else:
        lamp = Span("○ NOT SEEDED", "bad")
    words = Span(f"  {_readiness(reading)}")
    if frozen:
        words = Span("  FROZEN, space resumes", "warning")
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
    if avail is None or size is None:
        told = reading.unavailable
        reason = told.get("entropy_avail") or told.get("sample") or "no number"
        return [*wrapped(f"entropy_avail not available: {reason}", width, "muted"), *meaning]
    if not reading.gauge:
        return [*progress_lines("boot progress", avail, size, width), *meaning]
    read, write = reading.read_wakeup_threshold, reading.write_wakeup_threshold
    both = (("read", read), ("write", write))
    marks = tuple((name, bits) for name, bits in both if bits is not None)
    tone, words = _level(avail, read, write, era=reading.era)
    lines = level_lines(Level("entropy_avail", avail, size, marks, tone), width)
    if words:
        lines += wrapped(words, width, tone)
    return [*lines, *meaning]


def _level(avail: int, read: int | None, write: int | None, *, era: Era) -> tuple[str, str]:
    """Tone of a level, and what its place among the thresholds brings about, in words."""
    if read is not None and avail < read:
        return "bad", "below the read wake-up: readers of /dev/random wait"
    if write is not None and avail < write and era is not Era.SINCE_5_18:
        return "warning", "below the write wake-up: writers such as rngd are woken to add entropy"
    return "good", ""
