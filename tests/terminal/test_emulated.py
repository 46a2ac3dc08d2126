"""The real program where /dev/kvm can't be used: the same guest, on the emulator."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.terminal.program import Program

pytestmark = pytest.mark.terminal

#: Starts a command where /dev/kvm is something else.
WITHOUT_KVM = ("unshare", "-m", "sh", "-c", 'mount --bind /dev/null /dev/kvm && exec "$@"', "sh")


def test_a_guest_is_stepped_and_run_on_the_emulator_asked_for() -> None:
    with Program("--engine", "emulator", columns=120, lines=40) as program:
        program.wait_for("EMULATED", "mov dx,0x3f8")
        program.press(*"ssss")
        program.wait_for("out 0x3f8")
        program.press(" ")
        program.wait_for("HLT", "EMULATED")
        program.press("q")
        assert program.end() == 0


def test_a_spinning_guest_is_paused_on_the_emulator(tmp_path: Path) -> None:
    guest = tmp_path / "spin.bin"
    guest.write_bytes(b"\x40\xeb\xfd")  # inc ax; jmp back
    with Program("--engine", "emulator", str(guest), columns=120, lines=40) as program:
        program.wait_for("EMULATED ready")
        program.press(" ")
        program.wait_for("EMULATED running")
        program.press(" ")
        program.wait_for("EMULATED stopped")
        program.press("q")
        assert program.end() == 0


@pytest.mark.root
@pytest.mark.kvm
def test_the_emulator_is_taken_where_kvm_is_not_to_be_had() -> None:
    if subprocess.run([*WITHOUT_KVM, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not allowed here")
    with Program(columns=120, lines=40, within=WITHOUT_KVM) as program:
        program.wait_for("EMULATED", "rax", "mov dx,0x3f8")
        program.press("q")
        assert program.end() == 0
