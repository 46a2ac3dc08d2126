"""Steps of instructions that raise an exception or return from one, as at full speed."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest

from kdash.backends.kvm.board import Slice
from kdash.backends.kvm.engines import open_machine, open_runner
from kdash.backends.kvm.facts import Mode, Registers
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.runner import Runner
from kdash.backends.kvm.stop_table import Place

pytestmark = pytest.mark.kvm


@dataclass(frozen=True)
class Faulting:
    """A guest and the places of it."""

    code: str
    mode: Mode
    steps: int
    places: tuple[int, ...]  # handlers' first instructions and IRET's targets


#: Its gate of #PF, at the table `idt` (offset from the next instruction) to the handler at `h`.
_PAGE_FAULT = (
    "488d3d{idt}000000 488d05{h}000000 668987e0000000 66c787e20000000800"
    "66c787e4000000008e 48c1e810 668987e6000000 48c1e810 8987e8000000"
    "0f011d{d}000000 48c7c300000050 488b0b"
)
GUESTS = {
    # mov [0],0x1011; mov [2],0; xor cx,cx; div cx; hlt; hlt; mov bl,0x66; hlt
    "a handler that begins with HLT": Faulting(
        "c70600001110 c70602000000 31c9 f7f1 f4 f4 b366 f4", Mode.REAL, 5, (0x1011,)
    ),
    "a handler that does more": Faulting(
        "c70600001110 c70602000000 31c9 f7f1 f4 b355 f4", Mode.REAL, 6, (0x1011,)
    ),
    "a fault in a handler": Faulting(
        "c70600001110 c70602000000 31c9 f7f1 f4 c70600001910 f7f1 f4",
        Mode.REAL, 7, (0x1011, 0x1019),
    ),
    # pushf; push cs; push 0x1006; iret; hlt; mov bl,0x66; hlt
    "IRET in real mode": Faulting("9c 0e 680610 cf f4 b366 f4", Mode.REAL, 5, (0x1006,)),
    # a gate at 0x3000 for 0x1036; lidt [0x4000]; xor ecx,ecx; div ecx; hlt; hlt; mov bl,0x66; hlt
    "a handler in protected mode": Faulting(
        "66c705003000003610 8c0d02300000 66c70504300000008e 66c70500400000ff07"
        "66c705024000000030 0f011d00400000 31c9 f7f1 f4 f4 b366 f4",
        Mode.PROTECTED, 9, (0x1036,),
    ),
    # mov rdx,0x77; hlt; h: mov r8,cr2; add qword [rsp+8],3; pop r9; iretq
    "a page fault and its IRETQ": Faulting(
        _PAGE_FAULT.format(idt="69", h="47", d="20")
        + "48c7c277000000 f4 410f20d0 4883442408 03 4159 48cf ff0f 7010000000000000",
        Mode.LONG, 18, (0x1055, 0x104D),
    ),
    # hlt; mov rdx,0x77; hlt; h: nop; mov r8,cr2; add qword [rsp+8],3; add rsp,8; iretq
    "an IRETQ to HLT": Faulting(
        _PAGE_FAULT.format(idt="79", h="48", d="24")
        + "f4 48c7c277000000 f4 90 410f20d0 4883442408 03 4883c408 48cf ff0f 8010000000000000",
        Mode.LONG, 18, (0x1056, 0x104D),
    ),
}  # fmt: skip
HANDLER = 0x1100  # of every exception: NOP, then HLT
GATES = {Mode.PROTECTED: "<HHBBH", Mode.LONG: "<HHBBHII"}


def refusing(mode: Mode, code: bytes) -> Guest:
    """`code` behind LIDT of a table with a handler for each exception."""
    load = {Mode.PROTECTED: "0f011d00120000", Mode.LONG: "0f011c2500120000"}[mode]
    gate = struct.pack(GATES[mode], HANDLER, 8, 0, 0x8E, *[0] * (len(GATES[mode]) - 5))
    pointer = struct.pack("<HQ", 32 * len(gate) - 1, 0x1300)
    parts = (bytes.fromhex(load) + code).ljust(0x100, b"\x90"), b"\x90\x90\xf4".ljust(0x100, b"\0")
    image = b"".join(parts) + pointer.ljust(0x100, b"\0") + gate * 32
    return Guest(title="test", image=image, mode=mode)


@pytest.mark.parametrize("mode", [Mode.PROTECTED, Mode.LONG])
@pytest.mark.parametrize(
    "code",
    [
        "c60f00", "c70f00000000", "c6f800", "c7f800000000",  # no MOV: /1, XABORT, XBEGIN
        "ffff", "0f0b", "f00f0b", "8ec8",
    ],
)  # fmt: skip
def test_what_is_no_instruction_leads_to_the_first_one_of_its_handler(
    mode: Mode, code: str
) -> None:
    with open_machine(refusing(mode, bytes.fromhex(code))) as machine:
        runner = open_runner(machine, "kvm")
        runner.step(2)
        assert (runner.steps, runner.vcpu.rip) == (2, HANDLER)


def test_a_jump_and_a_return_out_of_all_addresses_lead_to_their_handler() -> None:
    # mov rax, 0x800000000000; push rax; ret
    code = bytes.fromhex("48b8000000000080000050c3")
    with open_machine(refusing(Mode.LONG, code)) as machine:
        runner = open_runner(machine, "kvm")
        while runner.steps < 4:
            runner.step(4 - runner.steps)
        assert runner.vcpu.rip == HANDLER


guests = pytest.mark.parametrize("faulting", GUESTS.values(), ids=GUESTS.keys())


def guest(faulting: Faulting) -> Guest:
    return Guest(title="test", image=bytes.fromhex(faulting.code), mode=faulting.mode)


def ended(runner: Runner) -> tuple[str, Registers, int]:
    ending = runner.ending
    assert ending is not None
    return ending.detail, runner.vcpu.registers(), runner.steps


def stepped(faulting: Faulting, engine: str) -> tuple[str, Registers, int]:
    with open_machine(guest(faulting), engine) as machine:
        runner = open_runner(machine, engine)
        while runner.step(1000) is not Slice.ENDED:
            pass
        return ended(runner)


@guests
def test_steps_through_a_handler_end_as_at_full_speed(faulting: Faulting) -> None:
    with open_machine(guest(faulting)) as machine:
        runner = open_runner(machine, "kvm")
        while runner.run() is not Slice.ENDED:
            pass
        whole = ended(runner)
    assert stepped(faulting, "kvm") == (*whole[:2], faulting.steps)


@guests
def test_breakpoints_where_a_handler_begins_and_iret_returns_are_met_by_steps(
    faulting: Faulting,
) -> None:
    met = []
    with open_machine(guest(faulting)) as machine:
        runner = open_runner(machine, "kvm")
        runner.runners[0].set_stops([Place(place) for place in faulting.places])
        while (end := runner.step(1000)) is not Slice.ENDED:
            if end is Slice.BREAKPOINT:
                met.append(runner.vcpu.rip)
    assert tuple(met) == faulting.places
