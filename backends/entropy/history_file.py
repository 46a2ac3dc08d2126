"""The history in a file, so that it outlives the dashboard, within one boot of the machine.

The file is of a fixed size, for its owner's eyes alone, and at every moment the old one or the
new one. It is not forced to the disk: what a crash of the machine takes is of no use afterwards.
"""

from __future__ import annotations

import json
import math
import os
import stat
import zlib
from array import array
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdash.backends.entropy.facts import QUANTITIES
from kdash.backends.entropy.history import TIERS, History
from kdash.backends.private_folder import make_private

_TITLE, _VERSION = "entropy history", 1
_MOST_BYTES = 1 << 21  # of the file; the arrays are 1 MiB
_HEAD_BYTES = 4096  # the longest first line


@dataclass(frozen=True, slots=True)
class Memory:
    """What else one process of a boot leaves to the next."""

    generation: int | None = None  # of the reseed clock
    reseed_earliest: float = 0.0  # seconds, CLOCK_MONOTONIC: it began after this
    reseed_latest: float = 0.0  # and before this
    hwrng: str = ""  # the hardware source seen in use last


class NoHistoryError(Exception):
    """There is no history of this boot in the file; the message says why."""


def load(path: Path, boot_id: str, now: float) -> tuple[History, Memory]:
    """The history and memory of this boot.

    Args:
        path: The file.
        boot_id: /proc/sys/kernel/random/boot_id.
        now: Seconds, CLOCK_MONOTONIC; what claims to be later is dropped.

    Raises:
        NoHistoryError: There is none, or it is another boot's, damaged, or not to be read.
    """
    head, body = _opened(path, boot_id)
    history = _history(body)
    history.settle(now)
    return history, _memory(head.get("memory"), now)


def load_memory(path: Path, boot_id: str, now: float) -> Memory:
    """The memory alone, which takes less time.

    Raises:
        NoHistoryError: As `load` does, but for a damaged history.
    """
    return _memory(_opened(path, boot_id)[0].get("memory"), now)


def save(path: Path, boot_id: str, history: History, memory: Memory) -> None:
    """Write the file anew; its folder is made where it is missing.

    Raises:
        OSError: It can't be written.
    """
    import tempfile

    head = {
        "kdash": _TITLE,
        "version": _VERSION,
        "boot_id": boot_id,
        "tiers": _tiers(),
        "quantities": list(QUANTITIES),
        "memory": asdict(memory),
    }
    body = zlib.compress(b"".join(column.tobytes() for column in history.copy().columns()), 1)
    make_private(path.parent)
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=".kdash-")  # of mode 0600
    try:
        with os.fdopen(number, "wb") as file:
            file.write(json.dumps(head).encode() + b"\n" + body)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _opened(path: Path, boot_id: str) -> tuple[dict[str, Any], bytes]:
    """The head of the file, of this boot, and what follows it."""
    try:
        data = _bytes(path)
    except OSError as error:
        raise NoHistoryError(error.strerror or "can't be read") from None
    line, _, body = data.partition(b"\n")
    head = _head(line)
    if head.get("boot_id") != boot_id:
        raise NoHistoryError("of another boot")
    if head.get("tiers") != _tiers() or head.get("quantities") != list(QUANTITIES):
        raise NoHistoryError("of another version")
    return head, body


def _bytes(path: Path) -> bytes:
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise NoHistoryError("no regular file")
        if status.st_size > _MOST_BYTES:
            raise NoHistoryError("too large")
        return file.read(_MOST_BYTES)


def _tiers() -> list[list[float]]:
    return [list(tier) for tier in TIERS]


def _head(line: bytes) -> dict[str, Any]:
    try:
        head = json.loads(line) if len(line) <= _HEAD_BYTES else None
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or head.get("kdash") != _TITLE:
        raise NoHistoryError("no history of kdash")
    if head.get("version") != _VERSION:
        raise NoHistoryError("of another version")
    return head


def _history(body: bytes) -> History:
    history = History()
    columns = history.columns()
    size = sum(len(column) * column.itemsize for column in columns)
    expander = zlib.decompressobj()
    try:
        data = expander.decompress(body, size + 1)
    except zlib.error:
        raise NoHistoryError("damaged") from None
    if len(data) != size or not expander.eof:
        raise NoHistoryError("damaged")
    start = 0
    for column in columns:
        end = start + len(column) * column.itemsize
        column[:] = array(column.typecode, data[start:end])
        if not all(map(math.isfinite, column)):
            raise NoHistoryError("damaged")
        start = end
    return history


def _memory(kept: object, now: float) -> Memory:
    """The memory, as far as it is sensible."""
    if not isinstance(kept, dict):
        return Memory()
    generation, hwrng = kept.get("generation"), kept.get("hwrng")
    earliest, latest = kept.get("reseed_earliest"), kept.get("reseed_latest")
    source = hwrng if isinstance(hwrng, str) else ""
    if (
        isinstance(generation, int)
        and isinstance(earliest, int | float)
        and isinstance(latest, int | float)
        and generation > 0
        and 0 <= earliest <= latest <= now
    ):
        return Memory(generation, float(earliest), float(latest), source)
    return Memory(hwrng=source)
