"""Stop points of a guest that goes, on KVM and on the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from kdash.backends.kvm.condition_words import ConditionError
from kdash.backends.kvm.facts import Mode, Outcome, RunState, Snapshot, StopKind
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.stop_requests import StopError, Wanted, exit_filter

pytestmark = pytest.mark.kvm

WAIT = 60  # seconds; how long a busy machine may take, never how long it should
BREAK, WATCH, ACCESS, EXIT = StopKind.BREAKPOINT, StopKind.WATCH, StopKind.ACCESS, StopKind.EXIT
#: L: inc ax; jmp L
COUNT = "40 ebfd"
#: mov cx,5; L: inc word [0x2000]; loop L; hlt, at 0x1000, 0x1003, 0x1007, 0x1009
STORE = "b90500 ff060020 e2fa f4"
#: mov al,'a'; out 0xe9,al; out 0x80,al; mov dx,0x3f8; out dx,al; hlt
OUTS = "b061 e6e9 e680 baf803 ee f4"
Open = Callable[..., VcpuSession]


@pytest.fixture
def opened() -> Iterator[Open]:
    sessions: list[VcpuSession] = []

    def build(code: str, engine: str = "kvm", **options: Any) -> VcpuSession:
        vcpus = options.pop("vcpus", 1)
        guest = flat(bytes.fromhex(code), "test guest", **options)
        guest = replace(guest, vcpus=vcpus)
        sessions.append(VcpuSession(guest, engine=engine))
        return sessions[-1]

    yield build
    for session in sessions:
        session.close()


def add(session: VcpuSession, kind: StopKind, address: int | None = None, **more: Any) -> int:
    return session.add_stop(Wanted(kind, address, **more)).result(WAIT)


def run(session: VcpuSession) -> Snapshot:
    return session.run().result(WAIT)


engines = pytest.mark.parametrize("engine", ["kvm", "emulator"])


@engines
def test_stop_points_have_numbers_and_stop_the_guest(opened: Open, engine: str) -> None:
    session = opened("90 90 90 f4", engine)
    assert [add(session, BREAK, 0x1001), add(session, BREAK, 0x1002)] == [1, 2]
    first = run(session)
    assert (first.state, first.registers.rip, first.stopped_at) == (RunState.STOPPED, 0x1001, (1,))
    assert first.detail == "breakpoint 1 at 0x1001"
    second = run(session)
    assert (second.registers.rip, second.stopped_at) == (0x1002, (2,))
    assert [point.hits for point in second.stops] == [1, 1]
    ended = run(session)
    assert (ended.outcome, ended.stopped_at) == (Outcome.HLT, ())


def test_up_to_four_are_in_debug_registers_and_the_guest_keeps_full_speed(opened: Open) -> None:
    session = opened("90 90 90 90 90 90 f4")
    for address in range(0x1001, 0x1005):
        add(session, BREAK, address)
    reached = []
    while (now := run(session)).state is RunState.STOPPED:
        reached.append(now.registers.rip)
        assert all(point.hardware for point in now.stops)
    assert reached == [0x1001, 0x1002, 0x1003, 0x1004]


def test_more_than_four_are_compared_by_steps(opened: Open) -> None:
    session = opened("90 90 90 90 90 90 90 f4")
    for address in range(0x1001, 0x1007):
        add(session, BREAK, address)
    reached = []
    while (now := run(session)).state is RunState.STOPPED:
        reached.append(now.registers.rip)
        assert not any(point.hardware for point in now.stops)
    assert reached == list(range(0x1001, 0x1007))
    assert now.steps == 8


def test_hundreds_of_breakpoints_are_compared(opened: Open) -> None:
    session = opened("90" * 50 + "f4")
    for address in [*range(0x5000, 0x5000 + 299), 0x1020]:
        session.add_stop(Wanted(BREAK, address))
    assert run(session).registers.rip == 0x1020
    assert run(session).outcome is Outcome.HLT


@pytest.mark.parametrize("others", [0, 5], ids=["hardware", "steps"])
@engines
def test_a_condition_lets_the_guest_go_on(opened: Open, engine: str, others: int) -> None:
    session = opened(COUNT, engine)
    for address in range(0x5000, 0x5000 + others):
        add(session, BREAK, address)
    number = add(session, BREAK, 0x1001, condition="ax == 7 && cs == 0")
    stopped = run(session)
    assert (stopped.registers.rax, stopped.stopped_at) == (7, (number,))
    assert stopped.stops[-1].hits == 1


@pytest.mark.parametrize("others", [0, 5], ids=["hardware", "steps"])
def test_hits_are_passed_over(opened: Open, others: int) -> None:
    session = opened(COUNT)
    for address in range(0x5000, 0x5000 + others):
        add(session, BREAK, address)
    add(session, BREAK, 0x1001, ignore=3)
    stopped = run(session)
    assert stopped.registers.rax == 4
    assert (stopped.stops[-1].hits, stopped.stops[-1].ignore) == (4, 0)


def test_a_condition_without_a_value_stops_and_says_why(opened: Open) -> None:
    session = opened(COUNT, memory=0x3000)
    add(session, BREAK, 0x1001, condition="word [0x100000] == 1")
    assert run(session).detail == (
        "breakpoint 1 at 0x1001 (its condition has no value: no memory at 0x100000)"
    )


@pytest.mark.parametrize("others", [0, 5], ids=["hardware", "steps"])
def test_a_breakpoint_behind_an_access_is_met_each_time_round(opened: Open, others: int) -> None:
    session = opened("e680 40 ebfb")  # L: out 0x80,al; inc ax; jmp L
    for address in range(0x5000, 0x5000 + others):
        add(session, BREAK, address)
    add(session, BREAK, 0x1002)
    assert [run(session).registers.rax for _ in range(4)] == [0, 1, 2, 3]
    assert session.snapshot().exits_total == 4


def test_a_breakpoint_where_the_guest_stands_is_met_when_it_comes_back(opened: Open) -> None:
    session = opened(COUNT)
    add(session, BREAK, 0x1000)
    assert [run(session).registers.rax for _ in range(3)] == [1, 2, 3]


def test_two_vcpus_meet_a_breakpoint_at_full_speed(opened: Open) -> None:
    # both: mov eax,edi; nop; nop; jmp $
    session = opened("89f8 90 90 ebfe", mode=Mode.PROTECTED, vcpus=2)
    add(session, BREAK, 0x1002)
    while (stopped := run(session)).stops[0].hits < 2:
        assert stopped.stopped_at == (1,)
    assert {one.registers.rip for one in stopped.vcpus} <= {0x1002, 0x1003, 0x1004}
    assert stopped.stops[0].hardware


def test_a_temporary_breakpoint_stops_once(opened: Open) -> None:
    session = opened(COUNT)
    add(session, BREAK, 0x1001, temporary=True)
    first = run(session)
    assert (first.detail, first.stops) == ("temporary breakpoint 1 at 0x1001", ())


def test_a_breakpoint_can_be_added_and_removed_while_the_guest_runs(opened: Open) -> None:
    session = opened(COUNT)
    end = session.run()
    number = session.add_stop(Wanted(BREAK, 0x1001)).result(WAIT)
    assert end.result(WAIT).stopped_at == (number,)
    again = session.run()
    session.remove_stop(number).result(WAIT)
    session.pause()
    assert again.result(WAIT).stops == ()


def test_a_breakpoint_is_a_place_in_the_code_segment_there_is(opened: Open) -> None:
    # jmp 0x100:3, which is linear 0x1003 + ...: mov ax,1 at 0x1005 is 0x100:5
    session = opened("ea05000001 b80100 f4")
    add(session, BREAK, 0x1008)
    stopped = run(session)
    assert (stopped.registers.rip, stopped.registers.cs.base) == (8, 0x1000)
    assert stopped.breakpoints == {8}
    session.remove_breakpoint(8).result(WAIT)
    assert session.snapshot().stops == ()


def test_breakpoints_stay_over_a_restart_and_count_anew(opened: Open) -> None:
    session = opened("90 90 f4")
    add(session, BREAK, 0x1001)
    run(session)
    fresh = session.restart().result(WAIT)
    assert [(point.number, point.hits) for point in fresh.stops] == [(1, 0)]
    assert run(session).registers.rip == 0x1001


def test_a_condition_that_means_nothing_is_refused_at_once(opened: Open) -> None:
    session = opened(COUNT)
    with pytest.raises(ConditionError, match="character 7"):
        session.add_stop(Wanted(BREAK, 0x1001, condition="ax == nowhere"))
    assert session.snapshot().stops == ()


def test_a_number_that_none_has_is_told_and_the_guest_stays(opened: Open) -> None:
    session = opened(COUNT)
    add(session, BREAK, 0x1001)
    with pytest.raises(StopError, match="no stop point 9; there are: 1"):
        session.remove_stop(9).result(WAIT)
    assert session.snapshot().failure == ""
    assert session.ignore_stop(1, 2).result(WAIT).stops[0].ignore == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": BREAK},
        {"kind": WATCH, "address": 0x1000, "length": 0},
        {"kind": WATCH, "address": 0x1000, "length": 5000},
        {"kind": BREAK, "address": 1 << 64},
        {"kind": BREAK, "address": 1, "ignore": -1},
    ],
)
def test_a_stop_point_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StopError):
        Wanted(**wrong)


@engines
def test_a_watchpoint_tells_the_change_and_who_made_it(opened: Open, engine: str) -> None:
    session = opened(STORE, engine)
    add(session, WATCH, 0x2000, length=2)
    first = run(session)
    assert first.detail == (
        "watchpoint 1: 0x2000, 2 bytes: 0x0 -> 0x1, by the instruction at 0x1003"
    )
    assert (first.registers.rip, first.stopped_at) == (0x1007, (1,))
    assert "0x1 -> 0x2" in run(session).detail
    assert first.step_rate > 0


def test_a_watchpoint_with_a_condition_sees_the_value_after_the_change(opened: Open) -> None:
    session = opened(STORE)
    add(session, WATCH, 0x2000, length=2, condition="word [0x2000] == 4")
    assert "0x3 -> 0x4" in run(session).detail


def test_bytes_beside_the_watched_ones_do_not_stop(opened: Open) -> None:
    session = opened(STORE)
    add(session, WATCH, 0x2002, length=2)
    assert run(session).outcome is Outcome.HLT


def test_a_write_of_the_same_value_changes_nothing(opened: Open) -> None:
    session = opened("c606002000 c606002001 f4")  # mov byte [0x2000],0; mov byte [0x2000],1
    add(session, WATCH, 0x2000)
    assert run(session).registers.rip == 0x100A


@engines
def test_a_repeated_move_across_pages_is_watched(opened: Open, engine: str) -> None:
    # mov si,0x1000; mov di,0x2ff0; mov cx,0x20; rep movsb; hlt
    session = opened("be0010 bff02f b92000 f3a4 f4", engine)
    add(session, WATCH, 0x2FF8, length=16)
    stopped = run(session)
    assert stopped.registers.rcx == 0
    assert stopped.detail.startswith("watchpoint 1: 0x2ff8, 8 bytes: 0x0 -> 0xf4a4f300")


def test_input_from_a_port_into_memory_is_watched(opened: Open) -> None:
    # mov di,0x2000; mov dx,0xe9; insb; hlt
    session = opened("bf0020 bae900 6c f4")
    add(session, WATCH, 0x2000)
    assert "0x0 -> 0xe9, by the instruction at 0x1006" in run(session).detail


def test_a_watchpoint_follows_the_page_tables(opened: Open) -> None:
    # The linear address is the upper mapping of long mode: mov byte [0x20000],7; hlt
    session = opened("c604250000020007 90 f4", mode=Mode.LONG)
    add(session, WATCH, 0xFFFFFFFF80020000, length=4)
    assert "0x0 -> 0x7" in run(session).detail


def test_another_page_behind_the_same_address_is_no_change(opened: Open) -> None:
    # A page directory entry is exchanged: mov eax,[0x12000]; add eax,0x200000; mov [0x12008],eax;
    # mov rax,cr3; mov cr3,rax; then mov byte [0x200000],1; hlt. Watched: 0x200000, which
    # is backed by 0x200000 first, and by 0x400000 (other contents) then.
    code = "48c704250820010083004000 0f20d8 0f22d8 c604250000200001 f4"
    session = opened(code, mode=Mode.LONG, memory=0x800000)
    add(session, WATCH, 0x200000)
    stopped = run(session)
    assert "by the instruction at 0x1012" in stopped.detail


def test_memory_that_is_not_there_never_changes(opened: Open) -> None:
    session = opened(STORE, memory=0x3000)
    add(session, WATCH, 0x900000, length=8)
    assert run(session).outcome is Outcome.HLT


@engines
def test_a_read_stops_after_the_instruction(opened: Open, engine: str) -> None:
    session = opened("90 a10020 90 f4", engine)  # mov ax,[0x2000]
    add(session, ACCESS, 0x2001)
    stopped = run(session)
    assert stopped.registers.rip == 0x1004
    assert stopped.detail == (
        "access watchpoint 1: read of 2 bytes at 0x2000, by the instruction at 0x1001"
    )


@engines
@pytest.mark.parametrize(
    ("code", "rip", "what"),
    [
        ("c606002000 90 f4", 0x1005, "write of 1 bytes at 0x2000"),
        ("be0020 6e f4", 0x1004, "read of 1 bytes at 0x2000"),  # outsb
        ("bf0020 b90400 f3aa f4", 0x1008, "write of 4 bytes at 0x2000"),  # rep stosb
        ("bc0220 50 f4", 0x1004, "write of 2 bytes at 0x2000"),  # mov sp,0x2002; push ax
    ],
)
def test_accesses_stop(opened: Open, engine: str, code: str, rip: int, what: str) -> None:
    session = opened(code, engine)
    add(session, ACCESS, 0x2000)
    stopped = run(session)
    assert stopped.registers.rip == rip
    assert what in stopped.detail


def test_an_address_that_is_only_computed_is_no_access(opened: Open) -> None:
    session = opened("8d060020 f4")  # lea ax,[0x2000]
    add(session, ACCESS, 0x2000)
    assert run(session).outcome is Outcome.HLT


@engines
def test_an_exit_stops_behind_its_instruction(opened: Open, engine: str) -> None:
    session = opened(OUTS, engine)
    first = session.run_to_exit().result(WAIT)
    assert (first.state, first.registers.rip, first.exits_total) == (RunState.STOPPED, 0x1004, 1)
    assert first.detail.startswith("out 0xe9, 1 byte: 0x61 'a'")
    assert session.run_to_exit().result(WAIT).registers.rip == 0x1006


@engines
def test_the_exit_of_a_port_is_run_to(opened: Open, engine: str) -> None:
    session = opened(OUTS, engine)
    stopped = session.run_to_exit(port=0x3F8).result(WAIT)
    assert (stopped.registers.rip, stopped.serial) == (0x100A, b"a")


def test_the_way_to_an_exit_is_recorded(opened: Open) -> None:
    session = opened(OUTS)
    stopped = session.run_to_exit(port=0x3F8).result(WAIT)
    recording = stopped.recording
    assert recording is not None
    assert recording.last == stopped.steps > 1
    assert session.step_back().result(WAIT).registers.rip < stopped.registers.rip


def test_an_mmio_exit_is_run_to(opened: Open) -> None:
    # mov eax,0xd0000000; mov [eax],al; mov [eax+16],al; hlt
    session = opened("b8000000d0 8800 884010 f4", mode=Mode.PROTECTED)
    stopped = session.run_to_exit("MMIO", address=0xD0000010).result(WAIT)
    assert stopped.registers.rip == 0x100A
    assert stopped.exits_total == 2


def test_exit_stops_have_numbers_conditions_and_hits(opened: Open) -> None:
    session = opened("40 e680 ebfb")  # L: inc ax; out 0x80,al; jmp L
    add(session, EXIT, exits=exit_filter("io", 0x80), condition="al == 3")
    stopped = run(session)
    assert (stopped.registers.rax, stopped.stopped_at) == (3, (1,))
    assert stopped.detail.startswith("exit stop 1: out 0x80")
    assert stopped.stops[0].where == "IO 0x80"


def test_without_exit_stops_the_guest_runs_to_its_end(opened: Open) -> None:
    session = opened(OUTS)
    number = add(session, EXIT, exits=exit_filter(port=0x80))
    assert run(session).registers.rip == 0x1006
    session.remove_stop(number).result(WAIT)
    assert run(session).outcome is Outcome.HLT


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "FROB"},
        {"port": 0x10000},
        {"name": "MMIO", "port": 1},
        {"name": "IO", "address": 1},
    ],
)
def test_an_exit_that_can_not_be_is_refused(opened: Open, wrong: dict[str, Any]) -> None:
    with pytest.raises(StopError):
        exit_filter(**wrong)
