"""The findings browser with 100,000 findings: how soon they are shown, filtered, sorted, grouped.

The widgets of the program are driven in memory at 160x48: the clock runs from the call until the
picture is made. Then the same browser runs on a pseudo-terminal, where the clock runs from a key
typed until the row it leads to, and the detail of it, have been received; in turn with `cat`,
which tells what the machine itself takes.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from interface_rates import Terminal, milliseconds
from measurement import Aim, Measurement, Statistic, tell
from textual.app import App, ComposeResult

from kdash.backends.stack.facts import (
    FileReport,
    Finding,
    Level,
    Line,
    PathStep,
    SourceLine,
    Verdict,
)
from kdash.backends.stack.rule_text import rules_with_examples
from kdash.widgets.stack.browser import Browser
from kdash.widgets.stack.entry import GROUPINGS, ORDERS

COUNT = 100_000  # findings
ROUNDS = 3
A_FILE = 50  # findings
KEYS = 60
GAPS = (0.03, 0.13)  # seconds between two keys
PICTURES = 200  # a second at most, as `kdash` sets it
SIZE = (160, 48)
FILTERS = (
    "kind:unreachable", "file:file0012", "!verdict:ok", "f0001", "kind:call.*frame !file:file01",
    "function:^f00012.*[05]$", "verdict:false-positive",
)  # fmt: skip
#: How far the figures may go: filter and sort, key to screen (milliseconds).
LIMITS = {"once": 100.0, "key": 25.0}


def findings(number: int, kinds: list[str]) -> FileReport:
    """A report with findings as the validator makes them, each with code and path."""
    file = f"drivers/net/vendor{number % 40}/file{number:05}.o"
    states = ("CFA is rsp+8", "CFA is rsp+16, rbx saved at CFA-16")
    made = []
    for place in range(A_FILE):
        serial = number * A_FILE + place
        code = tuple(
            Line(n * 4, b"\x48\x89\xfb\x90", f"mov r{n}, r{serial % 8}", n == 12, states[n % 2])
            for n in range(25)
        )
        path = tuple(PathStep(n * 4, f"jne f{serial:06}+{n:#x}", "branch") for n in range(6))
        made.append(
            Finding(
                file, ".text", f"f{serial:06}", 48, serial * 64, kinds[serial * 7 % len(kinds)],
                Level.ERROR if serial % 3 else Level.WARNING,
                f"call to f{serial * 31 % 997}() without frame pointer save/setup",
                states[0], states[1], f"f{serial * 31 % 997}", SourceLine(f"{file[:-2]}.c", serial),
                f"cause{serial % 5000}", path, disassembly=code, fingerprint=f"mark{serial}",
            )
        )  # fmt: skip
    return FileReport(file, tuple(made), functions=60, instructions=4000)


class BrowserApp(App[None]):
    """The browser alone, filled once it stands."""

    def __init__(self) -> None:
        super().__init__()
        rules = rules_with_examples()
        self.reports = [findings(n, list(rules)) for n in range(COUNT // A_FILE)]
        self.browser = Browser()
        self.browser.rules = rules

    def compose(self) -> ComposeResult:
        """Nothing but the browser."""
        yield self.browser

    def fill(self) -> None:
        """Show all findings at once."""
        self.browser.add(self.reports)
        self.browser.progress("", "")

    def on_mount(self) -> None:
        """On a terminal the findings are there from the start; a large heap is swept seldom."""
        self.browser.begin("filling")
        self.browser.findings.focus()
        if not self.is_headless:
            self.fill()
            gc.freeze()


async def drawn(app: BrowserApp) -> None:
    """Wait until the picture is made."""
    done = asyncio.Event()
    app.browser.call_after_refresh(done.set)
    await done.wait()


class Clock:
    """Milliseconds of each action, on the clock and of the processor, over several rounds."""

    def __init__(self, app: BrowserApp) -> None:
        self._app = app
        self._times: dict[str, list[tuple[float, float]]] = {}
        self._notes: dict[str, str] = {}

    async def take(self, name: str, act: Callable[..., object], *given: object) -> None:
        """Time an action until its picture is made."""
        begin, busy = time.perf_counter(), time.process_time()
        act(*given)
        await drawn(self._app)
        took = (time.perf_counter() - begin) * 1000, (time.process_time() - busy) * 1000
        self._times.setdefault(name, []).append(took)
        table = self._app.browser.findings
        self._notes[name] = f"{table.row_count} rows, {table.line_count} lines"
        await asyncio.sleep(0.05)  # the detail follows

    def told(self) -> list[Measurement]:
        """The processor time of each: others use the machine, too."""
        return [
            Measurement(
                f"browser: {name} ({self._notes[name]})", tuple(busy for _, busy in times), "ms",
                aim=Aim(LIMITS["once"]) if name.startswith(("filter", "sort", "group")) else None,
            )
            for name, times in self._times.items()
        ]  # fmt: skip


async def in_memory(*, full: bool) -> list[Measurement]:
    """The figures of the widgets."""
    app = BrowserApp()
    async with app.run_test(size=SIZE):
        clock = Clock(app)
        await drawn(app)
        gc.freeze()
        await clock.take("on screen", app.fill)
        table, browser = app.browser.findings, app.browser
        while table._rows.index_some(5000):  # what the program does while nobody waits
            await asyncio.sleep(0)
        marks = [f"mark{n}" for n in range(0, COUNT, 10)]
        given = {mark: Verdict(mark, "false-positive") for mark in marks}
        await clock.take("10,000 verdicts", browser.judge, given, browser._today)
        gc.freeze()
        for _ in range(ROUNDS if full else 1):
            for text in FILTERS if full else FILTERS[:3]:
                await clock.take(f"filter {text}", browser.set_filter, text)
                browser.set_filter("")
                await asyncio.sleep(0.05)
            for order in (*ORDERS, "found"):
                await clock.take(f"sort {order}", table.order_by, order)
                await clock.take("sort, reversed", table.turn_round)
            for name in GROUPINGS:
                await clock.take(f"group {name}", table.group_by, (name,))
            await clock.take("flat again", table.group_by, ())
        return clock.told()


def on_a_terminal() -> Iterator[Measurement]:
    """The time from a key to the screen."""
    echo = Terminal(["cat"])
    script = str(Path(__file__).resolve())
    browser = Terminal(["env", f"TEXTUAL_FPS={PICTURES}", sys.executable, script, "app"])
    try:
        browser.until(f"of {COUNT}".encode(), limit=120)  # making findings takes longest
        browser.rest(6.0)  # search texts are made ahead
        rows, details, bare = [], [], []
        for number in range(1, KEYS):
            browser.type("j")
            rows.append(browser.until(f"f{number:06}+0x30".encode()))
            details.append(browser.until(f"{number + 1} of {COUNT}".encode()))
            browser.rest(random.uniform(*GAPS))
            echo.type("x")
            bare.append(echo.until(b"x"))
    finally:
        browser.close()
        echo.close()
    for name, times in (("row", rows), ("detail", details)):
        yield Measurement(
            f"browser: key to {name}", milliseconds(times), "ms", "bare echo", milliseconds(bare),
            Aim(LIMITS["key"]) if name == "row" else None, Statistic.LATE, floor=True,
        )  # fmt: skip


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """Both ways; all the filters, orders and groups where time does not count."""
    yield from asyncio.run(in_memory(full=full))
    yield from on_a_terminal()


if __name__ == "__main__":
    if sys.argv[1:] == ["app"]:
        BrowserApp().run()
    else:
        tell(measure(full=True))
