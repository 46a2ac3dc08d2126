"""Looking at a session's machine on demand."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from kdash.backends.kvm.engines import EMULATOR
from kdash.backends.kvm.facts import KvmError, Mode, RunState
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession

SPIN = bytes.fromhex("eb fe")


@pytest.fixture
def session() -> Iterator[VcpuSession]:
    one = VcpuSession(flat(SPIN, "spin", mode=Mode.LONG))
    yield one
    one.close()


@pytest.mark.kvm
def test_a_running_guest_is_looked_at_and_goes_on(session: VcpuSession) -> None:
    session.run()
    state = session.inspect(lambda look: look.control())
    assert state.registers.cr0 & 0x80000001 == 0x80000001
    assert session.inspect(lambda look: look.msrs()).msrs
    assert session.snapshot().state is RunState.RUNNING


@pytest.mark.kvm
def test_physical_memory_ends_where_there_is_none(session: VcpuSession) -> None:
    assert session.inspect(lambda look: look.physical(0x1000, 2)) == SPIN
    size = 2 << 20
    found = session.inspect(lambda look: look.physical(0x1000, 1 << 30))
    assert len(found) >= size - 0x1000
    assert session.inspect(lambda look: look.physical(1 << 40, 16)) == b""


@pytest.mark.kvm
def test_a_walk_tells_the_levels_of_the_guest(session: VcpuSession) -> None:
    found = session.inspect(lambda look: look.walk(0x1000))
    assert [one.table for one in found.levels] == ["PML4", "PDPT", "PD"]
    assert found.physical == 0x1000


@pytest.mark.kvm
def test_a_question_that_fails_is_answered_so_and_the_guest_stays(session: VcpuSession) -> None:
    with pytest.raises(KvmError, match="no VCPU 7"):
        session.inspect(lambda look: look.fpu(7))
    with pytest.raises(ZeroDivisionError):
        session.inspect(lambda look: 1 // 0)
    assert session.snapshot().failure == ""
    assert session.step().result(10).steps == 1


@pytest.mark.kvm
def test_after_a_restart_the_new_machine_is_looked_at(session: VcpuSession) -> None:
    session.set_register("cr2", 0x1234).result(10)
    assert session.inspect(lambda look: look.control()).registers.cr2 == 0x1234
    session.restart().result(10)
    assert session.inspect(lambda look: look.control()).registers.cr2 == 0


@pytest.mark.kvm
def test_statistics_count_what_happens_and_say_what_is_not_here(session: VcpuSession) -> None:
    first = session.inspect(lambda look: look.statistics())
    session.step(20).result(10)
    second = session.inspect(lambda look: look.statistics())
    assert {one.scope for one in second.statistics} == {"vm", "vcpu 0"}
    assert [one.name for one in first.statistics] == [one.name for one in second.statistics]
    assert any(
        sum(new.values) > sum(old.values)
        for old, new in zip(first.statistics, second.statistics, strict=True)
    )
    assert second.exits.counts or second.exits.unavailable.startswith(("needs root", "not here"))
    assert second.dirty.unavailable == ""


@pytest.mark.kvm
def test_looking_leaves_no_descriptor_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        one = VcpuSession(flat(SPIN, "spin"))
        one.inspect(lambda look: (look.cpuid(), look.fpu(), look.msrs(), look.control()))
        one.inspect(lambda look: look.statistics())
        one.restart().result(10)
        one.inspect(lambda look: look.cpuid())
        one.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_emulator_tells_memory_and_says_what_it_can_not() -> None:
    one = VcpuSession(flat(SPIN, "spin", mode=Mode.LONG), engine=EMULATOR)
    try:
        assert one.inspect(lambda look: look.physical(0x1000, 2)) == SPIN
        assert one.inspect(lambda look: look.walk(0x1000)).physical == 0x1000
        with pytest.raises(KvmError, match="the emulator does not tell"):
            one.inspect(lambda look: look.cpuid())
    finally:
        one.close()
