"""The reports that the paths of a command line stand for, here or from worker processes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncGenerator, Iterator

from kdash.backends.stack.facts import CheckOptions, FileReport


def jobs(text: str) -> int:
    """A number of worker processes, of an argument."""
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of processes from 1 to 256")
    return int(text)


def named(path: str) -> list[str]:
    """The paths that one argument means: `-` those on stdin, a line or a NUL-ended string each."""
    if path != "-":
        return [path]
    data = sys.stdin.buffer.read()
    names = data.split(b"\0" if b"\0" in data else b"\n")
    return [os.fsdecode(name) for name in names if name]


def reports_on(
    paths: list[str], options: CheckOptions, jobs: int, *, cache: bool = True
) -> Iterator[FileReport]:
    """The reports on files and folders, each as it is done."""
    from kdash.backends.stack.object_files import object_files

    if jobs > 1:
        yield from _reports_of_workers(paths, options, jobs, cache)
        return
    from kdash.backends.stack.check import Checker
    from kdash.backends.stack.result_cache import cache_folder

    checker = Checker(options, cache_folder() if cache else None)
    for path in object_files(paths):
        yield checker.check(path)


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
