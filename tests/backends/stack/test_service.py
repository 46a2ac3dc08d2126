"""Worker processes: reports stream back, crashes are contained, nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.backends.stack.object_files import object_files, sample_paths
from kdash.backends.stack.service import validate
from kdash.backends.stack.wire import encode_request


def _workers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "kdash.backends.stack.worker" in " ".join(child.cmdline()):
                found.append(child)
    return found


async def _all(*paths: str, sample: bool = False, jobs: int = 1) -> list[FileReport]:
    return [report async for report in validate(paths, sample=sample, jobs=jobs)]


async def test_a_worker_finds_what_this_process_finds() -> None:
    options = CheckOptions(frame_pointer="on")
    path = sample_paths()[0]
    reports = [report async for report in validate([path], options)]
    assert [r.findings for r in reports] == [Checker(options).check(path).findings]
    assert not _workers()


async def test_samples_carry_their_mark_and_files_do_not() -> None:
    (sample,) = await _all(sample_paths()[0], sample=True)
    (own,) = await _all(sample_paths()[0])
    assert sample.sample
    assert not own.sample


async def test_every_file_is_answered_with_several_workers(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.o")
    reports = await _all(*sample_paths(), missing, jobs=2)
    assert {r.file for r in reports} == {*sample_paths(), missing}
    assert [r.error for r in reports if r.file == missing] == ["no such file"]


async def test_nothing_to_validate_is_no_worker() -> None:
    assert await _all() == []


async def test_leaving_early_ends_the_workers() -> None:
    reports = validate(sample_paths(), jobs=2)
    await anext(reports)
    assert _workers()
    await reports.aclose()
    assert not _workers()


async def test_cancelling_ends_the_workers() -> None:
    task = asyncio.create_task(_all(*sample_paths(), jobs=2))
    while not _workers():
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert not _workers()


@pytest.mark.parametrize("ticks", range(0, 12, 2))
def test_a_loop_that_ends_in_the_middle_of_a_cancellation_leaves_no_worker(ticks: int) -> None:
    async def leave() -> None:
        task = asyncio.ensure_future(_all(*sample_paths(), jobs=2))
        while len(_workers()) < 2:
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(ticks):
            await asyncio.sleep(0)

    asyncio.run(leave())
    gc.collect()  # a process that nobody waited for warns when it is forgotten
    assert not _workers()


async def test_a_pipe_is_no_object_and_blocks_nothing(tmp_path: Path) -> None:
    pipe = tmp_path / "a.o"
    os.mkfifo(pipe)
    reports = await _all(str(pipe), sample_paths()[0])
    assert [r.error for r in reports] == ["not a regular file", ""]


async def test_a_killed_worker_is_reported_and_replaced() -> None:
    paths = sample_paths()

    async def kill_first() -> None:
        while not _workers():
            await asyncio.sleep(0.005)
        _workers()[0].send_signal(signal.SIGKILL)

    killer = asyncio.create_task(kill_first())
    reports = [report async for report in validate(paths, jobs=1)]
    await killer
    assert len(reports) == len(paths)
    crashed = [r.error for r in reports if r.error]
    assert crashed == ["the validator crashed on it (signal 9)"]


async def test_a_worker_that_cannot_start_is_said_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    reports = await _all(*sample_paths()[:2])
    assert all("can't start a worker process" in r.error for r in reports)
    assert len(reports) == 2


def test_a_worker_ends_when_its_input_ends() -> None:
    request = encode_request(sample_paths()[0], CheckOptions()) + "\n"
    done = subprocess.run(
        [sys.executable, "-m", "kdash.backends.stack.worker"],
        input=request.encode(),
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    assert done.stdout.count(b"\n") == 1


def test_a_worker_ends_when_its_parent_is_killed() -> None:
    code = (
        "import subprocess, sys, time\n"
        "w = subprocess.Popen([sys.executable, '-m', 'kdash.backends.stack.worker'],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "print(w.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        _, alive = psutil.wait_procs([worker], timeout=20)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_folders_stand_for_the_objects_below_them(tmp_path: Path) -> None:
    for name in ("b/x.ko", "a.o", "b/y.o", "b/notes.txt"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        target.touch()
    found = [str(Path(p).relative_to(tmp_path)) for p in object_files([str(tmp_path)] * 2)]
    assert found == ["a.o", "b/x.ko", "b/y.o"]
