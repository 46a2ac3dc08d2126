"""From process start to the article guest's registers on the screen.

Starts the dashboard in a pseudo-terminal of 120x40, as a user does, and stops the clock when the
register view has been received: names and values of registers, and the disassembly at CS:IP. In
turn with it the smallest Textual application is started: what the library itself takes here.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

from measurement import Aim, Measurement, tell

ROOT = Path(__file__).resolve().parents[1]
WANTED = (b"rax", b"rip", b"rflags", b"0x3f8")
KDASH = ["-m", "kdash"]
SMALLEST = [
    "-c",
    "from textual.app import App\n"
    "from textual.widgets import Static\n"
    "class Smallest(App):\n"
    "    def compose(self): yield Static('content')\n"
    "Smallest().run()",
]
LIMIT = 20.0  # seconds a start may take before it is given up


def start_once(arguments: list[str], wanted: tuple[bytes, ...]) -> float:
    """Seconds from fork to `wanted` on a terminal of 120x40."""
    begin = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
        ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        os.execv(sys.executable, [sys.executable, *arguments])
    try:
        return _until_content(terminal, begin, wanted)
    finally:
        os.kill(pid, signal.SIGTERM)
        _drain(terminal)
        os.close(terminal)
        os.waitpid(pid, 0)


def _until_content(terminal: int, begin: float, wanted: tuple[bytes, ...]) -> float:
    received = b""
    while time.perf_counter() - begin < LIMIT:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        received += os.read(terminal, 1 << 16)
        if all(word in received for word in wanted):
            return time.perf_counter() - begin
    raise SystemExit(f"no content on the screen within {LIMIT:.0f} s")


def _drain(terminal: int) -> None:
    try:
        while select.select([terminal], [], [], 2.0)[0] and os.read(terminal, 1 << 16):
            pass
    except OSError:
        pass


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """Starts of both in turn."""
    start_once(KDASH, WANTED)
    ours, smallest = [], []
    for _ in range(40 if full else 15):
        ours.append(start_once(KDASH, WANTED) * 1000)
        smallest.append(start_once(SMALLEST, (b"content",)) * 1000)
    yield Measurement(
        "first screen, with the article's guest", tuple(ours), "ms", "smallest Textual app",
        tuple(smallest), Aim(400),
    )  # fmt: skip


if __name__ == "__main__":
    tell(measure())
