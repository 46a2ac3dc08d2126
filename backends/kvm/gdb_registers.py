"""The registers of a VCPU as the bytes that gdb reads and writes.

What the engine does not tell (x87 and SSE on the emulator) is unavailable, never invented.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kdash.backends.kvm.facts import KvmError, Registers
from kdash.backends.kvm.fpu import FpuState, in_use
from kdash.backends.kvm.gdb_arguments import PATIENCE
from kdash.backends.kvm.gdb_target_xml import (
    FPU_CONTROLS,
    HALVES,
    NUMBERS,
    REGISTERS,
    SELECTORS,
)
from kdash.backends.kvm.session import VcpuSession

#: Sent with every stop, so that gdb need not ask: RBP, RSP, RIP.
EXPEDITED: Final = tuple(NUMBERS[name] for name in ("rbp", "rsp", "rip"))

_FIRST_FPU, _LAST_FPU = NUMBERS["st0"], NUMBERS["mxcsr"]
_LOW: Final = 0xFFFF_FFFF


def is_fpu(number: int) -> bool:
    """Whether it is one of the x87 and SSE registers."""
    return _FIRST_FPU <= number <= _LAST_FPU


def register_bytes(number: int, registers: Registers, fpu: FpuState | None) -> bytes | None:
    """The value of register `number`, little-endian; None where it is not known."""
    register = REGISTERS[number]
    if is_fpu(number):
        return None if fpu is None else _fpu_bytes(register.name, fpu).ljust(register.size, b"\0")
    return _value(register.name, registers).to_bytes(register.size, "little")


def _value(name: str, registers: Registers) -> int:
    if name == "eflags":
        return registers.rflags & _LOW
    if name in HALVES:
        return int(getattr(registers, name)) & _LOW
    if name in SELECTORS:
        return int(getattr(registers, name).selector)
    if name.endswith("_base"):
        return int(getattr(registers, name.removesuffix("_base")).base)
    return int(getattr(registers, name))


def _fpu_bytes(name: str, fpu: FpuState) -> bytes:
    if name.startswith("st"):
        return fpu.st[int(name[2:])]
    if name.startswith("xmm"):
        return fpu.xmm[int(name[3:])]
    values = {
        "fctrl": fpu.control,
        "fstat": fpu.status,
        "ftag": fpu.tag_word,
        "fiseg": fpu.instruction >> 32 & 0xFFFF,
        "fioff": fpu.instruction & _LOW,
        "foseg": fpu.operand >> 32 & 0xFFFF,
        "fooff": fpu.operand & _LOW,
        "fop": fpu.opcode,
        "mxcsr": fpu.mxcsr,
    }
    return values[name].to_bytes(4, "little")


def hexadecimal(value: bytes | None, number: int) -> bytes:
    """The digits of a value of register `number`, or the x of an unknown one."""
    return b"xx" * REGISTERS[number].size if value is None else value.hex().encode()


def all_registers(registers: Registers, fpu: FpuState | None) -> bytes:
    """The answer to `g`."""
    return b"".join(
        hexadecimal(register_bytes(number, registers, fpu), number)
        for number in range(len(REGISTERS))
    )


def write_registers(session: VcpuSession, values: dict[int, bytes]) -> None:
    """Set the registers that `values` gives by number, where they differ.

    Raises:
        ValueError: when a value does not fit.
        KvmError: when KVM refuses one, or the engine can't set it.
    """
    registers = session.snapshot().registers
    fpu_values = {number: value for number, value in values.items() if is_fpu(number)}
    for number, value in values.items():
        if number not in fpu_values and value != register_bytes(number, registers, None):
            _write(session, REGISTERS[number].name, int.from_bytes(value, "little"), registers)
    if fpu_values:
        _write_fpu(session, fpu_values)


def _write(session: VcpuSession, name: str, value: int, registers: Registers) -> None:
    if name == "eflags":
        name, value = "rflags", registers.rflags & ~_LOW | value
    if name in HALVES:
        value |= getattr(registers, name) & ~_LOW
    session.set_register(name, value).result(PATIENCE)


def _write_fpu(session: VcpuSession, values: dict[int, bytes]) -> None:
    before = session.fpu().result(PATIENCE)
    if before is None:
        raise KvmError("the emulator's x87 and SSE registers can't be set", "use --engine kvm")
    after = before
    for number, value in values.items():
        if value != _fpu_bytes(REGISTERS[number].name, before):
            after = _with(after, REGISTERS[number].name, value)
    if after != before:
        session.set_fpu(after).result(PATIENCE)


def _with(fpu: FpuState, name: str, value: bytes) -> FpuState:
    if name.startswith("st"):
        return replace(fpu, st=_placed(fpu.st, int(name[2:]), value))
    if name.startswith("xmm"):
        return replace(fpu, xmm=_placed(fpu.xmm, int(name[3:]), value))
    number = int.from_bytes(value, "little")
    if name != "mxcsr" and name in FPU_CONTROLS and name not in ("fioff", "fooff"):
        number = _checked(name, number)
    if name == "fctrl":
        return replace(fpu, control=number)
    if name == "fstat":
        return replace(fpu, status=number)
    if name == "ftag":
        return replace(fpu, tags=in_use(number))
    if name == "fop":
        return replace(fpu, opcode=number)
    if name == "mxcsr":
        return replace(fpu, mxcsr=number)
    if name in ("fiseg", "fioff"):
        return replace(fpu, instruction=_part(fpu.instruction, name == "fiseg", number))
    return replace(fpu, operand=_part(fpu.operand, name == "foseg", number))


def _placed(registers: tuple[bytes, ...], place: int, value: bytes) -> tuple[bytes, ...]:
    return (*registers[:place], value, *registers[place + 1 :])


def _checked(name: str, value: int) -> int:
    if value > 0xFFFF:
        raise ValueError(f"{name}: {value:#x} does not fit 16 bits")
    return value


def _part(pointer: int, high: bool, value: int) -> int:
    """A pointer with its selector (above bit 32) or its offset set."""
    return pointer & _LOW | value << 32 if high else pointer & ~_LOW | value
