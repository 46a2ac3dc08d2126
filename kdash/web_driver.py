"""Draws for a browser: through pipes, to a server that may go away at any moment."""

from __future__ import annotations

import signal
from typing import Any

from textual import messages
from textual.drivers.web_driver import WebDriver


class EndingWebDriver(WebDriver):
    """Textual's driver of a browser; it ends the program when its server is gone."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        write = self._write
        self._gone = False
        # An interpreter ignores SIGPIPE, and what is written to nobody is no error here.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

        def write_all(data: bytes) -> int:
            rest = memoryview(data)
            while rest and not self._gone:
                try:
                    rest = rest[write(rest) :]
                except OSError:
                    self._gone = True
            return len(data)

        self._write: Any = write_all

    def run_input_thread(self) -> None:
        """Read to the end; when that comes before the program's own, the server has ended."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._app.call_later(self._app.post_message, messages.ExitApp())
