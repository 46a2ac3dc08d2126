import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.facts import GetrandomCaller
from kdash.backends.entropy.getrandom_callers import EVENT, CallerTrace, callers_of
from kdash.backends.entropy.procfs import Root, Unavailable
from kdash.backends.entropy.trace_instance import remove_leftovers

TRACE = b"""\
         python3-20376   [001] ..... 26956.973628: sys_getrandom(ubuf: 0x7f0b1, len: 8, flags: 1)
         python3-20376   [001] ..... 26956.9737: sys_getrandom(ubuf: 0xa843b0, len: 0x18, flags: 1)
   my - daemon 1-77      [000] ..... 26957.0026: sys_getrandom(buf: 7f0b, count: 64, flags: 0)
     kdash-probe-20377   [001] ..... 26957.012322: sys_getrandom(ubuf: 0x7fb4, len: 0x10, flags: 1)
CPU:0 [LOST 12 EVENTS]
         python3-9       [001] d..1. 26957.1: sys_read(fd: 3, buf: 0x7fb4, count: 0x10)
"""


def test_calls_are_counted_by_process_the_most_frequent_first() -> None:
    assert callers_of(TRACE.splitlines()) == (
        GetrandomCaller(20376, "python3", 2, 0x20),
        GetrandomCaller(77, "my - daemon 1", 1, 0x64),
    )


def test_processes_can_be_left_out() -> None:
    assert [caller.pid for caller in callers_of(TRACE.splitlines(), {20376})] == [77]


@given(st.lists(st.binary(max_size=60)))
def test_any_lines_are_read(lines: list[bytes]) -> None:
    callers_of([*lines, *(TRACE.splitlines()[0] + line for line in lines)])


def presented(root: Path) -> Path:
    tracing = root / "sys/kernel/tracing"
    (tracing / "events" / EVENT).mkdir(parents=True)
    (tracing / "events" / EVENT / "enable").write_text("0")
    (tracing / "instances").mkdir()
    return tracing


def test_where_it_was_not_asked_for_nothing_is_made(tmp_path: Path) -> None:
    tracing = presented(tmp_path)
    trace = CallerTrace(Root(tmp_path))
    trace.check()
    with pytest.raises(Unavailable, match="on request"):
        trace.read()
    assert list((tracing / "instances").iterdir()) == []


def test_an_instance_that_cannot_be_used_leaves_nothing_behind(tmp_path: Path) -> None:
    tracing = presented(tmp_path)  # plain folders: an instance has none of its files
    trace = CallerTrace(Root(tmp_path))
    with pytest.raises(Unavailable, match="not on this kernel"):
        trace.start()
    assert list((tracing / "instances").iterdir()) == []


@pytest.mark.parametrize(("folder", "why"), [("", "not on this kernel"), ("x", "not mounted")])
def test_without_tracefs_it_says_why(tmp_path: Path, folder: str, why: str) -> None:
    if folder:
        (tmp_path / "sys/kernel/tracing").mkdir(parents=True)
    with pytest.raises(Unavailable, match=why):
        CallerTrace(Root(tmp_path)).start()


def test_what_crashed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    tracing = presented(tmp_path)
    for name in ("kdash-1-callers", "kdash-4194305-7f", "kdash-4194306-callers", "other"):
        (tracing / "instances" / name).mkdir()
    remove_leftovers(tracing)
    left = sorted(found.name for found in (tracing / "instances").iterdir())
    assert left == ["kdash-1-callers", "kdash-4194305-7f", "other"]


SCRIPT = """
import json, os, subprocess, sys
from kdash.backends.entropy.getrandom_callers import CallerTrace
from kdash.backends.entropy.procfs import Root
trace = CallerTrace(Root("/"))
trace.start()
made = os.listdir("/sys/kernel/tracing/instances")
code = "import os; [os.getrandom(100) for _ in range(7)]"
subprocess.run([sys.executable, "-c", code], check=True)
found = trace.read()
trace.close()
ours = f"kdash-{os.getpid()}-"
left = [name for name in os.listdir("/sys/kernel/tracing/instances") if name.startswith(ours)]
print(json.dumps([len(made), sorted(c.nbytes for c in found), left]))
"""


@pytest.mark.root
def test_the_calls_of_a_process_are_seen_through_tracefs() -> None:
    mount = 'mount -t tracefs nodev /sys/kernel/tracing && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, sys.executable, SCRIPT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and "Traceback" not in done.stderr:
        pytest.skip("tracefs can't be mounted here")
    if "Unavailable" in done.stderr:
        pytest.skip("this kernel traces no system calls")
    made, nbytes, left = json.loads(done.stdout)
    assert made >= 1
    assert any(number >= 700 for number in nbytes)
    assert left == []
