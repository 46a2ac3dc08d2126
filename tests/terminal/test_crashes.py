"""Faults in every backend at once: panes say so, the terminal is restored, nothing lingers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.terminal.program import Program
from tests.terminal.test_real_program import processes_of_session

pytestmark = pytest.mark.terminal

CRASHING = str(Path(__file__).with_name("crashing.py"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [("model", "The model ended: injected"), ("sampler", "sampling ended")],
)
def test_each_pane_tells_of_its_backends_crash_and_the_others_go_on(fault: str, words: str) -> None:
    within = (sys.executable, CRASHING, fault)
    with Program("--engine", "emulator", columns=160, lines=48, within=within) as program:
        program.wait_for("EMULATED ready", "the validator crashed on it", words)
        program.press(" ")
        program.wait_for("the VCPU's thread ended")
        program.press("s")  # refused, and no wait for a thread that is gone
        program.press("2", "j", "3", ">", "1")
        program.wait_for("▸1 VCPU")
        assert b"Traceback" not in program.raw
        assert b"injected[red]\x1b[2J" not in program.raw
        session = program.child.pid
        program.press("q")
        assert program.end() == 0
        assert program.restored
        assert processes_of_session(session) == []


@pytest.mark.kvm
def test_a_vcpu_whose_thread_ends_at_full_speed_leaves_its_pane_and_nothing_behind(
    tmp_path: Path,
) -> None:
    guest = tmp_path / "spin.bin"
    guest.write_bytes(b"\x40\xeb\xfd")  # inc ax; jmp back
    within = (sys.executable, CRASHING, "guest")
    with Program("--engine", "kvm", str(guest), columns=100, lines=30, within=within) as program:
        program.wait_for("ready", "rip")
        session = program.child.pid
        program.press(" ")
        program.wait_for("the VCPU's thread ended", "injected")
        program.press("3")
        program.wait_for("▸3 Entropy", "boot progress")
        program.press("q")
        assert program.end() == 0
        assert program.restored
        assert processes_of_session(session) == []
