"""All three panes under load for as long as asked: what grows, what it costs, what is left behind.

The real program on a pseudo-terminal of 160x48: a guest that makes exits at full speed, 100,000
findings in the browser, entropy read four times a second. Then, in a program of its own at the
usual rate, a guest that stands still. Exit status 1 when memory is not flat after the first minute
or something lingers: a thread, a machine, a socket or another descriptor more than at that minute,
a process after the end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from interface_rates import Terminal, answered, answers
from stack_browser import A_FILE, COUNT, findings

from kdash.backends.stack.formats import json_line
from kdash.backends.stack.rule_text import rules_with_examples

EXITS = bytes.fromhex("e680ebfc")  # out 0x80,al; jmp back
COLUMNS, LINES = 160, 48
WARM = 60.0  # seconds until memory has to be flat; a quarter of a shorter soak
EVERY = 15.0  # seconds between two looks, keys included
KEYS = 20  # typed at each look
HELD = ("Pss_Anon:", "Pss_Shmem:")  # of smaps_rollup, since Linux 5.3
FLAT = 4 << 20  # bytes that memory may grow by after that: what the allocator does not give back
IDLE = 20.0  # seconds over which the idle program is watched
ALL = f"{sum(1 for serial in range(COUNT) if serial % 3):,} errors,".encode()  # once all are there
FILL = 180.0  # seconds until all findings are there


class Tree:
    """A program and the processes it started, in its session or in one of their own."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._seen = {pid}

    def members(self) -> list[int]:
        """Every process of it that lives, also after the program has ended."""
        found = []
        for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda folder: int(folder.name)):
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            state, parent, session = fields[0], int(fields[1]), int(fields[3])
            if state != "Z" and (session == self.pid or {int(folder.name), parent} & self._seen):
                found.append(int(folder.name))
                self._seen.add(int(folder.name))
        return found

    def memory(self) -> int:
        """Bytes that no file holds: its own, and its part of those its processes share.

        Pages of libraries are left out: its part of them depends on who else runs Python.
        """
        total = 0
        for pid in self.members():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:  # it has ended
                continue
            total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith(HELD))
        return total

    def processor_time(self) -> float:
        """Seconds of processor time of all its threads."""
        total = 0.0
        for pid in self.members():
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    total += int(task.read_text().split()[0]) / 1e9
                except OSError:
                    continue
        return total

    def holdings(self) -> Counter[str]:
        """Processes, threads and descriptors by kind: what must not become more."""
        held: Counter[str] = Counter()
        for pid in self.members():
            held["processes"] += 1
            held["threads"] += len(list(Path(f"/proc/{pid}/task").iterdir()))
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    target = str(descriptor.readlink())
                except OSError:
                    continue
                machine = target.startswith("anon_inode:kvm-")
                socket = target.startswith("socket:")
                held["machines" if machine else "sockets" if socket else "other files"] += 1
        return held


