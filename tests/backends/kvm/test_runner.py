"""Running at full speed on hosts that are not at hand: their exits, replayed."""

from __future__ import annotations

from collections.abc import Iterable
from threading import RLock
from types import SimpleNamespace
from typing import Any, cast

from kdash.backends.kvm.exit_log import raw_of
from kdash.backends.kvm.exits import RawExit
from kdash.backends.kvm.facts import ExitReason, Outcome
from kdash.backends.kvm.guests import article_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.records import RECORD, REGISTER_NAMES, Record
from kdash.backends.kvm.runner import Runner, Slice
from kdash.backends.kvm.vcpu import BatchEnd

OUT = bytes.fromhex("ee")


def record(reason: int, rip: int, **fields: Any) -> Record:
    values: dict[str, Any] = {
        "port": 0, "size": 1, "write": True, "elements": 1, "bits": 16, "address": 0,
        "data": b"x", "code": b"\x90", "before": b"\x90",
        "registers": (0,) * len(REGISTER_NAMES), **fields,
    }  # fmt: skip
    return Record(rip=rip, reason=reason, **values)


def packed(one: Record) -> bytes:
    return RECORD.pack(
        one.rip, one.reason, one.port, one.size, one.write, one.elements, len(one.code),
        len(one.before), one.bits, one.address, one.data.ljust(16, b"\0"),
        one.code.ljust(16, b"\0"), one.before.rjust(16, b"\0"), *one.registers,
    )  # fmt: skip


class ReplayedVcpu:
    """A VCPU whose batches give one recorded exit each.

    Args:
        exits: what KVM_RUN returns, one after the other.
        completed_rip: RIP once an access was completed with immediate_exit.
    """

    def __init__(self, exits: list[Record], completed_rip: int) -> None:
        self.index = 0
        self.has_ring = False
        self.takes_interrupts = False
        self.exits = exits
        self.completed_rip = completed_rip
        self.rip = exits[0].rip
        self.out_rip_after: bool | None = None
        self.completions = 0
        self.hardware: tuple[int, ...] = ()
        self.answers: list[bytes] = []

    def post_all(self) -> None:
        pass

    def set_posted(self, ports: Iterable[int], posted: bool) -> None:
        pass

    def set_claimed(self, ports: Iterable[int], mmio: Iterable[range]) -> None:
        pass

    def run_batch(self) -> tuple[BatchEnd, int]:
        self.latest = self.exits.pop(0)
        self.rip = self.latest.rip
        self.record_bytes = memoryview(packed(self.latest))
        return BatchEnd.EXIT, 1

    def record(self, position: int) -> Record:
        return self.latest

    def exit(self) -> RawExit:
        return raw_of(self.latest)

    def answer(self, data: bytes, position: int | None = None) -> None:
        self.answers.append(data)

    def enter(self, complete_only: bool) -> bool:
        assert complete_only
        self.completions += 1
        self.rip = self.completed_rip
        return False


def replay(exits: list[Record], completed_rip: int) -> tuple[Runner, ReplayedVcpu]:
    vcpu = ReplayedVcpu(exits, completed_rip)
    machine = SimpleNamespace(
        vcpu=vcpu, vcpus=(vcpu,), guest=article_guest(), lock=RLock(), serve_events=lambda: None
    )
    return Runner(cast(Machine, machine)), vcpu


def test_a_host_with_rip_at_the_out_is_recognised() -> None:
    out = record(ExitReason.IO, 0x1003, port=0x3F8, code=OUT, data=b"4")
    runner, vcpu = replay([out], completed_rip=0x1004)
    assert runner.run() is Slice.AGAIN
    assert vcpu.out_rip_after is False
    assert runner.serial.sent == b"4"
    assert [one.ip for one in runner.log.latest(1)] == [0x1003]


def test_a_host_with_rip_behind_the_out_is_recognised() -> None:
    out = record(ExitReason.IO, 0x1004, port=0x3F8, before=OUT, data=b"4")
    runner, vcpu = replay([out], completed_rip=0x1004)
    runner.run()
    assert vcpu.out_rip_after is True
    assert [one.ip for one in runner.log.latest(1)] == [0x1003]


def test_a_repeated_outs_tells_nothing_of_the_host() -> None:
    out = record(ExitReason.IO, 0x1003, port=0x3F8, code=b"\xf3\x6e", data=b"4")
    runner, vcpu = replay([out], completed_rip=0x1003)
    runner.run()
    assert vcpu.out_rip_after is None
    assert vcpu.completions == 0


def test_the_host_is_recognised_once() -> None:
    out = record(ExitReason.IO, 0x1003, port=0x3F8, code=OUT)
    runner, vcpu = replay([out, out, out], completed_rip=0x1004)
    for _ in range(3):
        runner.run()
    assert vcpu.completions == 1


def test_an_access_is_completed_before_the_guest_counts_as_stopped() -> None:
    read = record(ExitReason.IO, 0x1003, port=0x3F8, write=False, code=b"\xec")
    runner, vcpu = replay([read], completed_rip=0x1004)
    runner.run()
    assert (vcpu.rip, vcpu.answers) == (0x1003, [b"\0"])
    runner.stop(Outcome.TIMEOUT, "late")
    assert (vcpu.rip, vcpu.completions) == (0x1004, 1)


def test_the_exit_port_stops_a_host_with_rip_at_the_out_behind_it() -> None:
    out = record(ExitReason.IO, 0x1003, port=0xF4, code=b"\xe6\xf4", data=b"\x03")
    runner, vcpu = replay([out], completed_rip=0x1005)
    assert runner.run() is Slice.ENDED
    assert runner.ending is not None
    assert (runner.ending.outcome, runner.ending.value) == (Outcome.EXIT_PORT, 3)
    assert vcpu.rip == 0x1005


def test_exits_that_say_nothing_of_the_guest_are_not_counted() -> None:
    runner, _ = replay(
        [record(ExitReason.INTR, 0x1000), record(ExitReason.IRQ_WINDOW_OPEN, 0x1000)], 0x1000
    )
    assert [runner.run(), runner.run()] == [Slice.AGAIN, Slice.AGAIN]
    assert runner.log.total == 0


def test_an_exit_that_nobody_handles_ends_the_run_with_its_name() -> None:
    runner, _ = replay([record(ExitReason.HYPERCALL, 0x1000)], 0x1000)
    assert runner.run() is Slice.ENDED
    assert runner.ending is not None
    assert runner.ending.outcome is Outcome.UNHANDLED_EXIT
    said, _, fields = runner.ending.detail.partition("hypervisor: ")
    assert said == "HYPERCALL at 0x1000: the guest called the "
    assert fields.startswith("nr 0x0 arg0 0x0")


def test_an_exit_newer_than_this_program_ends_the_run_with_its_number() -> None:
    runner, _ = replay([record(4242, 0x1000)], 0x1000)
    runner.run()
    assert runner.ending is not None
    assert runner.ending.detail.startswith("EXIT_4242 at 0x1000: ")


def test_a_refused_entry_ends_the_run() -> None:
    runner, _ = replay([record(ExitReason.FAIL_ENTRY, 0x1000)], 0x1000)
    runner.run()
    assert runner.ending is not None
    assert runner.ending.outcome is Outcome.FAIL_ENTRY
