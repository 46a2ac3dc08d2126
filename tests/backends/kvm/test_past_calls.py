"""State on demand at a moment in the past."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kdash.backends.kvm.facts import KvmError, Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession

pytestmark = pytest.mark.kvm

# mov rax,cr4; bts rax,7; mov cr4,rax; mov ecx,0xc0000082; mov eax,0x1234; xor edx,edx; wrmsr;
# mov byte [0x9000],7; hlt
CODE = bytes.fromhex(
    "0f20e0 480fbae807 0f22e0 b9820000c0 b834120000 31d2 0f30 c6042500900000 07 f4".replace(" ", "")
)
WRMSR_DONE, ALL_DONE = 7, 8


@pytest.fixture
def session() -> Iterator[VcpuSession]:
    one = VcpuSession(flat(CODE, "changes", mode=Mode.LONG))
    one.step(ALL_DONE).result(10)
    yield one
    one.close()


def lstar(session: VcpuSession) -> int | None:
    found = session.inspect(lambda look: look.msrs())
    return next(one.value for one in found.msrs if one.name == "LSTAR")


def test_msrs_are_those_of_the_moment_shown(session: VcpuSession) -> None:
    assert lstar(session) == 0x1234
    session.step_back(ALL_DONE).result(10)
    assert lstar(session) == 0
    session.step(ALL_DONE).result(10)
    assert lstar(session) == 0x1234


def test_in_the_past_only_what_is_recorded_is_listed(session: VcpuSession) -> None:
    session.step_back(1).result(10)
    own = [one for one in session.inspect(lambda look: look.msrs()).msrs if not one.feature]
    assert {"EFER", "IA32_TSC"} <= {one.name for one in own}
    assert all(one.value is not None for one in own)


def test_control_registers_are_those_of_the_moment_shown(session: VcpuSession) -> None:
    assert session.inspect(lambda look: look.control()).registers.cr4 & 0x80
    session.step_back(ALL_DONE).result(10)
    state = session.inspect(lambda look: look.control())
    assert not state.registers.cr4 & 0x80
    assert state.unavailable == ()
    assert state.events is not None


def test_memory_and_walk_are_those_of_the_moment_shown(session: VcpuSession) -> None:
    assert session.inspect(lambda look: look.physical(0x9000, 1)) == b"\x07"
    session.step_back(1).result(10)
    assert session.inspect(lambda look: look.physical(0x9000, 1)) == b"\0"
    assert session.inspect(lambda look: look.walk(0x9000)).physical == 0x9000


def test_extended_state_and_cpuid_can_be_seen_in_the_past(session: VcpuSession) -> None:
    session.step_back(2).result(10)
    assert session.inspect(lambda look: look.fpu()).control == 0x37F
    assert session.inspect(lambda look: look.cpuid()).own


def test_a_vcpu_that_is_not_there_is_told_in_the_past_too(session: VcpuSession) -> None:
    session.step_back(1).result(10)
    with pytest.raises(KvmError, match="no VCPU 3"):
        session.inspect(lambda look: look.fpu(3))
