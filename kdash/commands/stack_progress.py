"""How far a long run is: one line at the foot of the terminal that standard error goes to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from kdash.backends.wording import counted

if TYPE_CHECKING:
    from kdash.backends.stack.facts import FileReport

LONG = 0.5  # seconds after which a run is long
BEAT = 0.1  # seconds between two pictures
BAR = 24  # cells
ERASE = "\r\x1b[K"  # carriage return; erase to the end of the line (ECMA-48, EL)


class Progress:
    """A bar that is drawn again behind whatever else is printed, and gone at the end."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream = stream
        self._total = total
        self._done = 0
        self._line = ""
        self._shown = False
        self._next = time.monotonic() + LONG

    @classmethod
    def on(cls, stream: TextIO, paths: list[str]) -> Progress | None:
        """The progress over the files that paths mean; none where nobody looks at it.

        Without paths nobody knows how many files there are: then only what is done is told.
        """
        if not stream.isatty():
            return None
        from kdash.backends.stack.object_files import object_files

        return cls(stream, sum(1 for _ in object_files(paths)))

    def done(self, file: str, findings: int) -> None:
        """One more file is done."""
        self._done += 1
        now = time.monotonic()
        if now >= self._next:
            self._next = now + BEAT
            self._line = self._drawn(file, findings)
            self._write(ERASE + self._line)
            self._shown = True

    def watch(self, reports: Iterable[FileReport]) -> Iterator[FileReport]:
        """The reports, each counted as it comes."""
        findings = 0
        for report in reports:
            findings += len(report.findings)
            self.done(report.file, findings)
            yield report

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Something else is printed meanwhile."""
        if self._shown:
            self._write(ERASE)
        yield
        if self._shown:
            self._write(self._line)

    def end(self) -> None:
        """Leave no trace."""
        if self._shown:
            self._write(ERASE)
            self._shown = False

    def _drawn(self, file: str, findings: int) -> str:
        import shutil

        from kdash.backends.stack.printable import printable

        head = f"{self._bar()}{counted(self._done, 'file')}, {counted(findings, 'finding')}"
        room = shutil.get_terminal_size().columns - len(head) - 3
        name = printable(file)
        return f"{head}  {name[len(name) - room :] if len(name) > room > 0 else name[:room]}"

    def _bar(self) -> str:
        if not self._total:
            return ""
        total = max(self._total, self._done)
        full = BAR * self._done // total
        return f"[{'#' * full}{'.' * (BAR - full)}] of {total}: "

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
