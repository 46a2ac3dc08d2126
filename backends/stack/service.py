"""Validation in worker processes, for an app that runs on asyncio; standard library only."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from kdash.backends.stack.facts import CheckOptions, FileReport, Finding, Flow, ObjectError
from kdash.backends.stack.flow_wire import decode_flow
from kdash.backends.stack.object_files import object_files
from kdash.backends.stack.wire import NO_CACHE, WireError, decode, encode_request

_LONGEST_LINE = 1 << 30  # bytes of one report
_MOST_WORKERS = 8
_T = TypeVar("_T")


async def validate(
    paths: Iterable[str],
    options: CheckOptions | None = None,
    sample: bool = False,
    jobs: int = 0,
    *,
    cache: bool = True,
) -> AsyncGenerator[FileReport, None]:
    """Validate files in worker processes; reports come as they are done.

    Whoever may stop before the end wraps it in `contextlib.aclosing`: then all workers have
    ended when the block is left. A cancellation while it waits ends them, too.

    Args:
        paths: files and folders (see `object_files`).
        options: how to validate.
        sample: the paths are bundled samples, and their reports say so.
        jobs: worker processes; 0 for one less than there are CPUs, at most 8. Several take the
            largest files first, so that none of them ends long after the others.
        cache: whether reports on unchanged objects are taken from, and kept for, other runs.

    Yields:
        One report a file, also for a file that can't be read or that crashed its worker.
    """
    requests = [(path, sample) for path in object_files(paths)]
    count = jobs or max(1, min(_MOST_WORKERS, (os.cpu_count() or 1) - 1))
    if count > 1:
        requests.sort(key=lambda request: -_size(request[0]))
    pool = _Pool(requests, options or CheckOptions(), cache)
    tasks = [asyncio.create_task(pool.serve()) for _ in range(min(count, len(requests)))]
    try:
        for _ in requests:
            yield await pool.next_report(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _size(path: str) -> int:
    """Bytes of a file; 0 for what is none, or can't be looked at."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return 0


async def import_results(
    path: str, build_dir: str = "", options: CheckOptions | None = None
) -> AsyncGenerator[FileReport, None]:
    """Import a file of results in a worker process; see `import_results.import_file`.

    As with `validate`, whoever may stop before the end wraps it in `contextlib.aclosing`.

    Yields:
        One report an object; what is wrong with the file itself stands in a report about it.
    """
    request = encode_request(path, options or CheckOptions())
    try:
        worker = await _started("import_worker", request, build_dir)
    except OSError as error:
        yield FileReport(path, error=f"can't start a worker process: {error.strerror}")
        return
    assert worker.stdout is not None
    try:
        while (line := await worker.stdout.readline()).endswith(b"\n"):
            yield decode(line.decode("ascii"))
        if status := await worker.wait():
            yield FileReport(path, error=f"reading it crashed the importer ({_how(status)})")
    finally:
        await _to_the_end(asyncio.ensure_future(_end(worker)))


async def flow_around(finding: Finding, options: CheckOptions) -> Flow:
    """The control flow around a finding, worked out in a worker process.

    Raises:
        ObjectError: the object can't be validated any more, or the worker failed.
    """
    try:
        worker = await _started("flow_worker", finding.section, str(finding.address), finding.kind)
    except (OSError, ValueError) as error:
        raise ObjectError(f"can't start a worker process: {error}") from None
    try:
        request = encode_request(finding.file, options) + "\n"
        line, _ = await worker.communicate(request.encode("ascii"))
        if worker.returncode:
            raise ObjectError(f"the validator crashed on it ({_how(worker.returncode)})")
        return decode_flow(line.decode("ascii"))
    except WireError as error:
        raise ObjectError(str(error)) from None
    finally:
        await _to_the_end(asyncio.ensure_future(_end(worker)))


class _Pool:
    """Files waiting, and reports that are done."""

    def __init__(
        self, requests: list[tuple[str, bool]], options: CheckOptions, cache: bool
    ) -> None:
        self._waiting = requests[::-1]
        self._options = options
        self._arguments = () if cache else (NO_CACHE,)
        self._done: asyncio.Queue[FileReport] = asyncio.Queue(maxsize=64)

    async def next_report(self, tasks: list[asyncio.Task[None]]) -> FileReport:
        """The next report; the error of a task that failed by itself."""
        getting = asyncio.ensure_future(self._done.get())
        waiting: set[asyncio.Future[Any]] = {getting, *(t for t in tasks if not t.done())}
        try:
            while not getting.done():
                finished, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in finished - {getting}:
                    task.result()
            return getting.result()
        finally:
            getting.cancel()

    async def serve(self) -> None:
        """Keep one worker busy until no file waits; start another one when it crashes."""
        while self._waiting:
            try:
                worker = await _started("worker", *self._arguments)
            except OSError as error:
                await self._fail(f"can't start a worker process: {error.strerror}")
                return
            try:
                await self._feed(worker)
            finally:
                await _to_the_end(asyncio.ensure_future(_end(worker)))

    async def _fail(self, reason: str) -> None:
        while self._waiting:
            path, sample = self._waiting.pop()
            await self._done.put(FileReport(path, error=reason, sample=sample))

    async def _feed(self, worker: asyncio.subprocess.Process) -> None:
        while self._waiting:
            path, sample = self._waiting.pop()
            report = await self._ask(worker, path, sample)
            if report is None:
                status = await worker.wait()
                error = f"the validator crashed on it ({_how(status)})"
                await self._done.put(FileReport(path, error=error, sample=sample))
                return
            await self._done.put(report)

    async def _ask(
        self, worker: asyncio.subprocess.Process, path: str, sample: bool
    ) -> FileReport | None:
        """One report, or nothing when the worker died."""
        assert worker.stdin is not None
        assert worker.stdout is not None
        request = encode_request(path, self._options, sample=sample) + "\n"
        with suppress(BrokenPipeError, ConnectionResetError):
            worker.stdin.write(request.encode("ascii"))
            await worker.stdin.drain()
        try:
            line = await worker.stdout.readline()
            return decode(line.decode("ascii")) if line.endswith(b"\n") else None
        except (WireError, ValueError):
            worker.kill()
            return None


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


async def _to_the_end(task: asyncio.Future[_T]) -> _T:
    """Wait for a task; a cancellation comes through only after it is done."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _started(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """A worker process, or none: a start can't be cancelled half-way, it would be nobody's."""
    starting = asyncio.ensure_future(_start_worker(module, *arguments))
    try:
        return await _to_the_end(starting)
    except asyncio.CancelledError:
        if starting.exception() is None:
            await _end(starting.result())
        raise


async def _start_worker(module: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"kdash.backends.stack.{module}", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_LONGEST_LINE,
    )


async def _end(worker: asyncio.subprocess.Process) -> None:
    """End a worker for sure, whatever it is doing."""
    if worker.returncode is None:
        with suppress(ProcessLookupError):
            worker.kill()
    # Reads to the end and closes both pipes.
    await worker.communicate()
