"""What the commands below `kdash entropy` share: values of options, and how signals end them."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from kdash.exit_status import ExitStatus

LEAST_INTERVAL, MOST_INTERVAL = 0.25, 3600.0  # seconds
STATUSES = {
    signal.SIGHUP: ExitStatus.SIGHUP,
    signal.SIGINT: ExitStatus.SIGINT,
    signal.SIGTERM: ExitStatus.SIGTERM,
}


class Stopped(Exception):  # noqa: N818 - a way to end, not an error
    """A signal asked the command to end."""

    def __init__(self, status: ExitStatus) -> None:
        super().__init__(status)
        self.status = status


@contextmanager
def stop_signals() -> Iterator[None]:
    """Turn the signals that end a command into `Stopped`; one that is ignored stays ignored."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(STATUSES[signal.Signals(number)])

    before = {
        number: signal.signal(number, stop)
        for number in STATUSES
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def seconds_between(text: str) -> float:
    """The seconds between two samples, an argument."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LEAST_INTERVAL <= seconds <= MOST_INTERVAL:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of seconds from {LEAST_INTERVAL} to {MOST_INTERVAL:.0f}"
        )
    return seconds


def sample_count(text: str) -> int:
    """The number of samples, an argument."""
    if not (text.isascii() and text.isdigit() and int(text[:18]) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of samples from 1")
    return int(text[:18])
