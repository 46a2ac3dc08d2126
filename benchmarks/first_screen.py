"""From process start to the article guest's registers on the screen.

Starts the dashboard in a pseudo-terminal of 120x40, as a user does, and stops the clock when the
register view has been received: names and values of registers, and the disassembly at CS:IP.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import statistics
import struct
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WANTED = (b"rax", b"rip", b"rflags", b"0x3f8")
LIMIT = 20.0  # seconds a start may take before it is given up


def start_once(columns: int = 120, lines: int = 40) -> float:
    """Seconds from fork to content."""
    begin = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
        ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.execv(sys.executable, [sys.executable, "-m", "kdash"])
    try:
        return _until_content(terminal, begin)
    finally:
        os.kill(pid, signal.SIGTERM)
        _drain(terminal)
        os.close(terminal)
        os.waitpid(pid, 0)


def _until_content(terminal: int, begin: float) -> float:
    received = b""
    while time.perf_counter() - begin < LIMIT:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        received += os.read(terminal, 1 << 16)
        if all(word in received for word in WANTED):
            return time.perf_counter() - begin
    raise SystemExit(f"no registers on the screen within {LIMIT:.0f} s")


def _drain(terminal: int) -> None:
    try:
        while select.select([terminal], [], [], 2.0)[0] and os.read(terminal, 1 << 16):
            pass
    except OSError:
        pass


def main(runs: int = 20) -> None:
    """Print the median of `runs` starts."""
    start_once()
    times = sorted(start_once() * 1000 for _ in range(runs))
    print(
        f"first screen (article guest's registers), {runs} starts: median "
        f"{statistics.median(times):.0f} ms, min {times[0]:.0f}, max {times[-1]:.0f}"
    )
    print("  wanted: at most 400 ms, aim 300 ms")


if __name__ == "__main__":
    main()
