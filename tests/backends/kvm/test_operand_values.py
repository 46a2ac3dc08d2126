"""The memory that the next instruction is about to access, with what stands there."""

from __future__ import annotations

import pytest

from kdash.backends.kvm.disassembly import around, touches_memory
from kdash.backends.kvm.facts import MemoryOperand, Registers, Segment
from kdash.backends.kvm.operand_values import memory_operands

MEMORY = bytearray(0x4000)
MEMORY[0x2000:0x2008] = bytes(range(1, 9))
MEMORY[0x2104] = 0x77


def read(linear: int, length: int) -> bytes:
    return bytes(MEMORY[linear : linear + length])


def protected(**registers: int) -> Registers:
    return Registers(cr0=1, cs=Segment(db=1), **registers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "registers", "operands"),
    [
        ("8b 03", {"rbx": 0x2000}, [(0x2000, 4, 0x04030201)]),  # mov eax,[ebx]
        ("88 44 4b 04", {"rbx": 0x2000, "rcx": 0x80}, [(0x2104, 1, 0x77)]),  # mov [ebx+ecx*2+4],al
        ("c3", {"rsp": 0x2000}, [(0x2000, 4, 0x04030201)]),  # ret
        ("f3 a4", {"rsi": 0x2000, "rdi": 0x2104, "rcx": 9},
         [(0x2104, 1, 0x77), (0x2000, 1, 1)]),  # rep movsb: the next element
        ("8b 03", {"rbx": 0x10000}, [(0x10000, 4, None)]),  # beyond memory
        ("01 d8", {}, []),  # add eax,ebx
    ],
)  # fmt: skip
def test_an_operand_has_its_address_size_and_value(
    code: str, registers: dict[str, int], operands: list[tuple[int, int, int | None]]
) -> None:
    found = memory_operands(bytes.fromhex(code), protected(**registers), read)
    assert sorted(found, key=str) == sorted((MemoryOperand(*one) for one in operands), key=str)


def test_a_segment_counts() -> None:
    registers = Registers(rbx=0x10, ds=Segment(base=0x1FF0))
    found = memory_operands(bytes.fromhex("8a 07"), registers, read)  # mov al,[bx]
    assert found == (MemoryOperand(0x2000, 1, 1),)


def test_the_current_instruction_alone_has_its_memory() -> None:
    MEMORY[0x3000:0x3004] = bytes.fromhex("8b 03 8b 03")
    shown = around(protected(rip=0x3000, rbx=0x2000), read, floor=0x3000, after=2)
    assert [bool(one.memory) for one in shown] == [True, False]


@pytest.mark.parametrize(
    ("text", "touches"), [("mov eax,[ebx]", True), ("ret", True), ("push rax", False)]
)
def test_a_push_is_not_worth_a_look(text: str, touches: bool) -> None:
    assert touches_memory(text) is touches
