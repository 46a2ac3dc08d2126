"""What the user decided about findings, in a file of theirs; standard library only.

A verdict belongs to a finding's fingerprint, so that it survives rebuilds. The file may be used by
several programs at once: a change is made to what the file holds at that moment, under a lock.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import date
from typing import Final

from kdash.backends.private_folder import make_private
from kdash.backends.stack.facts import VERDICTS, Verdict
from kdash.backends.stack.record_file import (
    RecordFileError,
    RecordKind,
    read_records,
    write_records,
)

_PATIENCE: Final = 2.0  # seconds to wait for another program that writes
_RETRY: Final = 0.02  # seconds between two tries

Verdicts = Mapping[str, Verdict]  # by fingerprint
Change = Mapping[str, Verdict | None]  # by fingerprint; None takes the verdict back


class VerdictError(RecordFileError):
    """The file of verdicts can't be used, or there is nothing to undo."""


class NothingToUndoError(VerdictError):
    """No verdict was given by this program."""


_KIND: Final = RecordKind(
    "stack verdicts",
    "a file of verdicts",
    "verdicts",
    tuple(one.name for one in fields(Verdict)),
    VerdictError,
    private=True,
)


class VerdictFile:
    """The verdicts of one file, and what this program changed there.

    Attributes:
        verdicts: as last read or written, by fingerprint.
    """

    def __init__(self, path: str) -> None:
        """Know a file without touching it; `load` reads it."""
        self.path = path
        self.verdicts: Verdicts = {}
        self._seen: tuple[int, int, int] | None = None  # the file `verdicts` was read from
        self._changes: list[dict[str, tuple[Verdict | None, Verdict | None]]] = []

    @property
    def changed(self) -> bool:
        """Whether the file is another one than the one last read."""
        return self._signature() != self._seen

    def load(self) -> Verdicts:
        """Read the file; a missing one holds no verdict.

        Raises:
            VerdictError: it is damaged or no file of verdicts; it stays as it is.
            OSError: it can't be read.
        """
        signature = self._signature()
        self.verdicts = self._read()
        self._seen = signature
        return self.verdicts

    def change(self, change: Change) -> None:
        """Set verdicts and take others back, in what the file holds now.

        Raises:
            VerdictError: as of `load`, or another program holds the file.
            OSError: it can't be read or written.
        """
        with self._locked():
            before = self._read()
            step = {key: (before.get(key), verdict) for key, verdict in change.items()}
            self._write(before, change)
        self._changes.append(step)

    def undo(self) -> tuple[int, int]:
        """Take the last change back, but for verdicts that another program has changed since.

        Returns:
            How many verdicts are as they were before, and how many were left alone.

        Raises:
            NothingToUndoError: nothing was changed here.
            VerdictError: as of `change`.
            OSError: it can't be read or written.
        """
        if not self._changes:
            raise NothingToUndoError("nothing to undo: no verdict was given since kdash started")
        step = self._changes[-1]
        with self._locked():
            now = self._read()
            back = {key: old for key, (old, new) in step.items() if now.get(key) == new}
            self._write(now, back)
        self._changes.pop()
        return len(back), len(step) - len(back)

    def _read(self) -> dict[str, Verdict]:
        try:
            records = read_records(self.path, _KIND)
        except FileNotFoundError:
            return {}
        verdicts = (self._verdict(number, one) for number, one in enumerate(records, 2))
        return {one.fingerprint: one for one in verdicts}

    def _verdict(self, number: int, record: dict[str, str]) -> Verdict:
        verdict = Verdict(**record)
        if verdict.word not in VERDICTS:
            raise VerdictError(f"{self.path}: damaged: line {number}: no verdict {verdict.word!r}")
        if verdict.expires and not _is_date(verdict.expires):
            raise VerdictError(f"{self.path}: damaged: line {number}: no date {verdict.expires!r}")
        return verdict

    def _write(self, before: Verdicts, change: Change) -> None:
        merged = {**before, **change}
        kept = {key: verdict for key, verdict in merged.items() if verdict is not None}
        records = [asdict(kept[key]) for key in sorted(kept)]
        write_records(self.path, _KIND, records)
        self._seen = self._signature()
        self.verdicts = kept

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock beside the file: the file itself is replaced by each change."""
        folder = os.path.dirname(self.path)
        if folder:
            make_private(pathlib.Path(folder))
        number = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait_for(lambda: fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB), self.path)
            yield
        finally:
            os.close(number)


def _wait_for(lock: Callable[[], None], path: str) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            lock()
        except BlockingIOError:
            if time.monotonic() > end:
                raise VerdictError(f"{path}: another program is writing it; try again") from None
            time.sleep(_RETRY)
        else:
            return


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def settled(fingerprints: Iterable[str], verdicts: Verdicts, today: date) -> set[str]:
    """Those fingerprints whose findings the user accepts as they are, today."""
    return {
        one
        for one in fingerprints
        if (verdict := verdicts.get(one)) and verdict.settled and verdict.in_force(today)
    }
