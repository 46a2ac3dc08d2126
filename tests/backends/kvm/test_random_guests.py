"""Random bytes as guests: an outcome always, never a traceback, a hang or a leak."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.run import Request, run_guest
from kdash.backends.kvm.session import VcpuSession

pytestmark = pytest.mark.kvm

#: Bytes that make interesting instructions more often: prefixes, I/O, strings, HLT, far jumps.
LIVELY = bytes.fromhex(
    "f2f3 66 67 f0 2e 64 6c6d6e6f a4a5aaab ec ed ee ef e4 e6 f4 ea 9a cd cf 0f fa fb"
)
images = st.binary(min_size=1, max_size=64) | st.lists(
    st.sampled_from(LIVELY) | st.integers(0, 255), min_size=1, max_size=64
).map(bytes)
modes = st.sampled_from(list(Mode))
registers = st.fixed_dictionaries(
    {}, optional={name: st.integers(0, 2**64 - 1) for name in ("rcx", "rsi", "rdi", "rax", "rdx")}
)


@settings(max_examples=60, deadline=None)
@given(image=images, mode=modes, values=registers)
def test_random_guests_step_to_an_outcome(image: bytes, mode: Mode, values: dict[str, int]) -> None:
    guest = flat(b"\x90" + image, "random", mode=mode, memory=1 << 20)
    before = len(os.listdir("/proc/self/fd"))
    report = run_guest(Request(guest, values, timeout=0.3, max_steps=200))
    assert report.detail
    assert report.detail.isprintable()
    assert report.steps is not None
    assert report.steps <= 200
    assert len(os.listdir("/proc/self/fd")) == before


@settings(max_examples=60, deadline=None)
@given(image=images, mode=modes, values=registers)
def test_random_guests_run_to_an_outcome(image: bytes, mode: Mode, values: dict[str, int]) -> None:
    guest = flat(b"\x90" + image, "random", mode=mode, memory=1 << 20)
    report = run_guest(Request(guest, values, timeout=0.1))
    assert report.detail.isprintable()
    assert sum(ports[0] + ports[1] for ports in report.ports.values()) == report.exits.get("IO", 0)


@settings(max_examples=40, deadline=None)
@given(image=images, mode=modes, values=registers, count=st.integers(1, 50))
def test_random_guests_are_shown_at_any_step(
    image: bytes, mode: Mode, values: dict[str, int], count: int
) -> None:
    session = VcpuSession(
        flat(b"\x90" + image, "random", mode=mode, memory=1 << 20, registers=values)
    )
    try:
        for command in (session.step, session.step_over, session.run):
            command()
        session.pause().result(20)
        session.step(count)
        snapshot = session.pause().result(20)  # one instruction may take minutes: REP
        assert snapshot.failure == ""
        assert all(one.meaning.isprintable() for one in snapshot.exits)
        assert sum(one.current for one in snapshot.disassembly) <= 1
    finally:
        session.close()
