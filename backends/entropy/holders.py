"""Who has a random device open, as far as this user may see.

Source: proc(5), /proc/PID/fd and /proc/PID/comm. The descriptors are looked at directly, as
psutil's list of open files leaves devices out. Who calls getrandom holds no descriptor.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from kdash.backends.entropy.facts import DeviceHolder, Holders
from kdash.backends.entropy.pacing import Pacing
from kdash.backends.entropy.procfs import Root, Unavailable, reason

DEVICES = ("/dev/random", "/dev/urandom", "/dev/hwrng")
MOST_HOLDERS = 200  # that are told one by one
_SHARE = 0.002  # of one CPU, the most that looking may take
_LEAST_PAUSE = 5.0  # seconds
_NAME_LENGTH = 16  # TASK_COMM_LEN


class HolderMeter:
    """Looks at all processes as often as their number allows."""

    def __init__(self, root: Root, monotonic: Callable[[], float]) -> None:
        """Prepare.

        Args:
            root: The folder that holds /proc.
            monotonic: The clock, seconds.
        """
        self._root = root
        self._pacing = Pacing(monotonic, _SHARE, _LEAST_PAUSE)
        self._found: Holders | None = None

    def holders(self) -> Holders:
        """Who holds the devices, as of the last look.

        Raises:
            Unavailable: /proc can't be listed, or shows no process.
        """
        if self._found is None or self._pacing.due:
            self._found = None
            with self._pacing.look():
                self._found = find_holders(self._root)
        return self._found


def find_holders(root: Root) -> Holders:
    """Look at the descriptors of every process once.

    Raises:
        Unavailable: /proc can't be listed, or shows no process.
    """
    try:
        pids = sorted(int(name) for name in os.listdir(root.path("proc")) if _is_number(name))
    except OSError as error:
        raise Unavailable(reason(error)) from None
    if not pids:
        raise Unavailable("no process can be seen")
    found: list[DeviceHolder] = []
    hidden = 0
    own = os.getpid()
    for pid in pids:
        if pid == own:
            continue
        try:
            devices = _devices_of(root, pid)
        except PermissionError:
            hidden += 1
            continue
        except OSError:
            continue  # it has ended
        if devices:
            name = _name(root, pid)
            found += [DeviceHolder(device, pid, name) for device in sorted(devices)]
    return Holders(tuple(found[:MOST_HOLDERS]), len(found), len(pids), hidden)


def _devices_of(root: Root, pid: int) -> set[str]:
    """The random devices a process has open."""
    folder = f"{root.path('proc')}/{pid}/fd"
    devices = set()
    for descriptor in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{descriptor}")
        except OSError:
            continue  # it was closed meanwhile
        if target in DEVICES:
            devices.add(target)
    return devices


def _name(root: Root, pid: int) -> str:
    try:
        return root.text(f"proc/{pid}/comm").strip()[:_NAME_LENGTH]
    except Unavailable:
        return ""


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= 10
