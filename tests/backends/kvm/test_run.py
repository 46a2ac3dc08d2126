"""A guest run to its outcome."""

from __future__ import annotations

import pytest

from kdash.backends.kvm.facts import Exit, GuestError, Mode, Outcome
from kdash.backends.kvm.guests import article_guest, flat
from kdash.backends.kvm.records import Steps
from kdash.backends.kvm.run import Listeners, Request, run_guest

pytestmark = pytest.mark.kvm

SPIN = flat(bytes.fromhex("ebfe"), "spin")


def test_the_article_guest_halts_with_its_output() -> None:
    report = run_guest(Request(article_guest()))
    assert (report.outcome, report.detail, report.serial) == (Outcome.HLT, "HLT at 0x100b", b"4\n")
    assert report.exits == {"IO": 2, "HLT": 1}
    assert report.ports == {0x3F8: (0, 2)}
    assert report.steps is None
    assert report.registers.rip == 0x100C


def test_stepping_gives_the_same_report_with_its_steps() -> None:
    run, stepped = (
        run_guest(Request(article_guest())),
        run_guest(Request(article_guest(), step_by_step=True)),
    )
    assert stepped.steps == 7
    assert (stepped.exits, stepped.ports, stepped.registers, stepped.serial) == (
        run.exits,
        run.ports,
        run.registers,
        run.serial,
    )
    assert stepped.raw_exits != run.raw_exits


def test_a_spinning_guest_ends_by_its_timeout() -> None:
    report = run_guest(Request(SPIN, timeout=0.2))
    assert (report.outcome, report.detail) == (Outcome.TIMEOUT, "no end in 0.2 s, at 0x1000")
    assert report.exits == {}


def test_a_guest_that_makes_exits_forever_ends_by_its_timeout() -> None:
    reads = flat(bytes.fromhex("e480 ebfc"), "reads")
    report = run_guest(Request(reads, timeout=0.2))
    assert report.outcome is Outcome.TIMEOUT
    assert report.ports[0x80][0] == report.exits["IO"] > 0


def test_a_stepped_guest_ends_by_its_timeout() -> None:
    report = run_guest(Request(SPIN, timeout=0.2, step_by_step=True))
    assert report.outcome is Outcome.TIMEOUT
    assert report.steps


def test_a_limit_of_steps_is_kept_exactly() -> None:
    for limit in (1, 3, 5, 5000):
        report = run_guest(Request(SPIN, max_steps=limit))
        assert (report.outcome, report.steps) == (Outcome.MAX_STEPS, limit)


def test_a_guest_that_halts_within_its_limit_has_halted() -> None:
    assert run_guest(Request(article_guest(), max_steps=7)).outcome is Outcome.HLT
    assert run_guest(Request(article_guest(), max_steps=6)).outcome is Outcome.MAX_STEPS


def test_an_interruption_ends_the_run() -> None:
    asked = iter([False, False, True])
    report = run_guest(Request(SPIN), Listeners(interrupted=lambda: next(asked)))
    assert (report.outcome, report.detail) == (Outcome.INTERRUPTED, "interrupted at 0x1000")


def test_registers_are_set_before_the_start() -> None:
    report = run_guest(Request(article_guest(), registers={"rax": 5, "r15": 7}))
    assert report.serial == b"7\n"
    assert report.registers.r15 == 7


def test_a_register_that_kvm_refuses_is_a_fault_of_the_request() -> None:
    with pytest.raises(GuestError, match=r"efer=0x500: KVM_SET_SREGS failed"):
        run_guest(Request(article_guest(), registers={"efer": 0x500}))


def test_memory_is_dumped_by_linear_address_up_to_its_end() -> None:
    guest = flat(b"\xf4", "halt", mode=Mode.LONG, memory=1 << 20)
    dumps = ((0x1000, 2), (0xFFFF_FFFF_8000_1000, 1), (0xFFFF0, 64), (0x5000_0000, 4))
    report = run_guest(Request(guest, dumps=dumps))
    assert report.memory == {
        0x1000: b"\xf4\0",
        0xFFFF_FFFF_8000_1000: b"\xf4",
        0xFFFF0: bytes(16),
        0x5000_0000: b"",
    }


def test_listeners_are_told_in_the_order_of_events() -> None:
    told: list[object] = []

    def exit_(one: Exit) -> None:
        told.append((one.index, one.name, one.step))

    def stepped(steps: Steps) -> None:
        told.extend((number, record.rip) for number, record in enumerate(steps, steps.first))

    run_guest(Request(article_guest(), step_by_step=True), Listeners(told.append, exit_, stepped))
    assert told == [
        (0, 0x1000), (1, 0x1003), (2, 0x1005), (0, "IO", 3), (3, 0x1007), b"4",
        (4, 0x1008), (1, "IO", 5), (5, 0x100A), b"\n", (6, 0x100B), (2, "HLT", 6),
    ]  # fmt: skip


def test_posted_outs_are_told_one_by_one_in_order() -> None:
    # mov cx,600; l: mov al,cl; out 0xe9,al; loop l; hlt
    guest = flat(bytes.fromhex("b95802 88c8 e6e9 e2fa f4"), "outs")
    told: list[Exit] = []
    report = run_guest(Request(guest), Listeners(exit=told.append))
    assert [one.index for one in told] == list(range(601))
    expected = bytes(n & 0xFF for n in range(600, 0, -1))
    assert report.debug_port == expected
    assert b"".join(getattr(one.detail, "data", b"") for one in told) == expected


def test_an_unclaimed_port_is_logged_and_harmless() -> None:
    guest = flat(bytes.fromhex("ba3412 ed ee f4"), "ports")
    report = run_guest(Request(guest))
    assert report.ports == {0x1234: (1, 1)}
    assert report.registers.rax & 0xFFFF == 0xFFFF
