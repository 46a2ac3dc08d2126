"""What the interface costs and how soon it answers while a guest runs.

The real program runs in a pseudo-terminal of 120x40. Keys are typed into the `:` prompt, at
uneven distances so that they do not keep step with the drawing, and the clock stops when what
was typed has been received back: the prompt draws its line as a whole. In turn with it a program
that only gives back what it is sent, `cat`, is asked the same: what the machine itself takes
then, whoever else uses it. The processor time is that of the program's first thread, which is
the interface's; VCPUs have their own.
"""

from __future__ import annotations

import os
import pty
import random
import select
import signal
import struct
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Iterable, Iterator, Mapping
from fcntl import ioctl
from pathlib import Path
from types import MappingProxyType

from measurement import Aim, Measurement, Statistic, tell

from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession

ROOT = Path(__file__).resolve().parents[1]
GUESTS = {"spins": bytes.fromhex("40ebfd"), "makes exits": bytes.fromhex("e680ebfc")}
PACES = {" ": "at full speed", "c": "recorded"}
COLUMNS, LINES = 120, 40
KEYS = 80
LIMIT = 20.0  # seconds until an answer is given up
QUIET = 5.0  # seconds over which processor time is taken
GAPS = (0.03, 0.13)  # seconds between two keys


class Terminal:
    """A program on a terminal, and what it has sent since it was last asked something."""

    def __init__(
        self,
        arguments: list[str],
        *,
        columns: int = COLUMNS,
        lines: int = LINES,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
            os.environ.update(env)
            ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            tty.setraw(0)
            os.execvp(arguments[0], arguments)
        self._received = b""
        self._asked = time.perf_counter()

    def type(self, keys: str) -> None:
        """Send keys; what was received before them is forgotten."""
        self._received = b""
        self._asked = time.perf_counter()  # before: the program may be woken instead of us
        os.write(self._terminal, keys.encode())

    def until(self, *wanted: bytes, limit: float = LIMIT) -> float:
        """Seconds from the keys typed last until all of it has been received."""
        end = time.perf_counter() + limit
        while (now := time.perf_counter()) < end:
            if all(word in self._received for word in wanted):
                return now - self._asked
            self.read(0.5)
        raise SystemExit(f"no {wanted!r} within {limit:.0f} s, but {self._received[-300:]!r}")

    def read(self, seconds: float) -> None:
        """Take what was sent, waiting for the first of it."""
        if select.select([self._terminal], [], [], seconds)[0]:
            self._received += os.read(self._terminal, 1 << 16)

    def rest(self, seconds: float) -> int:
        """Let it send for so long; how many bytes it sent."""
        self._received = b""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.read(left)
        return len(self._received)

    def processor_time(self) -> float:
        """Seconds of processor time that the program's first thread has had."""
        schedule = Path(f"/proc/{self.pid}/task/{self.pid}/schedstat")
        return int(schedule.read_text().split()[0]) / 1e9

    def close(self) -> None:
        """End the program."""
        os.kill(self.pid, signal.SIGTERM)
        try:
            while select.select([self._terminal], [], [], 2.0)[0]:
                if not os.read(self._terminal, 1 << 16):
                    break
        except OSError:
            pass
        os.close(self._terminal)
        os.waitpid(self.pid, 0)


def answers(
    dashboard: Terminal, echo: Terminal, keys: int = KEYS
) -> tuple[list[float], list[float]]:
    """Seconds until each key typed has come back, from the dashboard and from the echo."""
    dashboard.type(":")
    dashboard.rest(0.5)
    times, bare, typed = [], [], ""
    for number in range(keys):
        if number % 20 == 0:
            dashboard.type("\x15")  # ctrl+u: begin the line anew
            dashboard.rest(0.3)
            typed = ""
        typed += "qwxyz"[number % 5]
        dashboard.type(typed[-1])
        times.append(dashboard.until(typed.encode()))
        dashboard.rest(random.uniform(*GAPS))
        echo.type("x")
        bare.append(echo.until(b"x"))
    dashboard.type("\x1b")
    return times, bare


def pauses(image: bytes, *, recorded: bool) -> list[float]:
    """Seconds from asking for a pause to a guest that has stopped."""
    times = []
    session = VcpuSession(flat(image, "guest"))
    try:
        for _ in range(40):
            _ = session.run_stepped() if recorded else session.run()
            time.sleep(random.uniform(*GAPS))
            begin = time.perf_counter()
            session.pause().result(LIMIT)
            times.append(time.perf_counter() - begin)
    finally:
        session.close()
    return times


def guest_running(name: str, image: bytes, pace: str, echo: Terminal) -> Iterator[Measurement]:
    """The figures for one guest at one pace."""
    with tempfile.TemporaryDirectory() as folder:
        guest = Path(folder) / "guest.bin"
        guest.write_bytes(image)
        dashboard = Terminal([sys.executable, "-m", "kdash", str(guest)])
        try:
            dashboard.until(b"rip", b"rflags")
            dashboard.rest(0.5)
            dashboard.type(pace)
            dashboard.until(b"running")
            dashboard.rest(0.5)
            before = dashboard.processor_time()
            sent = dashboard.rest(QUIET)
            share = (dashboard.processor_time() - before) / QUIET
            times, bare = answers(dashboard, echo)
        finally:
            dashboard.close()
    stops = pauses(image, recorded=pace == "c")
    beside = f"beside a guest that {name} {PACES[pace]}"
    yield answered(f"key answered {beside}", times, bare)
    yield Measurement(
        f"pause of a guest that {name} {PACES[pace]}", milliseconds(stops), "ms",
        aim=Aim(50), statistic=Statistic.LATE,
    )  # fmt: skip
    yield Measurement(f"interface {beside}", (share * 100,), "% of a core", aim=Aim(15))
    yield Measurement(f"sent to the terminal {beside}", (sent / QUIET / 1000,), "kB/s")


def answered(subject: str, times: list[float], bare: list[float]) -> Measurement:
    """How soon keys came back, beside a program that only gives them back."""
    return Measurement(
        subject, milliseconds(times), "ms", "bare echo", milliseconds(bare), Aim(50),
        Statistic.LATE, floor=True,
    )  # fmt: skip


def milliseconds(times: Iterable[float]) -> tuple[float, ...]:
    """Seconds as milliseconds."""
    return tuple(1000 * seconds for seconds in times)


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """The figures for each guest at each pace; the one that makes exits alone where time counts."""
    echo = Terminal(["cat"])
    try:
        for pace in PACES:
            for name, image in GUESTS.items() if full else list(GUESTS.items())[-1:]:
                yield from guest_running(name, image, pace, echo)
    finally:
        echo.close()


if __name__ == "__main__":
    tell(measure(full=True))
