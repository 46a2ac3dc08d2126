"""State on demand of a guest on the emulator."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from kdash.backends.kvm.engines import EMULATOR
from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession

# fld1; fldpi; mov eax,3; cvtsi2ss xmm0,eax; mov ecx,0xc0000082; mov eax,0x1234; xor edx,edx;
# wrmsr; hlt
CODE = bytes.fromhex("d9e8d9ebb803000000f30f2ac0b9820000c0b83412000031d20f30f4")
STEPS = 8


@pytest.fixture
def session() -> Iterator[VcpuSession]:
    one = VcpuSession(flat(CODE, "floats", mode=Mode.LONG), engine=EMULATOR)
    one.step(STEPS).result(10)
    yield one
    one.close()


def test_the_x87_stack_is_in_the_order_of_its_top(session: VcpuSession) -> None:
    state = session.inspect(lambda look: look.fpu())
    assert state.top == 6
    assert state.stack[1].hex() == "0000000000000080ff3f"  # 1.0, pushed first
    assert state.stack[0].hex().startswith("35c26821a2da0fc9")  # pi
    assert state.tag == 0b1100_0000


def test_xmm_registers_hold_what_was_computed(session: VcpuSession) -> None:
    state = session.inspect(lambda look: look.fpu())
    assert struct.unpack_from("<f", state.vectors[0]) == (3.0,)
    assert state.vector_bytes == 16


def test_msrs_hold_what_was_written(session: VcpuSession) -> None:
    found = session.inspect(lambda look: look.msrs())
    values = {one.name: one.value for one in found.msrs}
    assert values["LSTAR"] == 0x1234
    assert values["EFER"] == 0x500
    assert found.unavailable


def test_control_registers_are_told_and_what_is_not(session: VcpuSession) -> None:
    state = session.inspect(lambda look: look.control())
    assert state.registers.cr0 & 0x80000001 == 0x80000001
    assert state.debug is not None
    assert state.debug.dr7 == 0x400
    assert state.gdt.base == 0x500
    assert "pending events" in dict(state.unavailable)
