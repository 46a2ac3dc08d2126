"""What statistical tests say of a stream, and what they can't say."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.entropy.health_facts import SAYS_NOTHING, Health, Verdict
from kdash.widgets.entropy.tone_lines import Line, Span, ToneLines, wrapped

SOURCES = ("getrandom", "hwrng", "timing", "model")
MEANINGS = {
    "getrandom": "the running kernel's generator",
    "hwrng": "/dev/hwrng, the hardware source itself",
    "timing": "how long reading the clock takes here, lowest byte: raw, so it fails most tests",
    "model": "/dev/urandom of the Linux 4.3 model, fed by this machine",
}
WORDS = {True: ("pass", "good"), False: ("FAIL", "bad"), None: ("-", "muted")}
TESTS = {  # key of a verdict -> its name, and what it looks for
    "fips140": ("FIPS 140-2", "20,000-bit blocks: ones, patterns, runs"),
    "rct": ("repetition count", "a source that is stuck at one byte"),
    "apt": ("adaptive proportion", "a source that began to favour one byte"),
    "mcv_bytes": ("most common byte", "min-entropy, bits a byte: one seen most"),
    "mcv_bits": ("most common bit", "min-entropy, bits a bit: more of one"),
    "collision_bits": ("collision", "min-entropy, bits a bit: soon repeated"),
    "markov_bits": ("Markov", "min-entropy, bits a bit: by the one before"),
    "compression_bits": ("compression", "min-entropy, bits a bit: patterns repeat"),
    "chi_square": ("chi-square", "whether all bytes come equally often"),
    "mean": ("mean", "whether low or high bytes are favoured"),
    "serial_correlation": ("serial correlation", "whether a byte tells of the next"),
}
WIDTHS = (19, 4, 25, 30, 18)  # cells of the columns: test, verdict, found, band, false alarms
LEAST_BAND, LEAST_PURPOSE = 20, 52  # cells; with less the column is left out
TALL = 36  # lines from which on what a test looks for goes below it, if not beside it
HEAD = ("test", "", "found", "a perfect stream", "false alarm")


class HealthView(ToneLines):
    """Draws the verdicts; asks for tests by a message."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "test", "Test", id="health.test",
                tooltip="Test the stream's next bytes, or stop testing"),
        Binding("t", "next_source", "Source", id="health.source",
                tooltip="Test another stream: the kernel, its hardware source, timing, the model"),
    ]  # fmt: skip

    class Test(Message):
        """Bytes of a source are to be tested, or that is to end."""

        def __init__(self, source: str, *, again: bool) -> None:
            super().__init__()
            self.source = source
            self.again = again  # another source: what goes on ends first

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.source = SOURCES[0]
        self._health: Health | None = None
        self._state = ""
        self._failed = False

    def action_test(self) -> None:
        """Ask for a test of the source."""
        self.post_message(self.Test(self.source, again=False))

    def action_next_source(self) -> None:
        """Ask for a test of the next source."""
        self.choose(SOURCES[(SOURCES.index(self.source) + 1) % len(SOURCES)])

    def choose(self, source: str) -> None:
        """Ask for a test of a source, one of SOURCES."""
        self.source = source
        self._health = None
        self.post_message(self.Test(source, again=True))
        self.redraw()

    def show_health(self, health: Health | None, state: str, *, failed: bool = False) -> None:
        """Draw what the tests found, and say how far they are."""
        self._health, self._state, self._failed = health, state, failed
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """Lay out the source, the verdicts and what they don't say."""
        title: Line = (Span(self.source, "strong"), Span(f"  {MEANINGS[self.source]}", "muted"))
        lines: list[Line] = [title]
        if self._state:
            lines += wrapped(self._state, width, "bad" if self._failed else "accent")
        health = self._health
        if health is None:
            if not self._state:
                lines.append((Span("nothing tested yet: r tests it, t another source", "muted"),))
            return lines
        lines.append((Span(f"{health.nbytes:,} bytes  r: again  t: another source", "muted"),))
        if health.untested:
            names = ", ".join(TESTS.get(key, (key, ""))[0] for key in health.untested)
            lines += wrapped(f"Too few bytes to judge by: {names}.", width, "warning")
        lines += [(), *_row(HEAD, "what it looks for", width, "muted", "muted")]
        for verdict in health.verdicts:
            lines += _verdict(verdict, width, below=height >= TALL)
        fips = health.fips140
        if fips.failures:
            kinds = (
                ("monobit", fips.monobit), ("poker", fips.poker), ("runs", fips.runs),
                ("long run", fips.long_run), ("continuous", fips.continuous),
            )  # fmt: skip
            told = ", ".join(f"{name} {count:,}" for name, count in kinds if count)
            lines += [(), *wrapped(f"FIPS 140-2 blocks that failed: {told}", width)]
        return [*lines, (), *wrapped(f"This is {SAYS_NOTHING}.", width, "muted")]


def _verdict(verdict: Verdict, width: int, *, below: bool) -> list[Line]:
    word, tone = WORDS[verdict.passes]
    name, looks_for = TESTS.get(verdict.test, (verdict.test, ""))
    cells = (name, word, verdict.statistic, verdict.expected, verdict.false_alarm)
    if width >= sum(WIDTHS) + len(WIDTHS) + LEAST_PURPOSE:
        return _row(cells, looks_for, width, "", tone)
    purpose = wrapped(f"  {looks_for}", width, "muted", indent="  ") if below else []
    return [*_row(cells, "", width, "", tone), *purpose]


def _row(
    cells: tuple[str, str, str, str, str], looks_for: str, width: int, tone: str, verdict_tone: str
) -> list[Line]:
    """A test on one line; where it is too narrow for a perfect stream's band, that goes on below.

    False alarms and what a test looks for are told where there is room for them.
    """
    test, word, found, band, alarm = cells
    first: Line = (
        Span(f"{test:<{WIDTHS[0]}} ", tone),
        Span(f"{word:<{WIDTHS[1]}} ", verdict_tone),
        Span(f"{found:<{WIDTHS[2]}} ", tone),
    )
    used = sum(WIDTHS[:3]) + 3
    room = width - used
    if room < LEAST_BAND:
        return [first, (Span(f"{'':{WIDTHS[0] + WIDTHS[1] + 2}}{band}", "muted"),)]
    pieces = textwrap.wrap(band, min(room, WIDTHS[3])) or [""]
    line: Line = (*first, Span(f"{pieces[0]:<{WIDTHS[3]}} "[:room], "muted"))
    room -= WIDTHS[3] + 1
    if room >= WIDTHS[4]:
        line = (*line, Span(f"{_alarm(alarm):<{WIDTHS[4]}} "[:room], "muted"))
    room -= WIDTHS[4] + 1
    if room >= LEAST_PURPOSE:
        line = (*line, Span(looks_for, "muted"))
    return [line, *((Span(f"{'':{used}}{piece}", "muted"),) for piece in pieces[1:])]


def _alarm(rate: str) -> str:
    """A false-alarm rate without what stands in the band beside it."""
    return rate.partition(" at ")[0]
