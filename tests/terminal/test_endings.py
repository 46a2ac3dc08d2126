"""However the program ends, and whatever it was sent before, the terminal is as it was found."""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import pytest

from tests.terminal.program import Program
from tests.terminal.test_crashes import CRASHING

pytestmark = pytest.mark.terminal

FLOOD_SECONDS = 1.0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_before_the_first_picture_restores_the_terminal(
    number: signal.Signals, status: int
) -> None:
    with Program("--engine", "emulator") as program:
        program.wait_for_sent(b"\x1b[?1049h", since=0)
        program.child.kill(number)
        assert program.end() == status
        assert program.restored


@pytest.mark.parametrize(
    "numbers",
    [(signal.SIGSTOP, signal.SIGCONT), (signal.SIGTSTP, signal.SIGCONT, signal.SIGCONT)],
)
def test_stopped_and_continued_by_others_it_takes_and_leaves_the_terminal_once(
    numbers: tuple[signal.Signals, ...],
) -> None:
    with Program("--engine", "emulator") as program:
        program.wait_for("EMULATED ready", "rax")
        since = len(program.raw)
        for number in numbers:
            program.child.kill(number)
            program.pump(0.3)
        program.wait_for_sent(b"\x1b[?1049h", b"rax", since=since)
        program.press("s")
        program.wait_for("steps 1")  # a key is read once
        program.press("q")
        assert program.end() == 0
        assert program.restored


def test_a_flood_of_input_holds_up_no_signal() -> None:
    letters = random.Random(2015)
    with Program("--engine", "emulator", columns=120, lines=40) as program:
        program.wait_for("EMULATED ready", "rax")
        terminal = program.child.child_fd
        os.set_blocking(terminal, False)
        end = time.monotonic() + FLOOD_SECONDS
        while time.monotonic() < end:
            flood = letters.choices(b"\x1b[?<>0123;MmuRcht~OABCDjj\xff\x00\x9b", k=200)
            try:
                os.write(terminal, bytes(flood))
            except BlockingIOError:
                program.pump(0.01)
        program.child.kill(signal.SIGTERM)
        assert program.end() == 143
        assert program.restored


@pytest.mark.parametrize(
    ("closed", "says"),
    [("<&-", "standard input is not a terminal"), (">&-", "standard output is closed")],
)
def test_a_closed_stream_is_told_in_one_line(closed: str, says: str) -> None:
    with Program(within=("sh", "-c", f'exec "$@" {closed}', "sh")) as program:
        assert program.end() in (2, 3)
        assert says in program.text
        assert b"Traceback" not in program.raw


def test_with_standard_error_closed_it_draws_on_standard_output() -> None:
    within = ("sh", "-c", 'exec "$@" 2>&-', "sh")
    with Program("--engine", "emulator", within=within) as program:
        program.wait_for("EMULATED ready", "rax")
        program.press("q")
        assert program.end() == 0
        assert program.restored


def test_a_fault_of_the_program_is_told_as_data_on_the_terminal_as_it_was() -> None:
    within = (sys.executable, CRASHING, "program")
    with Program("--engine", "emulator", within=within) as program:
        program.wait_for("EMULATED ready", "rax")
        program.press("2")
        assert program.end() == 1
        assert program.restored
        told = program.raw.rpartition(b"\x1b[?1049l")[2]
        assert b"a fault in kdash; please report it" in told
        assert rb"injected[red]\x1b[2J" in told
        assert b"\x1b[2J" not in told
