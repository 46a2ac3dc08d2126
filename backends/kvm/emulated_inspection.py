"""State on demand of the emulator's VCPU, as far as unicorn 2.1 tells it."""

from __future__ import annotations

from typing import Any, Final

from kdash.backends.kvm.facts import Registers, Segment
from kdash.backends.kvm.fpu import FpuState, in_use
from kdash.backends.kvm.msr_names import msr_name
from kdash.backends.kvm.state_facts import (
    ControlState,
    DebugRegisters,
    DescriptorTable,
    ExtendedState,
    Msr,
    MsrState,
)

SOURCE: Final = "unicorn"
_UNTOLD: Final = "the emulator does not tell it"
#: MSRs that QEMU's helper_rdmsr has (target/i386/misc_helper.c, as in unicorn 2.1) and that are
#: not counters of the host's time.
MSRS: Final = (
    0x1B, 0x174, 0x175, 0x176, 0x1A0, 0x277, 0xC000_0080, 0xC000_0081, 0xC000_0082, 0xC000_0083,
    0xC000_0084, 0xC000_0100, 0xC000_0101, 0xC000_0102, 0xC000_0103,
)  # fmt: skip


def read_control(uc: Any, registers: Registers) -> ControlState:
    """System and debug registers; events and MP state are gaps."""

    def read(name: str) -> Any:
        return uc.reg_read(_number(name))

    def table(name: str) -> DescriptorTable:
        _, base, limit, _ = read(name)
        return DescriptorTable(base, limit)

    debug = [int(read(f"DR{n}")) for n in range(4)]
    return ControlState(
        registers,
        _segment(read("TR")),
        _segment(read("LDTR")),
        table("GDTR"),
        table("IDTR"),
        int(uc.msr_read(0x1B)),
        DebugRegisters(
            (debug[0], debug[1], debug[2], debug[3]), int(read("DR6")), int(read("DR7"))
        ),
        unavailable=tuple((what, _UNTOLD) for what in ("XCR0", "MP state", "pending events")),
    )


def _number(name: str) -> int:
    from unicorn import x86_const

    return int(getattr(x86_const, f"UC_X86_REG_{name}"))


def _segment(told: tuple[int, int, int, int]) -> Segment:
    """A system segment: selector, base, limit, second word of its descriptor (SDM 3A, 3.4.5)."""
    selector, base, limit, flags = told
    return Segment(
        selector,
        base,
        limit,
        type=flags >> 8 & 0xF,
        present=flags >> 15 & 1,
        dpl=flags >> 13 & 3,
        s=flags >> 12 & 1,
        g=flags >> 23 & 1,
    )


def read_fpu(uc: Any) -> ExtendedState:
    """x87 and XMM registers."""

    def read(name: str) -> int:
        return int(uc.reg_read(_number(name)))

    status = read("FPSW")
    physical = [uc.reg_read(_number(f"FP{n}")) for n in range(8)]
    numbers = [
        significand.to_bytes(8, "little") + top.to_bytes(2, "little")
        for significand, top in physical
    ]
    first = status >> 11 & 7
    return ExtendedState(
        SOURCE,
        read("FPCW"),
        status,
        in_use(read("FPTAG")),
        read("FOP"),
        read("FIP"),
        read("FDP"),
        read("MXCSR"),
        0,
        tuple(numbers[(first + n) % 8] for n in range(8)),
        tuple(read(f"XMM{n}").to_bytes(16, "little") for n in range(16)),
    )


def reset_fpu(uc: Any) -> None:
    """The state after FNINIT and a reset of MXCSR, in which KVM's VCPUs start too."""
    for name, value in (("FPCW", 0x37F), ("FPSW", 0), ("FPTAG", 0xFFFF), ("MXCSR", 0x1F80)):
        uc.reg_write(_number(name), value)


def write_fpu(uc: Any, state: FpuState) -> None:
    """Set x87 and XMM registers."""

    def write(name: str, value: Any) -> None:
        uc.reg_write(_number(name), value)

    first = state.status >> 11 & 7
    for place, register in enumerate(state.st):
        significand, top = register[:8], register[8:]
        values = int.from_bytes(significand, "little"), int.from_bytes(top, "little")
        write(f"FP{(first + place) % 8}", values)
    tags = sum(3 << 2 * n for n in range(8) if not state.tags >> n & 1)
    pieces = {
        "FPCW": state.control,
        "FPSW": state.status,
        "FPTAG": tags,
        "FOP": state.opcode,
        "FIP": state.instruction,
        "FDP": state.operand,
        "MXCSR": state.mxcsr,
    }
    for name, value in pieces.items():
        write(name, value)
    for place, register in enumerate(state.xmm):
        write(f"XMM{place}", int.from_bytes(register, "little"))


def read_msrs(uc: Any) -> MsrState:
    """Those that the emulator has."""
    found = tuple(Msr(number, msr_name(number), int(uc.msr_read(number))) for number in MSRS)
    return MsrState(found, (("other MSRs", _UNTOLD),))
