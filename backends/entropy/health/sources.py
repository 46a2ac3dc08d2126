"""Where a stream to be tested comes from: a file, a device, the clock, the kernel, the model."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from kdash.backends.entropy.procfs import takes_from_input_pool

LIVE = ("hwrng", "timing", "getrandom", "model")
LIVE_BYTES = 62_504  # what is taken of a source without an end: 25 blocks of FIPS 140-2 and a word
PATIENCE = 10.0  # seconds a device may take for its next bytes
_SILENCE = 1.0  # seconds until a pipe without a writer is told
_PIECE = 1 << 18
_SMALL_PIECE = 4096
_EXTRACTED = 500  # bytes of the model between two events that feed it
_RANDOM_DEVICE = (1, 8)
_HARDWARE_DEVICE = (10, 183)  # include/linux/miscdevice.h, HWRNG_MINOR
_BLOCKING_ERA = Path("/proc/sys/kernel/random/read_wakeup_threshold")


class SourceError(Exception):
    """A source gives nothing; the message says why and what to do."""


def live_bytes(source: str, nbytes: int) -> Iterator[bytes]:
    """Pieces of one of `LIVE`, `nbytes` in all.

    Raises:
        SourceError: The source is not there, or gives nothing for `PATIENCE` seconds.
    """
    pieces = {
        "hwrng": _hwrng_bytes, "timing": _timing_bytes,
        "getrandom": _getrandom_bytes, "model": _model_bytes,
    }[source]()  # fmt: skip
    return _first(pieces, nbytes)


def file_bytes(
    path: str, nbytes: int | None, waiting: Callable[[], None] = lambda: None
) -> Iterator[bytes]:
    """Pieces of a file, device, pipe or, for "-", of standard input.

    Args:
        path: What to read.
        nbytes: At most so many bytes; a device needs a number, `LIVE_BYTES` if None.
        waiting: Called when a named pipe has nobody who writes to it.

    Raises:
        SourceError: It can't be read, or reading it would take from the kernel's blocking pool.
    """
    try:
        descriptor = os.dup(0) if path == "-" else _opened(path, waiting)
    except OSError as error:
        raise SourceError(error.strerror or "can't be opened") from None
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise SourceError("is a folder")
        device = stat.S_ISCHR(found.st_mode) and not os.isatty(descriptor)
        if device and _drains(found.st_rdev):
            raise SourceError(
                "reading it takes bits from the kernel's blocking pool; test /dev/urandom"
            )
    except SourceError:
        os.close(descriptor)
        raise
    limit = LIVE_BYTES if device and nbytes is None else nbytes
    if device and path != "-" and _numbers(found.st_rdev) == _HARDWARE_DEVICE:
        os.close(descriptor)
        return _first(_hwrng_bytes(path), nbytes or LIVE_BYTES)  # which may be slow
    return _descriptor_bytes(descriptor, limit)


def _opened(path: str, waiting: Callable[[], None]) -> int:
    """Open without waiting for a pipe's writer or a line's carrier; reading waits again."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        if not poller.poll(_SILENCE * 1000):
            waiting()
            poller.poll()
    os.set_blocking(descriptor, True)
    return descriptor


def _drains(device: int) -> bool:
    """Whether it is the kernel's blocking device (up to 5.5: it has a threshold)."""
    return _numbers(device) == _RANDOM_DEVICE and _BLOCKING_ERA.exists()


def _numbers(device: int) -> tuple[int, int]:
    return os.major(device), os.minor(device)


def _first(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    for piece in pieces:
        if piece[:limit]:
            yield piece[:limit]
        limit -= len(piece)
        if limit <= 0:
            return


def _descriptor_bytes(descriptor: int, limit: int | None) -> Iterator[bytes]:
    """What can be read, and no more of it than is wanted: a pipe's rest is its next reader's."""
    left = sys.maxsize if limit is None else limit
    try:
        while left and (piece := os.read(descriptor, min(left, _PIECE))):
            left -= len(piece)
            yield piece
    except OSError as error:
        raise SourceError(error.strerror or "can't be read") from None
    finally:
        os.close(descriptor)


def _hwrng_bytes(path: str = "/dev/hwrng") -> Iterator[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise SourceError(f"{path} can be read by root alone") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; is there a hardware source?") from None
    try:
        while True:
            yield _patient_read(path, descriptor)
    finally:
        os.close(descriptor)


def _patient_read(path: str, descriptor: int) -> bytes:
    end = time.monotonic() + PATIENCE
    while (left := end - time.monotonic()) > 0:
        try:
            if piece := os.read(descriptor, _SMALL_PIECE):
                return piece
        except BlockingIOError:
            pass
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}; the hardware source is gone") from None
        # hw_random can't be polled for: poll says readable at once.
        select.select([], [], [], min(0.004, left))
    raise SourceError(f"{path} gave nothing for {PATIENCE:g} seconds")


def _timing_bytes() -> Iterator[bytes]:
    """The lowest byte of how long it took to read the clock, time after time."""
    clock = time.perf_counter_ns
    while True:
        times = [clock() for _ in range(_SMALL_PIECE + 1)]
        yield bytes((after - before) & 0xFF for before, after in pairwise(times))


def _getrandom_bytes() -> Iterator[bytes]:
    if takes_from_input_pool():
        raise SourceError(
            "getrandom of this kernel would take from its input pool: test a file, or the model"
        )
    while True:
        try:
            yield os.getrandom(_SMALL_PIECE, os.GRND_NONBLOCK)
        except BlockingIOError:
            raise SourceError("the generator is not seeded yet: getrandom waits") from None


def _model_bytes() -> Iterator[bytes]:
    """/dev/urandom of the Linux 4.3 model, which this machine's events feed meanwhile."""
    from kdash.backends.entropy.live_model import LiveModel

    model = LiveModel(reads={})
    while True:
        model.advance()
        yield model.urandom(_EXTRACTED)
