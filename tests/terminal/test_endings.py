"""However the program ends, and whatever it was sent before, the terminal is as it was found."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.terminal.program import PATIENCE, ROOT, Program
from tests.terminal.test_crashes import CRASHING
from tests.terminal.test_real_program import processes_of_session

pytestmark = pytest.mark.terminal

FLOOD_SECONDS = 1.0
SAMPLE = str(ROOT / "backends" / "stack" / "samples" / "uart_irq.o")


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
        for number in numbers:
            since = len(program.raw)
            program.child.kill(number)
            if number is signal.SIGCONT:
                program.wait_for_sent(b"\x1b[?1049h", b"rax", since=since)
            else:
                wait_stopped(program)
        program.press("s")
        program.wait_for("steps 1")  # a key is read once
        program.press("q")
        assert program.end() == 0
        assert program.restored


def wait_stopped(program: Program) -> None:
    end = time.monotonic() + PATIENCE
    while Path(f"/proc/{program.child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        program.pump(0.02)
        assert time.monotonic() < end


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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_the_editor_is_open_ends_both(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho EDITING\nexec sleep 1000\n")
    editor.chmod(0o755)
    with Program(SAMPLE, env={"VISUAL": str(editor)}, columns=120, lines=40) as program:
        program.wait_for("uart_irq", "what")
        session = program.child.pid
        program.press("e")
        program.wait_for("EDITING")
        program.child.kill(number)
        assert program.end() == status
        assert program.restored
        assert processes_of_session(session) == []
