"""What the interface costs and how soon it answers while a guest runs at full speed.

The real program runs in a pseudo-terminal of 120x40. Keys are typed into the `:` prompt, one
every tenth of a second, and the clock stops when the screen shows what was typed. The processor
time is that of the program's first thread, which is the interface's; VCPUs have their own.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from functools import partial
from pathlib import Path

import pyte

from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession

ROOT = Path(__file__).resolve().parents[1]
GUESTS = {"spins": bytes.fromhex("40ebfd"), "makes exits (out)": bytes.fromhex("e680ebfc")}
COLUMNS, LINES = 120, 40
KEYS = 60
LIMIT = 20.0  # seconds until an answer is given up
QUIET = 6.0  # seconds over which processor time is taken


class Dashboard:
    """The program on a terminal, with the screen that it has drawn."""

    def __init__(self, guest: Path) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LC_ALL="C.UTF-8")
            ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
            os.execv(sys.executable, [sys.executable, "-m", "kdash", str(guest)])
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._screen)

    def type(self, keys: str) -> None:
        """Send keys."""
        os.write(self._terminal, keys.encode())

    def until(self, shown: Callable[[str], bool]) -> float:
        """Seconds until the screen is as wanted."""
        begin = time.perf_counter()
        while (now := time.perf_counter()) - begin < LIMIT:
            if shown("\n".join(self._screen.display)):
                return now - begin
            self.read(0.5)
        raise SystemExit("the dashboard does not answer:\n" + "\n".join(self._screen.display))

    def read(self, seconds: float) -> None:
        """Take what was drawn, waiting for the first of it."""
        if select.select([self._terminal], [], [], seconds)[0]:
            self._stream.feed(os.read(self._terminal, 1 << 16))

    def rest(self, seconds: float) -> None:
        """Draw on for so long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self.read(left)

    def processor_time(self) -> float:
        """Seconds of processor time that the interface's thread has had."""
        fields = Path(f"/proc/{self.pid}/task/{self.pid}/stat").read_text().rpartition(")")[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

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


def contains(wanted: str, text: str) -> bool:
    """Whether the screen shows it."""
    return wanted in text


def answers(dashboard: Dashboard) -> list[float]:
    """Seconds until each key typed is on the screen."""
    dashboard.type(":")
    dashboard.rest(0.5)
    times, typed = [], ""
    for number in range(KEYS):
        if number % 20 == 0:
            dashboard.type("\x15")  # ctrl+u: begin the line anew
            dashboard.rest(0.3)
            typed = ""
        typed += "qwxyz"[number % 5]
        dashboard.type(typed[-1])
        times.append(dashboard.until(partial(contains, typed)))
        dashboard.rest(0.1)
    dashboard.type("\x1b")
    return times


def pauses(image: bytes) -> list[float]:
    """Seconds from asking for a pause to a guest that has stopped."""
    times = []
    session = VcpuSession(flat(image, "guest"))
    try:
        for _ in range(40):
            session.run()
            time.sleep(0.03)
            begin = time.perf_counter()
            session.pause().result(LIMIT)
            times.append(time.perf_counter() - begin)
    finally:
        session.close()
    return times


def percentile(times: list[float]) -> float:
    """The 95th, in milliseconds."""
    return statistics.quantiles(times, n=20)[-1] * 1000


def main() -> None:
    """Print the figures for each guest."""
    print("interface while a guest runs at full speed, 120x40:")
    for name, image in GUESTS.items():
        with tempfile.TemporaryDirectory() as folder:
            guest = Path(folder) / "guest.bin"
            guest.write_bytes(image)
            dashboard = Dashboard(guest)
            try:
                dashboard.until(lambda text: "rip" in text and "rflags" in text)
                dashboard.type(" ")
                dashboard.until(lambda text: "running" in text.lower())
                before = dashboard.processor_time()
                dashboard.rest(QUIET)
                share = (dashboard.processor_time() - before) / QUIET
                times = answers(dashboard)
            finally:
                dashboard.close()
        stops = pauses(image)
        print(
            f"  guest {name:<18} key answered: median {statistics.median(times) * 1000:4.1f} ms,"
            f" 95 % {percentile(times):5.1f} ms (wanted 50)"
        )
        print(
            f"  {'':<24} interface's thread: {share * 100:4.1f} % of a core (wanted 15);"
            f" paused: 95 % {percentile(stops):4.1f} ms (wanted 50)"
        )


if __name__ == "__main__":
    main()
