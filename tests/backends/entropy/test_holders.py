import os
import subprocess
from pathlib import Path

import pytest

from kdash.backends.entropy.facts import DeviceHolder, Holders
from kdash.backends.entropy.holders import MOST_HOLDERS, HolderMeter, find_holders
from kdash.backends.entropy.procfs import Root, Unavailable

from .conftest import Present


def process(root: Path, pid: int, name: str, *targets: str) -> None:
    folder = root / f"proc/{pid}"
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(name + "\n")
    for number, target in enumerate(targets):
        (folder / f"fd/{number}").symlink_to(target)


def test_processes_with_a_random_device_open_are_found(tmp_path: Path) -> None:
    process(tmp_path, 41, "rngd", "/dev/hwrng", "/dev/random", "/dev/random")
    process(tmp_path, 7, "sshd", "/dev/urandom", "socket:[4]")
    process(tmp_path, 9, "cat", "/dev/null", "/tmp/dev/random")
    assert find_holders(Root(tmp_path)) == Holders(
        (
            DeviceHolder("/dev/urandom", 7, "sshd"),
            DeviceHolder("/dev/hwrng", 41, "rngd"),
            DeviceHolder("/dev/random", 41, "rngd"),
        ),
        count=3, processes=3, hidden=0,
    )  # fmt: skip


def test_very_many_are_counted_rather_than_listed(tmp_path: Path) -> None:
    for pid in range(2, MOST_HOLDERS + 10):
        process(tmp_path, pid, "worker", "/dev/urandom")
    found = find_holders(Root(tmp_path))
    assert (len(found.found), found.count) == (MOST_HOLDERS, MOST_HOLDERS + 8)


@pytest.mark.root
def test_processes_of_others_are_counted_as_hidden(public_path: Path) -> None:
    process(public_path, 7, "sshd", "/dev/urandom")
    (public_path / "proc/7/fd").chmod(0o500)
    os.seteuid(65534)
    try:
        found = find_holders(Root(public_path))
    finally:
        os.seteuid(0)
    assert found == Holders((), count=0, processes=1, hidden=1)


def test_without_processes_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not on this kernel"):
        find_holders(Root(tmp_path))
    (tmp_path / "proc").mkdir()
    with pytest.raises(Unavailable, match="no process"):
        find_holders(Root(tmp_path))


def test_looking_takes_a_small_share_of_the_time(tmp_path: Path) -> None:
    times = iter([0.0, 0.1, 20.0, 49.9, 50.1, 50.1, 50.2])
    process(tmp_path, 7, "sshd", "/dev/urandom")
    meter = HolderMeter(Root(tmp_path), lambda: next(times))
    first = meter.holders()  # took 0.1 s: nothing more for 50 s
    assert meter.holders() is first
    assert meter.holders() is first
    assert meter.holders() is not first


def test_this_machine_shows_who_holds_the_devices(present: Present) -> None:
    reader = present(files={"proc/12/comm": "rngd\n", "proc/12/fd/x": ""}).reader()
    assert reader.read().holders is None  # the first reading comes at once
    found = reader.read().holders
    assert found is not None
    assert (found.processes, found.count) == (1, 0)


def test_a_descriptor_of_another_process_of_this_machine_is_seen() -> None:
    with open("/dev/urandom", "rb") as device:
        child = subprocess.Popen(["sleep", "100"], stdin=device)
    try:
        found = find_holders(Root("/")).found
        assert DeviceHolder("/dev/urandom", child.pid, "sleep") in found
    finally:
        child.kill()
        child.wait()
