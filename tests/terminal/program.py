"""Runs the real program in a pseudo-terminal and reads its screen."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pexpect
import pyte

ROOT = Path(__file__).resolve().parents[2]
#: What a dashboard asks of a terminal, and what takes it back: the screen, the cursor, focus,
#: the mouse, pastes, line wrap, kitty's keys.
MODES = (
    *((b"\x1b[?%dh" % mode, b"\x1b[?%dl" % mode) for mode in (1049, 1004, 1000, 1003, 1006, 2004)),
    (b"\x1b[?25l", b"\x1b[?25h"),
    (b"\x1b[?7l", b"\x1b[?7h"),
    (b"\x1b[>25u", b"\x1b[<u"),
)
PATIENCE = 30.0  # seconds; how long a busy machine may take, never how long it should


class Program:
    """`kdash` with these arguments on a terminal of this size."""

    def __init__(
        self,
        *argv: str,
        columns: int = 80,
        lines: int = 24,
        env: dict[str, str] | None = None,
        shell: bool = False,
        within: tuple[str, ...] = (),
    ) -> None:
        """Start it, with `shell` from an interactive shell that has job control.

        `within` are words of a command that starts the one behind them.
        """
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LC_ALL": "C.UTF-8",
            **(env or {}),
        }
        for name in ("COLUMNS", "LINES"):  # the pseudo-terminal's own size counts
            environment.pop(name, None)
        command = [*within, sys.executable, "-m", "kdash", *argv]
        if shell:
            environment["PS1"] = "$ "
        self.child = pexpect.spawn(
            "bash" if shell else command[0],
            ["--norc", "--noprofile", "-i"] if shell else command[1:],
            dimensions=(lines, columns),
            env=environment,
            timeout=PATIENCE,
            cwd=str(ROOT),
        )
        if shell:
            self.child.sendline(shlex.join(command))
        self._settings = termios.tcgetattr(self.child.child_fd)[:4]
        self._settings_left = self._settings
        self._gone = False  # the terminal
        self.raw = b""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._gone:
            self.child.close(force=True)

    def pump(self, seconds: float = 0.05) -> None:
        """Read what the program has drawn."""
        try:
            data = self.child.read_nonblocking(1 << 16, timeout=seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.raw += data
        self._stream.feed(data)
        self._text = ""

    @property
    def text(self) -> str:
        """The screen as text, made anew once something was drawn."""
        self._text = self._text or "\n".join(self._screen.display)
        return self._text

    def wait_for(self, *words: str) -> str:
        """Read until every one of `words` is on the screen; returns the screen."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.pump()
            if all(word in self.text for word in words):
                return self.text
            if not self.child.isalive():
                break
        raise AssertionError(f"{words!r} not on the screen:\n{self.text}")

    def wait_for_sent(self, *words: bytes, since: int) -> None:
        """Read until the program has sent every one of `words` behind its first bytes."""
        end = time.monotonic() + PATIENCE
        while not all(word in self.raw[since:] for word in words):
            self.pump()
            assert time.monotonic() < end, f"{words!r} not sent:\n{self.text}"

    def wait_without(self, word: str) -> str:
        """Read until `word` is not on the screen any more."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.pump()
            if word not in self.text:
                return self.text
        raise AssertionError(f"{word!r} still on the screen:\n{self.text}")

    def wait_restored(self) -> None:
        """Read until the program has given the terminal back."""
        end = time.monotonic() + PATIENCE
        while not self.restored:
            self.pump()
            assert time.monotonic() < end, f"the terminal was not given back:\n{self.text}"
        self.pump(0.3)

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        self._screen.resize(lines, columns)
        self._text = ""
        self.child.setwinsize(lines, columns)

    def press(self, *keys: str) -> None:
        """Send keys, one write each as a person would."""
        for key in keys:
            self.child.send(key)
            self.pump(0.1)

    def vanish(self) -> int:
        """Take the terminal away; returns the exit status that comes of it."""
        self.child.ptyproc.fileobj.close()
        finish = time.monotonic() + PATIENCE
        while not (ended := os.waitpid(self.child.pid, os.WNOHANG))[0]:
            if time.monotonic() > finish:
                os.kill(self.child.pid, signal.SIGKILL)
            time.sleep(0.05)
        self.child.closed = self.child.ptyproc.closed = True
        self.child.terminated = self.child.ptyproc.terminated = True
        self._gone = True
        return os.waitstatus_to_exitcode(ended[1])

    def end(self) -> int:
        """Read to the end and return the exit status as a shell would give it."""
        finish = time.monotonic() + PATIENCE
        while self.child.isalive() and time.monotonic() < finish:
            self.pump()
        self.pump(0.2)
        assert not self.child.isalive(), f"still running:\n{self.text}"
        self._settings_left = termios.tcgetattr(self.child.child_fd)[:4]
        self.child.close()
        if self.child.signalstatus is not None:
            return 128 + int(self.child.signalstatus)
        return int(self.child.exitstatus)

    @property
    def restored(self) -> bool:
        """Whether the terminal's modes, and once it has ended its settings, are as they were."""
        return self._settings_left == self._settings and all(
            self.raw.rfind(left) >= self.raw.rfind(entered) for entered, left in MODES
        )
