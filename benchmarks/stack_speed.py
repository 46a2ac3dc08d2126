"""Time and memory of the stack validator beside objtool's, on all modules of Debian's kernel.

objtool runs as the kernel's build runs it, one process a file and two at a time; both tools take
turns on the same parts of the list, so that what else the machine does hits both.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from measurement import Aim, Measurement, tell
from stack_packages import Packages, fetch

JOBS = 2
PARTS = 2
WORDS = {"cpu": "processor time", "wall": "time"}
AIM = 0.6
AIM_LARGEST = 1.2
AIM_SMALL = 0.25  # seconds
AIM_MEMORY = 600  # MB
LARGEST, SMALL = "amdgpu.ko", "igbvf.ko"


@dataclass
class Cost:
    """What a number of processes took."""

    wall: float = 0.0  # seconds
    cpu: float = 0.0  # seconds, of all processes
    memory: int = 0  # bytes, the most at one time

    def add(self, other: Cost) -> None:
        """Put two runs together."""
        self.wall += other.wall
        self.cpu += other.cpu
        self.memory = max(self.memory, other.memory)


class _Watch:
    """The memory of a process and its children, looked at 20 times a second."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._over = threading.Event()
        self.most = 0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self.most = max(self.most, sum(map(_memory, _family(self._process))))

    def end(self) -> int:
        """Stop looking; the most there was, in bytes."""
        self._over.set()
        self._thread.join()
        return self.most


def _family(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return [process]
    return [process, *(one for child in children for one in _family(int(child)))]


def _memory(process: int) -> int:
    """Bytes that a process has for itself, and its share of those that it shares."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def cost(command: list[str], files: list[Path], watch: bool = False) -> Cost:
    """Run a command that reads names of files from stdin."""
    # An installed program has its modules compiled; let the first run keep them.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment,
    )  # fmt: skip
    looking = _Watch(process.pid) if watch else None
    try:
        process.communicate("".join(f"{file}\n" for file in files).encode())
        wall = time.perf_counter() - began
    finally:
        process.kill()
        process.wait()
        memory = looking.end() if looking else 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, used, memory)


def ours(jobs: int) -> list[str]:
    """The validator as a command that reads names from stdin."""
    kdash = Path(sys.executable).with_name("kdash")
    return [str(kdash), "stack", "check", "-", "--no-cache", "--format", "summary"] + (
        ["--jobs", str(jobs)] if jobs > 1 else []
    )


def theirs(packages: Packages, jobs: int) -> list[str]:
    """objtool, a process a file."""
    return ["xargs", "-n1", f"-P{jobs}", str(packages.objtool), "--orc", "--dry-run"]


def all_modules(packages: Packages) -> Iterator[Measurement]:
    """The whole list, by both in turns."""
    modules = packages.modules
    own, peer = [], []
    cost(ours(JOBS), modules[:2])
    for part in range(PARTS):
        files = modules[part::PARTS]
        peer.append(cost(theirs(packages, JOBS), files))
        own.append(cost(ours(JOBS), files, watch=True))
    name = f"stack validation of {len(modules):,} modules, {JOBS} at a time"
    aim = Aim(AIM, ratio=True)
    for kind, unit in (("cpu", "s of CPU"), ("wall", "s")):
        mine, other = ((sum(getattr(one, kind) for one in costs),) for costs in (own, peer))
        yield Measurement(f"{name}: {WORDS[kind]}", mine, unit, packages.peer, other, aim)
    memory = max(one.memory for one in own) / 1e6
    yield Measurement(f"{name}: memory", (memory,), "MB", aim=Aim(AIM_MEMORY))


def one_module(packages: Packages, name: str, aim: Aim) -> Measurement:
    """CPU seconds of both for one module, runs in turns."""
    (file,) = (path for path in packages.modules if path.name == name)
    own, peer = [], []
    for _ in range(7):
        peer.append(cost(theirs(packages, 1), [file]).cpu)
        own.append(cost(ours(1), [file]).cpu)
    return Measurement(
        f"stack validation of {name}", tuple(own), "s of CPU", packages.peer, tuple(peer), aim
    )


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """Costs beside objtool's."""
    packages = fetch()
    yield from all_modules(packages)
    yield one_module(packages, LARGEST, Aim(AIM_LARGEST, ratio=True))
    yield one_module(packages, SMALL, Aim(AIM_SMALL))


if __name__ == "__main__":
    tell(measure(full=True))