def write_findings(file: Path) -> None:
    """100,000 findings as `kdash stack check --format json` tells them."""
    kinds = list(rules_with_examples())
    with file.open("w", encoding="utf-8") as written:
        for number in range(COUNT // A_FILE):
            for finding in findings(number, kinds).findings:
                written.write(json_line(finding) + "\n")


def opened(folder: Path, config: str) -> Terminal:
    """The dashboard with the guest and the findings, both of them there."""
    configuration = folder / "config.toml"
    configuration.write_text(config)
    dashboard = Terminal(
        [sys.executable, "-m", "kdash", str(folder / "guest.bin"), str(folder / "results.json")],
        columns=COLUMNS,
        lines=LINES,
        env={"KDASH_CONFIG": str(configuration), "XDG_STATE_HOME": str(folder / "state")},
    )
    dashboard.until(b"rip", b"rflags", ALL, limit=FILL)
    dashboard.rest(2.0)
    return dashboard


def ended(dashboard: Terminal, tree: Tree) -> list[str]:
    """Quit by its key; what is wrong with the end."""
    dashboard.rest(1.0)  # an escape typed before is a key of its own
    tree.members()
    dashboard.type("q")
    deadline = time.monotonic() + 20.0
    while not (gone := os.waitpid(dashboard.pid, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            dashboard.close()
            return ["it did not end"]
        try:
            dashboard.read(0.1)
        except OSError:  # the terminal has nobody on its other side
            time.sleep(0.1)
    status = os.waitstatus_to_exitcode(gone[1])
    wrong = [f"exit status {status}"] if status else []
    return wrong + [f"process {pid} is left" for pid in tree.members()]


def under_load(folder: Path, seconds: float) -> list[str]:
    """Print the figures of the soak; what is wrong."""
    dashboard = opened(folder, "[entropy]\ninterval = 0.25\n")
    tree = Tree(dashboard.pid)
    echo = Terminal(["cat"])
    dashboard.type("1 ")
    dashboard.until(b"running")
    start, warm = time.monotonic(), min(WARM, seconds / 4)
    used, sent, quiet = 0.0, 0, 0.0
    times: list[float] = []
    bare: list[float] = []
    memory: list[int] = []
    before: Counter[str] = Counter()
    while (passed := time.monotonic() - start) < seconds:
        if not before and passed >= warm:
            before = tree.holdings()
        for _ in range(max(1, int(EVERY - 3))):
            begin, first = time.monotonic(), tree.processor_time()
            sent += dashboard.rest(1.0)
            quiet += time.monotonic() - begin
            used += tree.processor_time() - first
        more, echoed = answers(dashboard, echo, KEYS)
        times, bare = times + more, bare + echoed
        size = tree.memory()
        if before:
            memory.append(size)
        print(f"  {time.monotonic() - start:5.0f} s  {size / (1 << 20):7.1f} MiB", flush=True)
    echo.close()
    after = tree.holdings()
    wrong = ended(dashboard, tree)
    growth = memory[-1] - memory[0]
    print(f"  memory after the first {warm:.0f} s: {growth / (1 << 20):+.1f} MiB to"
          f" {memory[-1] / (1 << 20):.0f} MiB (flat: up to {FLAT >> 20} MiB)")  # fmt: skip
    print(f"  {answered('key answered', times, bare)}")
    print(f"  {sent / quiet / 1000:.1f} kB/s to the terminal, {used / quiet * 100:.0f} % of a core"
          f" with the guest's own; load average {os.getloadavg()[0]:.1f}")  # fmt: skip
    print("  held at the end: " + ", ".join(f"{n} {kind}" for kind, n in sorted(after.items())))
    if growth > FLAT:
        wrong.append(f"memory grew by {growth / (1 << 20):.1f} MiB")
    more_held = after - before
    return wrong + [f"{count} {kind} more than before" for kind, count in more_held.items()]


def idle(folder: Path) -> list[str]:
    """Print what a guest that stands still costs; what is wrong with the end."""
    dashboard = opened(folder, "")
    tree = Tree(dashboard.pid)
    dashboard.rest(3.0)
    shares = []
    sent = 0
    for _ in range(4):
        first = tree.processor_time()
        sent += dashboard.rest(IDLE / 4)
        shares.append((tree.processor_time() - first) / (IDLE / 4) * 100)
    print(f"  idle: {statistics.median(shares):.2f} % of a core (wanted 2),"
          f" {sent / IDLE / 1000:.1f} kB/s; load average {os.getloadavg()[0]:.1f}")  # fmt: skip
    return ended(dashboard, tree)


def main() -> int:
    """Soak, then look at the idle program; 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (600)")
    seconds = parser.parse_args().seconds
    print(f"soak of {seconds:.0f} s, {COLUMNS}x{LINES}, {COUNT:,} findings, entropy at 4 Hz:")
    with tempfile.TemporaryDirectory(prefix="kdash-soak-") as name:
        folder = Path(name)
        (folder / "guest.bin").write_bytes(EXITS)
        write_findings(folder / "results.json")
        wrong = under_load(folder, seconds) + idle(folder)
    for line in wrong:
        print(f"  WRONG: {line}")
    print("  nothing lingers, memory is flat" if not wrong else f"  {len(wrong)} things wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
