"""Draws on a terminal that may go away at any moment."""

from __future__ import annotations

import codecs
import os
import selectors
import signal
import sys
import time
from typing import Any, Final, TextIO

from textual import constants
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import ScreenError
from textual.drivers.linux_driver import LinuxDriver

_TICK: Final = constants.ESCAPE_DELAY / 5
_AT_ONCE: Final = 1 << 9  # bytes
_MOST_WAITING: Final = 64  # messages; a quick typist or a held key makes a few
# Seconds behind the last byte in which Escape alone may still turn out to begin a longer key.
_SETTLED: Final = 2 * constants.ESCAPE_DELAY


class LastingOutput:
    """A stream to a terminal that takes what is written even when nobody is there any more.

    Textual writes in a thread of its own, which an error would end; whoever writes next would
    then wait for that thread for ever, and no signal could end the program.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.gone = False

    def write(self, text: str) -> int:
        """Write, or forget the text when the terminal is gone."""
        if not self.gone:
            try:
                return self._stream.write(text)
            except (OSError, ValueError):
                self.gone = True
        return len(text)

    def flush(self) -> None:
        """Send what was written, if there is a terminal."""
        if not self.gone:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self.gone = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class LastingDriver(LinuxDriver):
    """Textual's driver of Linux terminals, on an output that outlives the terminal.

    It draws on standard output where standard error goes elsewhere (`kdash 2>log`), and while
    nobody types it sleeps, where Textual's own looks for keys ten times a second.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not self._file.isatty():
            self._file = _standard_output()
        self._file: Any = LastingOutput(self._file)
        self._ending = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def _sigcont_application(self, *_: object) -> None:
        """Take the terminal again, of which nobody knows what a shell has made of it meanwhile.

        Stopped by SIGSTOP nothing was left first; Textual would keep its own settings as those to
        go back to, and read what is typed in two threads.
        """
        if self._auto_restart:
            if self._key_thread is not None and self._key_thread.is_alive():
                self.suspend_application_mode()
                self._must_signal_resume = True
            self.resume_application_mode()

    def disable_input(self) -> None:
        """Wake the thread that waits for keys and end it."""
        os.eventfd_write(self._ending, 1)
        super().disable_input()
        os.eventfd_read(self._ending)

    def run_input_thread(self) -> None:
        """Wait for input and hand its events on; a terminal that goes away is a hangup."""
        feed, tick = (parser := XTermParser(self._debug)).feed, parser.tick
        # Whatever the terminal sends, a byte that is no UTF-8 must not end the program.
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        settled = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            selector.register(self._ending, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                found = selector.select(_TICK if time.monotonic() < settled else None)
                if any(key.fd == self.fileno for key, _ in found):
                    if not (data := self._received()):
                        os.kill(os.getpid(), signal.SIGHUP)
                        return
                    try:
                        for event in feed(decode(data)):
                            self._wait_for_room()
                            self.process_message(event)
                    except (ValueError, IndexError, ParseError):  # numbers that no terminal sends
                        feed, tick = (parser := XTermParser(self._debug)).feed, parser.tick
                    settled = time.monotonic() + _SETTLED
                for event in tick():
                    self.process_message(event)

    def _wait_for_room(self) -> None:
        """Take keys no faster than they are answered.

        What still waits in the terminal is thrown away at the end, what waits in the program has
        to be answered first: a flood of input would hold up a signal for minutes.
        """
        while not self.exit_event.is_set() and self._waiting() > _MOST_WAITING:
            time.sleep(_TICK / 10)

    def _waiting(self) -> int:
        """How many messages are on their way to what has the keyboard."""
        try:
            places = {self._app, self._app.screen, self._app.focused}
        except ScreenError:
            return 0  # before the first screen, and behind the last
        return sum(place.message_queue_size for place in places if place is not None)

    def _received(self) -> bytes:
        """What was typed; nothing when the terminal is gone."""
        try:
            return os.read(self.fileno, _AT_ONCE)
        except OSError:
            return b""


def _standard_output() -> TextIO:
    """Standard output as a stream that takes any character, as standard error does."""
    return open(
        sys.stdout.fileno(), "w", encoding="utf-8", errors="backslashreplace", closefd=False
    )
