"""Results of others, and of earlier runs, beside what our validator says of the same objects."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from typing import Final

from kdash.backends.stack.archives import MAGIC, THIN_MAGIC
from kdash.backends.stack.beside import report_on
from kdash.backends.stack.compression import GZIP, XZ, ZSTANDARD, expand
from kdash.backends.stack.facts import (
    CheckOptions,
    FileReport,
    Finding,
    ObjectError,
    ResultsError,
)
from kdash.backends.stack.places import Places
from kdash.backends.stack.result_kinds import HEAD, kind_of_results

_OBJECTS: Final = (b"\x7fELF", MAGIC, THIN_MAGIC)  # how objects and archives begin
_LARGEST_LOG: Final = 256 << 20  # bytes of what is read as a whole: SARIF, compressed files
_LONGEST_LINE: Final = 1 << 24  # bytes of a line of results
_LONGEST_LOG_LINE: Final = 1 << 16  # bytes of a line of a build log that are looked at


def import_file(
    path: str, build_dir: str = "", options: CheckOptions | None = None, jobs: int = 1
) -> Iterator[FileReport]:
    """The results in a file, see `import_stream`, or what a baseline accepts.

    Their paths may start beside the file, too.

    Raises:
        OSError: it can't be read.
        ResultsError: it is malformed; what stood before the fault has been given.
        BaselineError: it is a damaged baseline.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not _is_pipe(path):
        raise ResultsError("neither a file nor a pipe")
    places = Places(build_dir, os.path.dirname(path))
    if os.path.isfile(path) and is_baseline(path):
        yield from beside_ours(_accepted(path), places, options, jobs)
        return
    with open(path, "rb") as file:
        yield from beside_ours(read_results(file), places, options, jobs)


def _is_pipe(path: str) -> bool:
    import stat

    return stat.S_ISFIFO(os.stat(path).st_mode)


def read_run(path: str) -> Iterator[FileReport]:
    """The results in a file, or what a baseline accepts, as they stand there.

    Raises:
        OSError: it can't be read.
        BaselineError: it is a damaged baseline.
        ResultsError: it is malformed; what stood before the fault has been given.
    """
    if is_baseline(path):
        yield from by_object(_accepted(path))
        return
    with open(path, "rb") as file:
        yield from by_object(read_results(file))


def _accepted(path: str) -> Iterator[Finding]:
    from kdash.backends.stack.baseline import read_baseline

    return (one.finding for one in read_baseline(path).accepted)


def is_baseline(path: str) -> bool:
    """Whether a file is a baseline, whose findings have no offsets."""
    try:
        with open(path, "rb") as file:
            return kind_of_results(file.peek(HEAD)[:HEAD]) == "baseline"
    except OSError:
        return False


def import_stream(
    stream: io.BufferedReader,
    build_dir: str = "",
    options: CheckOptions | None = None,
    jobs: int = 1,
) -> Iterator[FileReport]:
    """One report for every object that results are about, in their order.

    Args:
        stream: a build log, a SARIF log, or JSON lines; told by what it holds.
        build_dir: where the paths in it start; the current folder otherwise.
        options: how to validate the objects at hand.
        jobs: worker processes; with 1 it is done here.

    Raises:
        ResultsError: it is malformed; what stood before the fault has been given.
    """
    return beside_ours(read_results(stream), Places(build_dir), options, jobs)


def read_results(stream: io.BufferedReader) -> Iterator[Finding | FileReport]:
    """The findings of a build log, a SARIF log, or JSON lines, and files unreadable then.

    Raises:
        ResultsError: it is malformed; what stood before the fault has been given.
    """
    head = stream.peek(HEAD)[:HEAD]
    if head.startswith((GZIP, XZ, ZSTANDARD)):
        stream = _expanded(stream)
        head = stream.peek(HEAD)[:HEAD]
    if head.startswith(_OBJECTS):
        raise ResultsError("an object, where results are needed; kdash stack check validates it")
    kind = kind_of_results(head)
    if kind == "baseline":
        raise ResultsError("a baseline, where results are needed")
    if kind == "sarif":
        from kdash.backends.stack.sarif_read import sarif_findings

        data = stream.read(_LARGEST_LOG + 1)
        if len(data) > _LARGEST_LOG:
            raise ResultsError(f"a SARIF log of more than {_LARGEST_LOG >> 20} MiB")
        return sarif_findings(data)
    if kind == "results":
        from kdash.backends.stack.json_results import json_findings

        return json_findings(_lines(stream, _LONGEST_LINE))
    from kdash.backends.stack.log_findings import log_findings

    return log_findings(_lines(stream, _LONGEST_LOG_LINE))


def _expanded(stream: io.BufferedReader) -> io.BufferedReader:
    """What a compressed stream holds."""
    try:
        data = expand(stream.read(_LARGEST_LOG), _LARGEST_LOG)
    except ObjectError as error:
        raise ResultsError(str(error)) from None
    return io.BufferedReader(io.BytesIO(data))


def _lines(stream: io.BufferedReader, longest: int) -> Iterator[str]:
    """Lines as text; of one that is longer than `longest` bytes, its beginning."""
    while line := stream.readline(longest):
        rest = line
        while len(rest) == longest and not rest.endswith(b"\n"):
            rest = stream.readline(longest)
        yield line.decode("utf-8", "surrogateescape")


def beside_ours(
    found: Iterable[Finding | FileReport],
    places: Places,
    options: CheckOptions | None = None,
    jobs: int = 1,
) -> Iterator[FileReport]:
    """One report for every object that findings are about, in their order.

    Raises:
        ResultsError: what gave the findings failed; those before are reported.
    """
    if jobs > 1:
        from kdash.backends.stack.beside_workers import beside_in_processes

        yield from beside_in_processes(by_object(found), places, options or CheckOptions(), jobs)
        return
    for report in by_object(found):
        if report.error:
            yield report
        else:
            findings = list(report.findings)
            yield report_on(report.file, findings, places, options or CheckOptions())


def by_object(found: Iterable[Finding | FileReport]) -> Iterator[FileReport]:
    """Findings as one report for every object, in their order, behind the unreadable ones.

    Raises:
        ResultsError: what gave the findings failed; those before are reported.
    """
    by_file: dict[str, list[Finding]] = {}
    unreadable: list[FileReport] = []
    fault = None
    try:
        for one in found:
            if isinstance(one, Finding):
                by_file.setdefault(one.file, []).append(one)
            else:
                unreadable.append(one)
    except ResultsError as error:
        fault = error
    yield from unreadable
    for file, findings in by_file.items():
        yield FileReport(file, tuple(findings))
    if fault is not None:
        raise fault
