"""What a debugger changes in a guest between two steps, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from kdash.backends.kvm.engines import EMULATOR, KVM
from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession

WAIT = 20
SPIN = bytes.fromhex("ebfe")


@pytest.fixture(params=[pytest.param(KVM, marks=pytest.mark.kvm), EMULATOR])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def session(engine: str) -> Iterator[VcpuSession]:
    opened = VcpuSession(flat(SPIN, "test guest", mode=Mode.LONG), engine=engine)
    yield opened
    opened.close()


def test_code_written_behind_the_guests_back_is_what_runs_next(session: VcpuSession) -> None:
    assert session.step(3).result(WAIT).registers.rip == 0x1000
    assert session.write_memory(0x1000, bytes.fromhex("4831c0 f4")).result(WAIT) == 4
    assert session.read_memory(0x1000, 4) == bytes.fromhex("4831c0f4")
    assert session.step().result(WAIT).registers.rip == 0x1003


def test_memory_is_written_through_the_page_tables(session: VcpuSession) -> None:
    top = (1 << 64) - (1 << 31)  # mapped again at -2 GiB
    assert session.write_memory(top + 0x2FFE, b"over a page").result(WAIT) == 11
    assert session.read_memory(0x2FFE, 11) == b"over a page"


def test_writing_ends_where_nothing_is_mapped(session: VcpuSession) -> None:
    end = session._run._machine.memory.size
    assert session.write_memory(end - 2, b"beyond").result(WAIT) == 2
    assert session.write_memory(1 << 40, b"nowhere").result(WAIT) == 0
    assert session.write_memory((1 << 64) - 1, b"ab").result(WAIT) == 0


def test_the_disassembly_shows_what_was_written(session: VcpuSession) -> None:
    session.write_memory(0x1000, b"\x90").result(WAIT)
    assert [one.text for one in session.snapshot().disassembly if one.current] == ["nop"]


def test_the_base_of_a_segment_is_set_alone(session: VcpuSession) -> None:
    before = session.snapshot().registers.fs
    after = session.set_register("fs_base", 0x1234_5678).result(WAIT).registers.fs
    assert (after.base, after.selector, after.limit) == (
        0x1234_5678,
        before.selector,
        before.limit,
    )


def test_floating_point_registers_start_as_after_fninit(session: VcpuSession) -> None:
    state = session.fpu().result(WAIT)
    assert state is not None
    assert (state.control, state.status, state.tag_word, state.mxcsr) == (0x37F, 0, 0xFFFF, 0x1F80)


def test_floating_point_registers_are_set(session: VcpuSession) -> None:
    before = session.fpu().result(WAIT)
    assert before is not None
    wanted = replace(
        before,
        st=tuple(bytes((place + 1,)) * 10 for place in range(8)),
        status=5 << 11,
        tags=0b1110_0000,
        control=0x27F,
        mxcsr=0x1F81,
        xmm=tuple(bytes((place + 1,)) * 16 for place in range(16)),
    )
    session.set_fpu(wanted).result(WAIT)
    assert session.fpu().result(WAIT) == wanted
