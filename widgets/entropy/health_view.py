"""What statistical tests say of a stream, and what they can't say."""

from __future__ import annotations

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
WIDTHS = (18, 4, 24)  # cells of the columns before the last


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

    def lines(self, width: int, height: int) -> Sequence[Line]:  # noqa: ARG002 - it scrolls
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
        lines += [(), _row(("test", "", "found", "a perfect stream"), "muted", "muted")]
        lines += [_verdict(verdict) for verdict in health.verdicts]
        fips = health.fips140
        if fips.failures:
            kinds = (
                ("monobit", fips.monobit), ("poker", fips.poker), ("runs", fips.runs),
                ("long run", fips.long_run), ("continuous", fips.continuous),
            )  # fmt: skip
            told = ", ".join(f"{name} {count:,}" for name, count in kinds if count)
            lines += [(), *wrapped(f"FIPS 140-2 blocks that failed: {told}", width)]
        return [*lines, (), *wrapped(f"This is {SAYS_NOTHING}.", width, "muted")]


def _verdict(verdict: Verdict) -> Line:
    word, tone = WORDS[verdict.passes]
    return _row((verdict.test, word, verdict.statistic, verdict.expected), "", tone)


def _row(cells: tuple[str, str, str, str], tone: str, verdict_tone: str) -> Line:
    test, word, found, expected = cells
    return (
        Span(f"{test:<{WIDTHS[0]}} ", tone),
        Span(f"{word:<{WIDTHS[1]}}  ", verdict_tone),
        Span(f"{found:<{WIDTHS[2]}}  ", tone),
        Span(expected, "muted"),
    )
