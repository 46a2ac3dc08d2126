"""Validation in worker processes, for an app that runs on asyncio; standard library only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from kdash.backends.stack.facts import CheckOptions, FileReport, Finding, Flow, ObjectError
from kdash.backends.stack.flow_wire import decode_flow
from kdash.backends.stack.object_files import object_files
from kdash.backends.stack.wire import NO_CACHE, WireError, decode, encode_request
from kdash.backends.stack.worker_process import WorkerProcess

_MOST_WORKERS = 8


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
        worker = WorkerProcess("import_worker", request, build_dir)
    except OSError as error:
        yield FileReport(path, error=f"can't start a worker process: {error.strerror}")
        return
    try:
        while (line := await worker.read_line()).endswith("\n"):
            yield decode(line)
        if status := await worker.status():
            yield FileReport(path, error=f"reading it crashed the importer ({_how(status)})")
    finally:
        worker.end()


async def flow_around(finding: Finding, options: CheckOptions) -> Flow:
    """The control flow around a finding, worked out in a worker process.

    Raises:
        ObjectError: the object can't be validated any more, or the worker failed.
    """
    try:
        worker = WorkerProcess("flow_worker", finding.section, str(finding.address), finding.kind)
    except (OSError, ValueError) as error:
        raise ObjectError(f"can't start a worker process: {error}") from None
    try:
        await worker.send(encode_request(finding.file, options) + "\n")
        line = await worker.read_line()
        if not line.endswith("\n"):
            raise ObjectError(f"the validator crashed on it ({_how(await worker.status())})")
        return decode_flow(line)
    except WireError as error:
        raise ObjectError(str(error)) from None
    finally:
        worker.end()


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
                worker = WorkerProcess("worker", *self._arguments)
            except OSError as error:
                await self._fail(f"can't start a worker process: {error.strerror}")
                return
            try:
                await self._feed(worker)
            finally:
                worker.end()

    async def _fail(self, reason: str) -> None:
        while self._waiting:
            path, sample = self._waiting.pop()
            await self._done.put(FileReport(path, error=reason, sample=sample))

    async def _feed(self, worker: WorkerProcess) -> None:
        while self._waiting:
            path, sample = self._waiting.pop()
            report = await self._ask(worker, path, sample)
            if report is None:
                error = f"the validator crashed on it ({_how(await worker.status())})"
                await self._done.put(FileReport(path, error=error, sample=sample))
                return
            await self._done.put(report)

    async def _ask(self, worker: WorkerProcess, path: str, sample: bool) -> FileReport | None:
        """One report, or nothing when the worker died."""
        await worker.send(encode_request(path, self._options, sample=sample) + "\n")
        line = await worker.read_line()
        try:
            return decode(line) if line.endswith("\n") else None
        except WireError:
            worker.kill()
            return None


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
