"""Stop points on hosts that are not at hand: what KVM_RUN returns there, replayed."""

from __future__ import annotations

from collections.abc import Iterable
from threading import RLock
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kdash.backends.kvm.board import Slice
from kdash.backends.kvm.exit_log import raw_of
from kdash.backends.kvm.exits import RawExit
from kdash.backends.kvm.facts import ExitReason, Registers, StopKind
from kdash.backends.kvm.guests import article_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.records import Record
from kdash.backends.kvm.runner import Runner
from kdash.backends.kvm.stop_requests import Wanted, exit_filter
from kdash.backends.kvm.stop_table import Change, Place
from kdash.backends.kvm.stopping import Stopping
from kdash.backends.kvm.stops import Stops
from tests.backends.kvm.test_runner import packed, record

BREAK = 0x1002


class Host:
    """A VCPU that executes one-byte instructions from 0x1000 up to an endless jump.

    Args:
        resume_flag: RFLAGS.RF set by KVM lets it go on from a breakpoint, as hardware may.
        out_at: where an OUT is.
        out_rip_after: whether its exit comes with RIP behind it.
    """

    index = 0
    takes_interrupts = has_ring = False

    def __init__(self, *, resume_flag: bool, out_at: int = 0, out_rip_after: bool = False) -> None:
        self.rip = 0x1000
        self.calls: list[str] = []
        self.wanted_hardware: tuple[int, ...] = ()
        self.hardware: tuple[int, ...] = ()
        self.out_rip_after: bool | None = out_rip_after
        self.alike = True
        self._resume_flag = resume_flag
        self._resumed = -1
        self._out_at = out_at
        self._pending = -1
        self._latest = record(ExitReason.DEBUG, 0x1000)
        self._places: frozenset[int] = frozenset()

    def __getattr__(self, name: str) -> Any:
        if name in ("post_all", "set_posted", "set_claimed", "end_at_each_exit", "begin_stops"):
            return lambda *_arguments, **_options: None
        raise AttributeError(name)

    def set_stops(self, places: Iterable[Place], watches: Iterable[tuple[int, int]]) -> None:
        self._places = frozenset(place.linear for place in places)

    def stop_met(self) -> bool:
        return self.rip in self._places

    def changes(self) -> tuple[Change, ...]:
        return ()

    def registers(self) -> Registers:
        return Registers(rip=self.rip)

    def read_linear(self, linear: int, length: int) -> bytes:
        return bytes(length)

    def _exit(self, reason: int, **fields: Any) -> tuple[Any, int]:
        from kdash.backends.kvm.vcpu import BatchEnd

        self._latest = record(reason, self.rip, **fields)
        self.record_bytes = memoryview(packed(self._latest))
        return BatchEnd.EXIT, 1

    def run_batch(self) -> tuple[Any, int]:
        self.calls.append("run")
        self.hardware = self.wanted_hardware
        self.enter(True)
        for _ in range(8):
            if self.rip in self.hardware and self.rip != self._resumed:
                self._resumed = self.rip if self._resume_flag else -1
                return self._exit(ExitReason.DEBUG)
            self._resumed = -1
            if self.rip == self._out_at:
                if self.out_rip_after:
                    self.rip += 1
                else:
                    self._pending = self.rip + 1
                return self._exit(ExitReason.IO, port=0x80, code=b"\xee")
            self.rip += 1
        return self._exit(ExitReason.INTR)

    def step_batch(self, count: int) -> tuple[Any, int]:
        from kdash.backends.kvm.vcpu import BatchEnd

        assert count >= 1
        self.calls.append("step")
        self.hardware = ()
        self._exit(ExitReason.DEBUG)
        self.rip += 1
        return BatchEnd.BREAKPOINT if self.stop_met() else BatchEnd.FULL, 1

    def record(self, position: int) -> Record:
        return self._latest

    def exit(self) -> RawExit:
        return raw_of(self._latest)

    def enter(self, complete_only: bool) -> bool:
        if self._pending >= 0:
            self.rip, self._pending = self._pending, -1
        return False


def stopping(host: Host, *wanted: Wanted) -> tuple[Stopping, Runner]:
    machine = SimpleNamespace(vcpu=host, vcpus=(host,), guest=article_guest(), lock=RLock())
    runner = Runner(cast(Machine, machine))
    stops = Stops()
    for one in wanted:
        stops.add(one)
    return Stopping(runner, stops, hardware=True), runner


def go(one: Stopping) -> Slice:
    one.begin()
    for _ in range(4):
        if (end := one.run()) is Slice.BREAKPOINT:
            return end
    return Slice.AGAIN


@pytest.mark.parametrize("resume_flag", [True, False], ids=["RF heeded", "RF ignored"])
def test_a_breakpoint_stops_once_whatever_the_host_makes_of_rf(resume_flag: bool) -> None:
    host = Host(resume_flag=resume_flag)
    one, _ = stopping(host, Wanted(StopKind.BREAKPOINT, BREAK))
    assert go(one) is Slice.BREAKPOINT
    assert (host.rip, one.verdict.numbers) == (BREAK, (1,))
    host.calls.clear()
    assert go(one) is Slice.AGAIN
    assert host.calls[:2] == ["step", "run"]


@pytest.mark.parametrize("resume_flag", [True, False], ids=["RF heeded", "RF ignored"])
def test_breakpoints_side_by_side_are_both_met(resume_flag: bool) -> None:
    host = Host(resume_flag=resume_flag)
    wanted = [Wanted(StopKind.BREAKPOINT, address) for address in (BREAK, BREAK + 1)]
    one, _ = stopping(host, *wanted)
    assert [go(one), host.rip, go(one), host.rip] == [
        Slice.BREAKPOINT, BREAK, Slice.BREAKPOINT, BREAK + 1,
    ]  # fmt: skip


@pytest.mark.parametrize("resume_flag", [True, False], ids=["RF heeded", "RF ignored"])
def test_a_condition_that_fails_is_stepped_off_too(resume_flag: bool) -> None:
    host = Host(resume_flag=resume_flag)
    one, _ = stopping(host, Wanted(StopKind.BREAKPOINT, BREAK, condition="rax == 1"))
    assert go(one) is Slice.AGAIN
    assert host.calls[:3] == ["run", "step", "run"]


@pytest.mark.parametrize("after", [True, False], ids=["RIP behind the OUT", "RIP at the OUT"])
def test_an_exit_stops_behind_its_instruction_on_every_host(after: bool) -> None:
    host = Host(resume_flag=True, out_at=0x1001, out_rip_after=after)
    one, runner = stopping(host, Wanted(StopKind.EXIT, exits=exit_filter(port=0x80)))
    assert go(one) is Slice.BREAKPOINT
    assert host.rip == 0x1002
    assert runner.log.total == 1


@pytest.mark.parametrize("after", [True, False], ids=["RIP behind the OUT", "RIP at the OUT"])
def test_a_breakpoint_behind_an_out_is_met_on_every_host(after: bool) -> None:
    host = Host(resume_flag=True, out_at=0x1001, out_rip_after=after)
    one, _ = stopping(host, Wanted(StopKind.BREAKPOINT, BREAK))
    assert go(one) is Slice.BREAKPOINT
    assert host.rip == BREAK
