"""The reports that the paths of a command line stand for, here or from worker processes."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import TYPE_CHECKING

from kdash.backends.stack.facts import CheckOptions, Cluster, FileReport

if TYPE_CHECKING:
    from kdash.commands.stack_progress import Progress


def jobs(text: str) -> int:
    """A number of worker processes, of an argument."""
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of processes from 1 to 256")
    return int(text)


class InputError(Exception):
    """Standard input was asked for and is closed."""


def standard_input(what: str) -> io.BufferedReader:
    """Standard input as bytes; somebody who is to type is told so.

    Args:
        what: What is read from it.

    Raises:
        InputError: it is closed.
    """
    if sys.stdin is None:
        raise InputError(f"standard input is closed: no {what} to read")
    if sys.stdin.isatty():
        print(f"kdash stack: reading {what} from the terminal; ctrl+d ends them", file=sys.stderr)  # noqa: T201
    return open(sys.stdin.fileno(), "rb", closefd=False)


def named(path: str) -> list[str]:
    """The paths that one argument means: `-` those on stdin, a line or a NUL-ended string each."""
    if path != "-":
        return [path]
    data = standard_input("paths").read()
    names = data.split(b"\0" if b"\0" in data else b"\n")
    return [os.fsdecode(name) for name in names if name]


def reports_on(
    paths: list[str],
    options: CheckOptions,
    jobs: int,
    *,
    cache: bool = True,
    progress: Progress | None = None,
) -> Iterator[FileReport]:
    """The reports on files and folders, in their order.

    Args:
        paths: The files and folders.
        options: How they are validated.
        jobs: Worker processes; with 1 it is done here.
        cache: Whether what is known of unchanged files is used.
        progress: Told of each file when it is done, which may be before those in front of it.
    """
    from kdash.backends.stack.object_files import object_files

    if jobs > 1:
        reports = _reports_of_workers(paths, options, jobs, cache)
        reports = progress.watch(reports) if progress else reports
        yield from in_order(reports, object_files(paths))
        return
    reports = _reports_from_here(paths, options, cache)
    yield from progress.watch(reports) if progress else reports


def in_order(reports: Iterable[FileReport], files: Iterable[str]) -> Iterator[FileReport]:
    """Reports in the order of their files; when it ends early, all that came."""
    places = {file: at for at, file in enumerate(files)}
    waiting: dict[int, FileReport] = {}
    following = 0
    try:
        for report in reports:
            at = places.get(report.file)
            if at is None:  # a file that was not there a moment ago
                yield report
                continue
            waiting[at] = report
            while following in waiting:
                yield waiting.pop(following)
                following += 1
    except GeneratorExit:
        raise
    except BaseException:  # a signal: what is known is told
        yield from (waiting[at] for at in sorted(waiting))
        raise
    yield from (waiting[at] for at in sorted(waiting))


def _reports_from_here(
    paths: list[str], options: CheckOptions, cache: bool
) -> Iterator[FileReport]:
    from kdash.backends.stack.check import Checker
    from kdash.backends.stack.object_files import object_files
    from kdash.backends.stack.result_cache import cache_folder

    checker = Checker(options, cache_folder() if cache else None)
    for path in object_files(paths):
        yield checker.check(path)


def reports_of_cluster(
    paths: list[str], options: CheckOptions, cluster: Cluster
) -> Iterator[FileReport]:
    """The reports on files and folders by a cluster, in their order.

    Raises:
        ClusterError: it can't be used.
    """
    from kdash.backends.stack.cluster import validate_on
    from kdash.backends.stack.object_files import object_files

    def tell(text: str) -> None:
        print(f"kdash stack check: {text}", file=sys.stderr)  # noqa: T201

    yield from validate_on(cluster, object_files(paths), options, tell)


def _reports_of_workers(
    paths: list[str], options: CheckOptions, jobs: int, cache: bool
) -> Iterator[FileReport]:
    import asyncio

    from kdash.backends.stack.service import validate

    reports = validate(paths, options, jobs=jobs, cache=cache)
    with asyncio.Runner() as runner:
        try:
            while True:
                try:
                    yield runner.run(_next(reports))
                except StopAsyncIteration:
                    return
        finally:
            runner.run(reports.aclose())


async def _next(reports: AsyncGenerator[FileReport, None]) -> FileReport:
    return await anext(reports)
