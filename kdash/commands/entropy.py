"""`kdash entropy`: the state of the kernel's random-number generator, once or repeatedly."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from kdash.backends.json_text import json_text
from kdash.commands import entropy_text
from kdash.commands.entropy_parser import Stopped, stop_signals
from kdash.commands.entropy_parsers import once_parser, watch_parser
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.backends.entropy.facts import Reading
    from kdash.backends.entropy.signals import SignalReader

HWRNG_SECONDS = 15.0  # the raw source may take to be measured; a slow one gives nothing for 10
LOOK_SECONDS = 1.0  # between two looks of --for
SETTLING_SECONDS = 0.2  # between the two looks a rate needs


def run(argv: list[str]) -> int:
    """Carry out `kdash entropy` and return the exit status."""
    commands = {
        "watch": _watch,
        "model": _model,
        "health": _health,
        "contention": _contention,
        "export": _export,
    }
    command = commands.get(argv[0]) if argv else None
    try:
        with stop_signals():
            return command(argv[1:]) if command else _once(argv)
    except Stopped as stopped:
        return stopped.status


def _once(argv: list[str]) -> int:
    parser = once_parser()
    arguments = parser.parse_args(argv)
    if arguments.command:
        parser.error(f"{arguments.command} comes first: kdash entropy {arguments.command} ...")
    with _reader() as reader:
        if arguments.hwrng and not _allowed(reader.on_request.measure_hwrng, "--hwrng"):
            return ExitStatus.ENVIRONMENT
        reading = reader.read()
        try:
            time.sleep(SETTLING_SECONDS)
            reader.on_request.wait_for_hwrng(HWRNG_SECONDS)
            reading = reader.read()
            end = time.monotonic() + (arguments.watched or 0.0)
            while (left := end - time.monotonic()) > 0 and not reading.alerts:
                time.sleep(min(left, LOOK_SECONDS))
                reading = reader.read()
        except Stopped:
            _print_reading(reading, arguments.format)  # what is known so far
            raise
    _print_reading(reading, arguments.format)
    return status_of(reading, check=arguments.check)


def _allowed(ask: Callable[[], None], option: str) -> bool:
    """Ask for what an option wants; False, and told why, where it can't be had."""
    from kdash.backends.entropy.procfs import NOT_ON_THIS_KERNEL, Unavailable

    try:
        ask()
    except Unavailable as error:
        why = str(error)
        told = "root" in why or why == NOT_ON_THIS_KERNEL
        remedy = "" if told else "; kdash doctor says what to do"
        sys.stderr.write(f"kdash entropy: {option}: {why}{remedy}\n")
        return False
    return True


def status_of(reading: Reading, *, check: bool) -> ExitStatus:
    """How a single look ends."""
    if reading.entropy_avail is None and reading.ready is None:
        sys.stderr.write("kdash entropy: nothing can be read here; kdash doctor tells why\n")
        return ExitStatus.ENVIRONMENT
    return ExitStatus.FINDINGS if check and reading.alerts else ExitStatus.OK


def _watch(argv: list[str]) -> int:
    arguments = watch_parser().parse_args(argv)
    with _reader() as reader:
        asked = reader.on_request
        if arguments.callers and not _allowed(lambda: asked.trace_callers(True), "--callers"):
            return ExitStatus.ENVIRONMENT
        events = "--random-events"
        if arguments.random_events and not _allowed(asked.trace_random_events, events):
            return ExitStatus.ENVIRONMENT
        reader.read()  # what the first rate is measured from
        due = time.monotonic() + SETTLING_SECONDS
        printed = 0
        while arguments.count is None or printed < arguments.count:
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + arguments.interval, time.monotonic())
            _print_sample(reader.read(), arguments.format)
            printed += 1
    return ExitStatus.OK


def _model(argv: list[str]) -> int:
    from kdash.commands.entropy_model import run as run_model

    return run_model(argv)


def _contention(argv: list[str]) -> int:
    from kdash.commands.entropy_contention import run as run_contention

    return run_contention(argv)


def _health(argv: list[str]) -> int:
    from kdash.commands.entropy_health import run as run_health

    return run_health(argv)


def _export(argv: list[str]) -> int:
    from kdash.commands.entropy_export import run as run_export

    return run_export(argv)


@contextmanager
def _reader() -> Iterator[SignalReader]:
    """A reader of this machine's signals, closed at the end."""
    from kdash.backends.entropy.signals import SignalReader
    from kdash.backends.entropy.vdso import VdsoChild
    from kdash.state_folder import history_path

    reader = SignalReader(vdso=VdsoChild(), kept=history_path())
    try:
        yield reader
    finally:
        reader.close()


def _print_reading(reading: Reading, form: str) -> None:
    from kdash.backends.entropy.report import reading_json

    if form == "json":
        sys.stdout.write(json_text(reading_json(reading)) + "\n")
    else:
        sys.stdout.write(entropy_text.reading_text(reading))


def _print_sample(reading: Reading, form: str) -> None:
    from kdash.backends.entropy.report import reading_json

    now = time.time()
    if form == "json":
        line = json_text({"time": round(now, 3)} | reading_json(reading)) + "\n"
    else:
        line = entropy_text.reading_line(reading, datetime.fromtimestamp(now))
    sys.stdout.write(line)
    sys.stdout.flush()
