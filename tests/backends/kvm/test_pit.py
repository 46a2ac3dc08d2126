"""The timer, with a clock of the test's own that counts in periods of the 8254."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.engines import KVM
from kdash.backends.kvm.facts import Outcome
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.pit import HERTZ, Timer
from kdash.backends.kvm.run import Request, run_guest


@dataclass
class Clock:
    counts: float = 0.0

    def __call__(self) -> float:
        return (self.counts + 0.5) / HERTZ


def load(timer: Timer, number: int, mode: int, count: int) -> None:
    """Low and high byte."""
    timer.write(0x43, 1, bytes((number << 6 | 0x30 | mode << 1,)))
    timer.write(0x40 + number, 1, count.to_bytes(2, "little")[:1])
    timer.write(0x40 + number, 1, count.to_bytes(2, "little")[1:])


def latched(timer: Timer, number: int) -> int:
    timer.write(0x43, 1, bytes((number << 6,)))
    return timer.read(0x40 + number, 1) | timer.read(0x40 + number, 1) << 8


@pytest.mark.parametrize(
    ("mode", "after", "count"),
    [
        (0, 10, 990),
        (0, 1001, 0xFFFF),  # goes on below 0
        (2, 10, 990),
        (2, 1010, 990),  # begins anew
        (3, 10, 980),  # counts by two
        (6, 10, 990),  # is mode 2
    ],
)
def test_a_counter_counts_down_with_time(mode: int, after: int, count: int) -> None:
    clock = Clock()
    timer = Timer(clock)
    load(timer, 0, mode, 1000)
    clock.counts = after
    assert latched(timer, 0) == count


def test_a_latched_count_stands_until_it_is_read() -> None:
    clock = Clock()
    timer = Timer(clock)
    load(timer, 0, 2, 1000)
    timer.write(0x43, 1, b"\x00")
    clock.counts = 100
    assert timer.read(0x40, 1) | timer.read(0x40, 1) << 8 == 1000
    assert timer.read(0x40, 1) | timer.read(0x40, 1) << 8 == 900


def test_counter_2_stands_until_its_gate_opens_and_tells_its_end_at_port_0x61() -> None:
    clock = Clock()
    timer = Timer(clock)
    load(timer, 2, 0, 100)
    clock.counts = 1000
    assert not timer.read(0x61, 1) & 0x20
    timer.write(0x61, 1, b"\x01")
    clock.counts += 99
    assert not timer.read(0x61, 1) & 0x20
    clock.counts += 2
    assert timer.read(0x61, 1) & 0x21 == 0x21


def test_a_read_back_tells_status_and_then_count() -> None:
    clock = Clock()
    timer = Timer(clock)
    load(timer, 0, 2, 1000)
    timer.write(0x43, 1, b"\xc2")
    assert timer.read(0x40, 1) == 0x80 | 0x30 | 2 << 1
    assert timer.read(0x40, 1) | timer.read(0x40, 1) << 8 == 1000


def test_counts_may_be_decimal() -> None:
    clock = Clock()
    timer = Timer(clock)
    timer.write(0x43, 1, b"\x35")
    timer.write(0x40, 1, b"\x00")
    timer.write(0x40, 1, b"\x10")  # 1000
    clock.counts = 1
    assert latched(timer, 0) == 0x0999


def test_memory_refresh_toggles() -> None:
    timer = Timer(Clock())
    assert timer.read(0x61, 1) & 0x10 != timer.read(0x61, 1) & 0x10


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0x40, 0x41, 0x42, 0x43, 0x61]), st.binary(
        min_size=1, max_size=1)), max_size=40)
)  # fmt: skip
def test_any_accesses_read_as_bytes(accesses: list[tuple[bool, int, bytes]]) -> None:
    clock = Clock()
    timer = Timer(clock)
    for write, port, data in accesses:
        clock.counts += 12345
        if write:
            timer.write(port, 1, data)
        assert 0 <= timer.read(port, 1) <= 0xFF


@pytest.mark.kvm
def test_a_guest_that_waits_for_the_timer_goes_on() -> None:
    # mov al,0x30; out 0x43,al; mov al,0x10; out 0x40,al; out 0x40,al; again: mov al,0xe2;
    # out 0x43,al; in al,0x40; test al,0x80; jz again; hlt  (output of counter 0 goes high)
    code = "b0 30 e6 43 b0 10 e6 40 e6 40 b0 e2 e6 43 e4 40 a8 80 74 f6 f4"
    report = run_guest(Request(flat(bytes.fromhex(code), "timer"), timeout=20, engine=KVM))
    assert report.outcome is Outcome.HLT
