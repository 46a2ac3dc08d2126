"""Calls of users' devices that are under way, and how one that never returns is ended.

An exception is raised in the device's own code: by a signal handler in the main thread, which
ends loops and waiting alike, or asynchronously in another thread, which ends what executes
Python code; a wait in C goes on there. Source: PyThreadState_SetAsyncExc, Python's C API.
"""

from __future__ import annotations

import ctypes
import time
from threading import Timer, get_ident
from typing import Final

from kdash.backends.kvm.facts import Outcome

#: Seconds a call may still take when the run shall stop.
PATIENCE: Final = 1.0


class EndedCall(BaseException):
    """Raised in a device that does not return when a person stops the guest."""

    outcome = Outcome.INTERRUPTED


class OverdueCall(EndedCall):
    """Raised in a device that does not return when the time is over."""

    outcome = Outcome.TIMEOUT


# By thread: the device's name and when the call began.
_calls: dict[int, tuple[str, float]] = {}


def begin(device: str) -> None:
    """The calling thread calls a device; whoever does this expects EndedCall until `end`."""
    _calls[get_ident()] = device, time.monotonic()


def end() -> None:
    """The call has returned; EndedCall comes no more from `end_calls` of this thread."""
    _calls.pop(get_ident(), None)


def hung() -> tuple[str, ...]:
    """Names of the devices that have not returned for `PATIENCE`."""
    late = time.monotonic() - PATIENCE
    return tuple(name for name, began in tuple(_calls.values()) if began <= late)


def end_calls(ended: type[EndedCall] = EndedCall) -> None:
    """End all calls that have been under way for `PATIENCE`.

    Raises:
        EndedCall: when one of them is of the calling thread, where this is a signal handler.
    """
    late = time.monotonic() - PATIENCE
    mine = False
    for thread, (name, began) in tuple(_calls.items()):
        if began > late:
            continue
        if thread == get_ident():
            # Once more when it goes on all the same, but not while it unwinds.
            _calls[thread] = name, time.monotonic()
            mine = True
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread), ctypes.py_object(ended)
            )
    if mine:
        raise ended


def end_calls_later() -> None:
    """Look in a moment, from a thread of its own, for calls that don't return."""
    if _calls:
        timer = Timer(1.1 * PATIENCE, end_calls)
        timer.daemon = True
        timer.start()
