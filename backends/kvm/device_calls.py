"""Calls of users' devices that are under way, and how one that never returns is ended.

An exception is raised in the device's own code: by a signal handler in the main thread, which
ends loops and waiting alike, or asynchronously in another thread, which ends what executes
Python code; a wait in C goes on there. Source: PyThreadState_SetAsyncExc, Python's C API.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from threading import Timer, get_ident
from typing import Final

from kdash.backends.kvm.facts import IN_DEVICE, Outcome

#: Seconds a call may still take when the run shall stop.
PATIENCE: Final = 1.0
#: Seconds after which a call is told of while it goes on.
NOTICED: Final = 0.25


class EndedCall(BaseException):
    """Raised in a device that does not return when a person stops the guest."""

    outcome = Outcome.INTERRUPTED

    def __str__(self) -> str:
        """What ended it."""
        return "the guest was stopped while the device had not returned"


class OverdueCall(EndedCall):
    """Raised in a device that does not return when the time is over."""

    outcome = Outcome.TIMEOUT

    def __str__(self) -> str:
        """What ended it."""
        return "the time was over while the device had not returned"


@dataclass(slots=True)
class Call:
    """A call that is under way."""

    device: str
    method: str
    began: float  # time.monotonic()
    ended: bool = False  # it was to be ended, and has not returned yet


_calls: dict[int, Call] = {}  # by thread


def begin(device: str, method: str = "") -> None:
    """The calling thread calls a device; whoever does this expects EndedCall until `end`."""
    _calls[get_ident()] = Call(device, method, time.monotonic())


def end() -> None:
    """The call has returned; EndedCall comes no more from `end_calls` of this thread."""
    _calls.pop(get_ident(), None)


def hung() -> tuple[str, ...]:
    """Names of the devices that have not returned for `PATIENCE`."""
    late = time.monotonic() - PATIENCE
    return tuple(call.device for call in tuple(_calls.values()) if call.began <= late)


def longest() -> Call | None:
    """The call that has been under way for the longest time."""
    return min(tuple(_calls.values()), key=lambda call: call.began, default=None)


def told() -> str:
    """Where a device has been for longer than `NOTICED`, and for how long; empty: nowhere."""
    call = longest()
    if call is None or (seconds := time.monotonic() - call.began) < NOTICED:
        return ""
    where = ".".join(filter(None, (call.device, call.method)))
    long = f" for {seconds:.0f} s" if seconds >= 1 else ""
    if call.ended and seconds > 3 * PATIENCE:
        return f"device {where} waits in C{long}: it can't be ended before that returns"
    return f"{IN_DEVICE}{where}{long}"


def leave() -> None:
    """Look no longer at the calls of `hung`: nobody can end them, or waits for them."""
    late = time.monotonic() - PATIENCE
    for thread, call in tuple(_calls.items()):
        if call.began <= late:
            _calls.pop(thread, None)


def end_calls(ended: type[EndedCall] = EndedCall) -> None:
    """End all calls that have been under way for `PATIENCE`.

    Raises:
        EndedCall: when one of them is of the calling thread, where this is a signal handler.
    """
    late = time.monotonic() - PATIENCE
    mine = False
    for thread, call in tuple(_calls.items()):
        if call.began > late:
            continue
        if thread == get_ident():
            # Once more when it goes on all the same, but not while it unwinds.
            call.began = time.monotonic()
            mine = True
        else:
            call.ended = True
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
