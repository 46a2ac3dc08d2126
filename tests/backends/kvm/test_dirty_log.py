"""Pages a guest wrote, read beside a recording and without one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.dirty_log import set_bits
from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession

# mov byte [0x5000],1; mov byte [0x9000],2; hlt
WRITES = bytes.fromhex("c6060050 01 c6060090 02 f4")


@given(st.sets(st.integers(0, 511)))
def test_bits_are_found_in_order(bits: set[int]) -> None:
    bitmap = bytearray(64)
    for bit in bits:
        bitmap[bit // 8] |= 1 << bit % 8
    assert set_bits(bytes(bitmap)) == sorted(bits)


@pytest.mark.kvm
def test_pages_written_since_the_last_look_are_told_once() -> None:
    from kdash.backends.kvm.dirty_log import DirtyLog
    from kdash.backends.kvm.engines import open_runner
    from kdash.backends.kvm.machine import Machine

    with Machine(flat(WRITES, "writes", mode=Mode.REAL)) as machine:
        log = DirtyLog(machine.memory)
        assert log.read().pages == ()
        runner = open_runner(machine, "kvm")
        while runner.ending is None:
            runner.run()
        found = log.read()
        assert found.pages == (0x5000, 0x9000)
        assert found.total == machine.memory.size // 4096
        assert log.read().pages == ()


@pytest.mark.kvm
def test_beside_a_recording_both_know_what_was_written() -> None:
    session = VcpuSession(flat(WRITES, "writes", mode=Mode.REAL))
    try:
        assert session.inspect(lambda look: look.statistics()).dirty.pages == ()
        session.step().result(10)
        assert session.inspect(lambda look: look.statistics()).dirty.pages == (0x5000,)
        session.step().result(10)
        assert session.inspect(lambda look: look.statistics()).dirty.pages == (0x9000,)
        session.step_back(2).result(10)
        assert session.read_memory(0x5000, 1) == b"\0"
        assert session.read_memory(0x9000, 1) == b"\0"
    finally:
        session.close()
