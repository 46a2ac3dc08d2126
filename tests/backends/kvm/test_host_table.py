"""What stepping and running give on the host at hand; the other column is in test_step.py."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from kdash.backends.kvm.facts import (
    InternalErrorExit,
    IoExit,
    MmioExit,
    Mode,
    Outcome,
    StopKind,
)
from kdash.backends.kvm.runner import Slice
from kdash.backends.kvm.stop_requests import Wanted
from kdash.backends.kvm.stopping import Stopping
from kdash.backends.kvm.stops import Stops

if TYPE_CHECKING:
    from .conftest import Start

pytestmark = pytest.mark.kvm

MMIO = 0xD0000000
#: mov eax, MMIO
POINT = "b8000000d0"
both = pytest.mark.parametrize("stepped", [False, True], ids=["run", "stepped"])


def test_an_out_is_one_step_with_rip_past_it(start: Start) -> None:
    run = start("e6 e9 f4", registers={"rax": 0x41})
    run.step()
    assert run.rip == 0x1002
    assert run.debug_port.sent == b"A"
    assert [one.ip for one in run.exits] == [0x1000]


def test_an_in_is_one_step_that_delivers_the_answer(start: Start) -> None:
    run = start("e4 e9 f4")
    run.step()
    assert (run.rip, run.rax) == (0x1002, 0xE9)
    assert run.exits[0].detail == IoExit("in", 0xE9, 1, 1, b"\xe9")


def test_an_mmio_read_is_one_step_that_delivers_all_ones(start: Start) -> None:
    run = start(POINT + "8a10 f4", Mode.PROTECTED)
    run.step(2)
    assert (run.rip, run.rdx & 0xFF) == (0x1007, 0xFF)
    assert run.exits[0].detail == MmioExit(False, MMIO, b"\xff")


def test_an_mmio_write_is_one_step(start: Start) -> None:
    run = start(POINT + "c60021 f4", Mode.PROTECTED)
    run.step(2)
    assert run.rip == 0x1008
    assert run.exits[0].detail == MmioExit(True, MMIO, b"!")


def test_an_add_to_mmio_is_one_step_with_a_read_and_a_write(start: Start) -> None:
    run = start(POINT + "b102 0008 f4", Mode.PROTECTED)
    run.step(3)
    assert run.rip == 0x1009
    assert [one.detail for one in run.exits] == [
        MmioExit(False, MMIO, b"\xff"),
        MmioExit(True, MMIO, b"\x01"),
    ]
    assert {one.step for one in run.exits} == {2}


@both
def test_rep_outsb_counts_an_exit_an_element(start: Start, stepped: bool) -> None:
    run = start("be0020 b90500 baf803 f36e f4", data={0x2000: b"hello"})
    run.finish(stepped)
    assert run.serial.sent == b"hello"
    assert dict(run.log.counts) == {2: 5, 5: 1}
    assert run.log.ports == {0x3F8: [0, 5]}
    assert {one.ip for one in run.exits[:5]} == {0x1009}


@both
def test_rep_insb_counts_an_exit_an_element(start: Start, stepped: bool) -> None:
    run = start("bf0020 b90500 bae900 f36c f4")
    run.finish(stepped)
    assert run.runner.machine.memory.read(0x2000, 6) == b"\xe9" * 5 + b"\0"
    assert dict(run.log.counts) == {2: 5, 5: 1}
    assert run.exits[0].ip == 0x1009


@pytest.mark.parametrize("string", ["f36e", "f36c", "f3a4", "f3aa", "f3a6", "f2ae"])
@pytest.mark.parametrize("count", [0, 1, 3, 2049])
def test_a_rep_instruction_is_one_step(start: Start, string: str, count: int) -> None:
    run = start(f"{string} f4", registers={"rsi": 0x2000, "rdi": 0x4000, "rcx": count, "rdx": 0xE9})
    run.step()
    assert run.rip == 0x1002
    assert run.runner.steps == 1


def test_rep_movsb_moves_everything_in_its_one_step(start: Start) -> None:
    content = bytes(range(256)) * 10
    run = start(
        "f3a4 f4",
        registers={"rsi": 0x2000, "rdi": 0x4000, "rcx": len(content)},
        data={0x2000: content},
    )
    run.step()
    assert run.rcx == 0
    assert run.runner.machine.memory.read(0x4000, len(content)) == content


@both
def test_hlt_ends_the_run_and_is_not_run_past(start: Start, stepped: bool) -> None:
    run = start("90 f4 e6f4")
    run.finish(stepped)
    assert (run.ending.outcome, run.ending.detail) == (Outcome.HLT, "HLT at 0x1001")
    assert run.rip == 0x1002
    assert dict(run.log.counts) == {5: 1}


def test_hlt_counts_as_a_step(start: Start) -> None:
    run = start("90 f4")
    run.finish(stepped=True)
    assert run.runner.steps == 2
    assert [one.step for one in run.exits] == [1]


@both
@pytest.mark.parametrize("mode", [Mode.PROTECTED, Mode.LONG])
def test_a_triple_fault_is_a_shutdown(start: Start, stepped: bool, mode: Mode) -> None:
    run = start("90 0f0b", mode)
    run.finish(stepped)
    assert run.ending.outcome is Outcome.SHUTDOWN
    assert run.rip == 0x1001
    assert run.ending.detail.startswith("SHUTDOWN at 0x1001: triple fault")


@both
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("cc", "int3"),
        ("cd80", "int 0x80"),
        ("0f58c1", "addps xmm0,xmm1"),
        ("f30fb8c1", "popcnt eax,ecx"),
    ],
)
def test_an_instruction_kvm_can_not_emulate_is_shown(
    start: Start, stepped: bool, code: str, text: str
) -> None:
    run = start(f"90 {code} f4", Mode.LONG)
    run.finish(stepped)
    if run.ending.outcome is not Outcome.INTERNAL_ERROR:
        pytest.skip("this host executes it")
    assert run.exits[-1].detail == InternalErrorExit(1, bytes.fromhex(code))
    assert run.exits[-1].meaning.endswith(f"({text})")
    assert run.exits[-1].ip == 0x1001


@pytest.mark.parametrize(
    ("mode", "bits", "code"),
    [(Mode.REAL, 16, "90"), (Mode.PROTECTED, 32, "90"), (Mode.LONG, 64, "90")],
)
def test_each_mode_starts_with_its_own_code_size(
    start: Start, mode: Mode, bits: int, code: str
) -> None:
    run = start(code, mode)
    registers = run.vcpu.registers()
    assert (registers.mode, registers.code_bits) == (mode, bits)
    run.step()
    assert run.steps[0].bits == bits


def test_a_guest_that_switches_to_protected_mode_is_decoded_as_it_goes(start: Start) -> None:
    # lgdt [0x1020]; mov eax,cr0; or al,1; mov cr0,eax; jmp 8:0x1014; (32-bit) mov eax,imm32; hlt
    gdt = bytes.fromhex("0000000000000000 ffff0000009bcf00 ffff00000093cf00")
    run = start(
        "0f01162010 0f20c0 0c01 0f22c0 ea14100800 9090 b878563412 f4",
        data={0x1020: bytes.fromhex("1700 40100000"), 0x1040: gdt},
    )
    run.finish(stepped=True)
    assert run.ending.detail == "HLT at 0x1019"
    assert run.rax == 0x12345678
    assert [record.bits for record in run.steps] == [16] * 5 + [32] * 2


def test_code_is_read_through_the_code_segment_base(start: Start) -> None:
    run = start("ea0000 0002", data={0x2000: b"\xb0\x07\xf4"})
    run.finish(stepped=True)
    assert run.steps[1].code[:2] == b"\xb0\x07"
    assert run.ending.detail == "HLT at 0x2"


def test_the_upper_half_of_long_mode_reaches_the_same_memory(start: Start) -> None:
    # mov rax,-2G+0x100c; jmp rax; then hlt
    run = start("48c7c00c100080 ffe0 909090 f4", Mode.LONG)
    run.finish(stepped=True)
    assert run.ending.detail == "HLT at 0xffffffff8000100c"
    assert run.steps[-1].code[:1] == b"\xf4"


@both
def test_the_exit_port_ends_the_run_with_its_value(start: Start, stepped: bool) -> None:
    run = start("b007 e6f4 f4")
    run.finish(stepped)
    assert (run.ending.outcome, run.ending.value) == (Outcome.EXIT_PORT, 7)
    assert run.ending.detail == "exit port: 0x7 at 0x1002"
    assert run.rip == 0x1004


@both
def test_exits_name_the_instruction_that_caused_them(start: Start, stepped: bool) -> None:
    # out imm; out dx; in; mov [eax],dl; stosb; hlt
    run = start("b8000000d0 baf8030000 e680 66ef 8810 89c7 aa e480 f4", Mode.PROTECTED)
    run.finish(stepped)
    assert [(one.name, one.ip) for one in run.exits] == [
        ("IO", 0x100A),
        ("IO", 0x100C),
        ("MMIO", 0x100E),
        ("MMIO", 0x1012),
        ("IO", 0x1013),
        ("HLT", 0x1015),
    ]


def test_the_article_guest_prints_4(start: Start) -> None:
    run = start("ba f8 03 00 d8 04 30 ee b0 0a ee f4", registers={"rax": 2, "rbx": 2})
    run.finish()
    assert run.serial.sent == b"4\n"
    assert dict(run.log.counts) == {2: 2, 5: 1}


def test_what_kvm_returned_is_counted_apart(start: Start) -> None:
    run = start("90 e6e9 f4")
    run.finish(stepped=True)
    assert run.vcpu.returned()[4] >= 1
    assert 4 not in run.log.counts


def test_an_int3_of_real_mode_goes_to_its_handler(start: Start) -> None:
    run = start("cc f4", data={12: b"\x00\x30\x00\x00", 0x3000: b"\xb0\x07\xcf"})
    run.step(1)
    assert run.rip == 0x3000
    run.step(2)
    assert (run.rip, run.rax) == (0x1001, 7)


def test_a_breakpoint_in_a_debug_register_is_before_its_instruction(start: Start) -> None:
    run = start("90 40 f4")
    run.vcpu.wanted_hardware = (0x1001,)
    assert run.runner.run() is Slice.BREAKPOINT
    assert (run.rip, run.rax) == (0x1001, 0)


def test_a_guest_that_goes_on_from_a_debug_register_was_stepped_off_it(start: Start) -> None:
    run = start("90 40 90 f4")
    stops = Stops()
    stops.add(Wanted(StopKind.BREAKPOINT, 0x1001))
    stopping = Stopping(run.runner, stops, hardware=True)
    for expected in (0x1001, None):
        stopping.begin()
        while (end := stopping.run()) not in (Slice.BREAKPOINT, Slice.ENDED):
            pass
        assert (run.rip if end is Slice.BREAKPOINT else None) == expected
    assert run.rax == 1


def test_single_steps_into_user_mode_are_steps_or_a_shutdown(start: Start) -> None:
    # lgdt [0x3080]; push ss, rsp, rflags, cs, rip; iretq to four instructions in ring 3
    flat = (0x00AF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFF3000000FFFF, 0x00AFFB000000FFFF)
    run = start(
        "0f01142580300000 6a1b 6800700000 6a02 6a23 6800200000 48cf",
        Mode.LONG,
        data={
            0x2000: bytes.fromhex("48ffc0 48ffc0 48ffc0 f4"),
            0x3000: struct.pack("<5Q", 0, *flat),
            0x3080: struct.pack("<HQ", 39, 0x3000),
            0x10000: struct.pack("<Q", 0x11007),  # the page tables, for users too
            0x11000: struct.pack("<Q", 0x12007),
            0x12000: struct.pack("<Q", 0x87),
        },
    )
    run.step(7)
    if run.ending is None:
        assert (run.rip, run.vcpu.registers().cs.selector) == (0x2000, 0x23)
        run.step(3)
        assert (run.rip, run.rax) == (0x2009, 3)
    else:
        assert run.ending.outcome is Outcome.SHUTDOWN
        assert run.vcpu.registers().cs.selector == 0x23
