"""Time and memory of the stack validator beside objtool's, on all modules of Debian's kernel.

objtool runs as the kernel's build runs it, one process a file and two at a time; both tools take
turns on the same parts of the list, so that what else the machine does hits both.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from stack_packages import MissingError, Packages, fetch

JOBS = 2
PARTS = 2
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
    process.communicate("".join(f"{file}\n" for file in files).encode())
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, used, looking.end() if looking else 0)


def ours(jobs: int) -> list[str]:
    """The validator as a command that reads names from stdin."""
    kdash = Path(sys.executable).with_name("kdash")
    return [str(kdash), "stack", "check", "-", "--no-cache", "--format", "summary"] + (
        ["--jobs", str(jobs)] if jobs > 1 else []
    )


def theirs(packages: Packages, jobs: int) -> list[str]:
    """objtool, a process a file."""
    return ["xargs", "-n1", f"-P{jobs}", str(packages.objtool), "--orc", "--dry-run"]


def all_modules(packages: Packages) -> None:
    """The whole list, by both in turns."""
    own, peer = Cost(), Cost()
    cost(ours(JOBS), packages.modules[:2])
    for part in range(PARTS):
        files = packages.modules[part::PARTS]
        peer.add(cost(theirs(packages, JOBS), files))
        own.add(cost(ours(JOBS), files, watch=True))
    memory = own.memory / 1e6
    print(
        f"stack, {len(packages.modules)} modules, {JOBS} at a time: kdash {own.cpu:.1f} s of CPU,"
        f" {own.wall:.1f} s; objtool {peer.cpu:.1f} s, {peer.wall:.1f} s; ratio of CPU"
        f" {own.cpu / peer.cpu:.2f}, of wall time {own.wall / peer.wall:.2f} (aim: {AIM}),"
        f" memory {memory:.0f} MB (aim: {AIM_MEMORY})"
    )


def one_module(packages: Packages, name: str) -> tuple[float, float]:
    """CPU seconds of both for one module, as medians of runs in turns."""
    (file,) = (path for path in packages.modules if path.name == name)
    own, peer = [], []
    for _ in range(7):
        peer.append(cost(theirs(packages, 1), [file]).cpu)
        own.append(cost(ours(1), [file]).cpu)
    return statistics.median(own), statistics.median(peer)


def main() -> None:
    """Print the ratios."""
    try:
        packages = fetch()
    except MissingError as error:
        print(f"stack beside objtool: not measured: {error}")
        return
    os.nice(5)
    all_modules(packages)
    own, peer = one_module(packages, LARGEST)
    print(
        f"stack, {LARGEST}: kdash {own:.2f} s of CPU, objtool {peer:.2f} s; ratio {own / peer:.2f}"
        f" (aim: {AIM_LARGEST})"
    )
    own, peer = one_module(packages, SMALL)
    print(f"stack, {SMALL}: kdash {own:.3f} s of CPU (aim: {AIM_SMALL}), objtool {peer:.3f} s")


if __name__ == "__main__":
    main()
