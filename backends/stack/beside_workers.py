"""Findings of others seen beside ours in several processes; standard library only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from kdash.backends.stack.beside import report_on
from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.backends.stack.places import Places
from kdash.backends.stack.worker import end_with_parent

_AHEAD = 4  # reports a process that may be waiting or done


def beside_in_processes(
    theirs: Iterable[FileReport], places: Places, options: CheckOptions, jobs: int
) -> Iterator[FileReport]:
    """`report_on` of every object, in order.

    Args:
        theirs: what others say; a report of an unreadable file stays as it is.
        places: finds the objects.
        options: how they are validated.
        jobs: worker processes.

    Raises:
        ResultsError: what gave `theirs` failed; those before are reported.
    """
    waiting: deque[tuple[FileReport, Future[FileReport] | None]] = deque()
    pool = ProcessPoolExecutor(jobs, initializer=end_with_parent)
    try:
        for one in theirs:
            asked = None if one.error else _asked(pool, one, places, options)
            waiting.append((one, asked))
            if len(waiting) >= _AHEAD * jobs:
                yield _result(*waiting.popleft(), places, options)
        while waiting:
            yield _result(*waiting.popleft(), places, options)
    finally:
        pool.shutdown(cancel_futures=True)


def _asked(
    pool: ProcessPoolExecutor, one: FileReport, places: Places, options: CheckOptions
) -> Future[FileReport]:
    try:
        return pool.submit(report_on, one.file, list(one.findings), places, options)
    except BrokenProcessPool as broken:
        failed: Future[FileReport] = Future()
        failed.set_exception(broken)
        return failed


def _result(
    one: FileReport, asked: Future[FileReport] | None, places: Places, options: CheckOptions
) -> FileReport:
    if asked is None:
        return one
    try:
        return asked.result()
    except BrokenProcessPool:
        return _by_itself(one, places, options)


def _by_itself(one: FileReport, places: Places, options: CheckOptions) -> FileReport:
    """The same in a process of its own: some process died, not known on which object."""
    with ProcessPoolExecutor(1, initializer=end_with_parent) as pool:
        try:
            return _asked(pool, one, places, options).result()
        except BrokenProcessPool:
            why = "the validator crashed on it"
            findings = (replace(theirs, verdict=why, agrees=None) for theirs in one.findings)
            return FileReport(one.file, tuple(findings))
