"""Accesses to where nothing is: answered with ones in native code, told like any other."""

from __future__ import annotations

import pytest

from kdash.backends.kvm.facts import IoExit, MmioExit, Mode
from kdash.backends.kvm.runner import Runner, Slice
from tests.backends.kvm.conftest import Start

pytestmark = pytest.mark.kvm


def slices_to_the_end(runner: Runner) -> int:
    count = 0
    while not runner.ending:
        runner.run()
        count += 1
    return count


def test_reads_of_a_port_without_a_device_stay_in_native_code(start: Start) -> None:
    # mov cx,200; in al,0x80; loop back; hlt
    run = start("b9c800 e480 e2fc f4")
    assert slices_to_the_end(run.runner) < 10
    assert run.runner.log.ports == {0x80: [200, 0]}
    assert run.rax == 0xFF
    assert len(run.exits) == 201
    assert run.exits[0].detail == IoExit("in", 0x80, 1, 1, b"\xff")
    assert {one.ip for one in run.exits[:200]} == {0x1003}


def test_accesses_to_an_address_without_memory_stay_in_native_code(start: Start) -> None:
    # mov ebx,0x300000; mov ecx,100; mov [ebx],ecx; mov eax,[ebx]; loop back; hlt
    run = start("bb00003000 b964000000 890b 8b03 e2fa f4", Mode.PROTECTED, memory=1 << 21)
    assert slices_to_the_end(run.runner) < 10
    assert run.runner.log.mmio == [100, 100]
    assert run.rax == 0xFFFF_FFFF
    assert run.exits[0].detail == MmioExit(True, 0x300000, (100).to_bytes(4, "little"))
    assert run.exits[1].detail == MmioExit(False, 0x300000, b"\xff" * 4)


def test_output_between_such_reads_arrives_in_order(start: Start) -> None:
    # mov cx,26; mov al,'a'; out 0xe9,al; mov bl,al; in al,0x80; mov al,bl; inc ax; loop; hlt
    run = start("b91a00 b061 e6e9 88c3 e480 88d8 40 e2f5 f4")
    run.finish()
    assert run.runner.debug_port.sent == b"abcdefghijklmnopqrstuvwxyz"
    assert run.runner.log.ports == {0xE9: [0, 26], 0x80: [26, 0]}
    directions = [one.detail.direction for one in run.exits[:-1] if isinstance(one.detail, IoExit)]
    assert directions == ["out", "in"] * 26


def test_a_port_with_a_device_is_asked(start: Start) -> None:
    run = start("e4e9 f4")  # in al,0xe9; hlt
    run.finish()
    assert run.rax == 0xE9


def test_a_read_answered_last_is_finished_before_registers_are_read(start: Start) -> None:
    run = start("e480 ebfc")  # in al,0x80; jmp back
    run.runner.start_ticks(50)
    while run.runner.run() is not Slice.KICKED:
        pass
    run.runner.stop_ticks()
    run.runner.settle()
    assert run.rax == 0xFF
    assert run.rip in {0x1000, 0x1002}
