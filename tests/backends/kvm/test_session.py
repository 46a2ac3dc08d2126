"""A session as the pane drives it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kdash.backends.kvm.facts import KvmError, Mode, Outcome, RunState, Snapshot
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.snapshots import EXITS, FLOOD

pytestmark = pytest.mark.kvm

WAIT = 20
SPIN = "ebfe"
Open = Callable[..., VcpuSession]


@pytest.fixture
def opened() -> Iterator[Open]:
    sessions: list[VcpuSession] = []

    def build(code: str = "", **options: Any) -> VcpuSession:
        guest = flat(bytes.fromhex(code), "test guest", **options) if code else None
        sessions.append(VcpuSession(guest))
        return sessions[-1]

    yield build
    for session in sessions:
        session.close()


def until(session: VcpuSession, holds: Callable[[Snapshot], bool]) -> Snapshot:
    """The first snapshot for which `holds`."""
    end = time.monotonic() + WAIT
    while not holds(session.snapshot()):
        assert time.monotonic() < end, session.snapshot()
        time.sleep(0.005)
    return session.snapshot()


def test_the_first_snapshot_shows_the_article_guest(opened: Open) -> None:
    first = opened().snapshot()
    assert (first.guest, first.state, first.engine) == (
        "article guest (12 bytes)",
        RunState.READY,
        "kvm",
    )
    assert (first.registers.rip, first.registers.rax, first.steps) == (0x1000, 2, 0)
    assert [one.text for one in first.disassembly if one.current] == ["mov dx,0x3f8"]
    assert first.exits == ()
    assert first.changed == frozenset()


def test_a_step_shows_what_it_changed(opened: Open) -> None:
    after = opened().step().result(WAIT)
    assert (after.state, after.steps) == (RunState.STOPPED, 1)
    assert after.changed == {"rip", "rdx"}


def test_several_steps_are_one_command(opened: Open) -> None:
    after = opened().step(4).result(WAIT)
    assert (after.steps, after.registers.rip, after.serial) == (4, 0x1008, b"4")
    assert [one.step for one in after.exits] == [3]


def test_running_shows_exits_serial_output_and_outcome(opened: Open) -> None:
    after = opened().run().result(WAIT)
    assert (after.state, after.outcome, after.detail) == (
        RunState.ENDED,
        Outcome.HLT,
        "HLT at 0x100b",
    )
    assert after.serial == b"4\n"
    assert [one.name for one in after.exits] == ["IO", "IO", "HLT"]
    assert after.exits_total == 3


def test_after_the_end_only_a_restart_goes_on(opened: Open) -> None:
    session = opened()
    ended = session.run().result(WAIT)
    assert session.step().result(WAIT).registers == ended.registers
    assert session.run().result(WAIT).state is RunState.ENDED
    again = session.restart().result(WAIT)
    assert (again.state, again.registers.rip, again.exits) == (RunState.READY, 0x1000, ())
    assert session.run().result(WAIT).serial == b"4\n"


def test_a_spinning_guest_is_paused(opened: Open) -> None:
    session = opened(SPIN)
    running = session.run()
    until(session, lambda now: now.state is RunState.RUNNING)
    paused = session.pause().result(WAIT)
    assert (paused.state, paused.registers.rip) == (RunState.STOPPED, 0x1000)
    assert running.result(WAIT).state is RunState.STOPPED


def test_a_spinning_guest_is_paused_again_and_again(opened: Open) -> None:
    session = opened(SPIN)
    for _ in range(30):
        running = session.run()
        session.pause().result(WAIT)
        assert running.result(WAIT).state is RunState.STOPPED


def test_a_running_guest_is_seen_to_go_on(opened: Open) -> None:
    session = opened("ff06 0020 ebfa")  # inc word [0x2000]; jmp
    session.run()
    first = until(session, lambda now: now.seconds > 0)
    until(session, lambda now: now.seconds > first.seconds)
    count = session.read_memory(0x2000, 2)
    until(session, lambda now: session.read_memory(0x2000, 2) != count)
    assert session.snapshot().state is RunState.RUNNING


def test_output_shows_while_the_guest_goes_on_spinning(opened: Open) -> None:
    session = opened("b041 baf803 ee ebfe")
    session.run()
    until(session, lambda now: now.serial == b"A")


def test_long_stepping_is_seen_and_paused(opened: Open) -> None:
    session = opened("40 ebfd")
    stepping = session.step(10**9)
    first = until(session, lambda now: now.steps > 0)
    until(session, lambda now: now.steps > first.steps)
    paused = session.pause().result(WAIT)
    assert stepping.result(WAIT).steps == paused.steps < 10**9


def test_an_endless_rep_instruction_is_paused(opened: Open) -> None:
    session = opened("f3aa", mode=Mode.LONG, memory=1 << 21, registers={"rcx": 2**63, "rdi": 0})
    stepping = session.step()
    until(session, lambda now: now.state is RunState.STOPPED or session.read_memory(0, 1) == b"\0")
    assert session.pause().result(WAIT).state in (RunState.STOPPED, RunState.ENDED)
    assert stepping.done()


def test_a_breakpoint_stops_a_run(opened: Open) -> None:
    session = opened()
    assert session.add_breakpoint(0x1008).result(WAIT).breakpoints == {0x1008}
    at = session.run().result(WAIT)
    assert (at.state, at.registers.rip, at.serial) == (RunState.STOPPED, 0x1008, b"4")
    assert session.run().result(WAIT).outcome is Outcome.HLT


def test_a_breakpoint_behind_an_out_stops_a_run(opened: Open) -> None:
    session = opened("e6e9 e6e9 f4")
    session.add_breakpoint(0x1002)
    assert session.run().result(WAIT).registers.rip == 0x1002


def test_a_breakpoint_in_a_loop_stops_each_time(opened: Open) -> None:
    session = opened("b90300 90 e2fd f4")
    session.add_breakpoint(0x1003)
    counts = [session.run().result(WAIT).registers.rcx for _ in range(3)]
    assert counts == [3, 2, 1]


def test_a_removed_breakpoint_stops_nothing(opened: Open) -> None:
    session = opened()
    session.add_breakpoint(0x1008)
    assert session.remove_breakpoint(0x1008).result(WAIT).breakpoints == frozenset()
    assert session.run().result(WAIT).outcome is Outcome.HLT


def test_a_breakpoint_set_while_the_guest_runs_stops_it(opened: Open) -> None:
    session = opened("90 ebfd")
    running = session.run()
    session.add_breakpoint(0x1001)
    assert running.result(WAIT).registers.rip == 0x1001


def test_breakpoints_survive_a_restart(opened: Open) -> None:
    session = opened()
    session.add_breakpoint(0x1005)
    session.run().result(WAIT)
    session.restart()
    assert session.run().result(WAIT).registers.rip == 0x1005


def test_running_until_an_address_stops_there(opened: Open) -> None:
    at = opened().run_until(0x100A).result(WAIT)
    assert (at.registers.rip, at.steps, at.state) == (0x100A, 5, RunState.STOPPED)


def test_stepping_over_a_call_does_all_of_it(opened: Open) -> None:
    # call 0x1004; hlt; f: mov cx,10; loop; ret
    session = opened("e80100 f4 b90a00 e2fe c3")
    at = session.step_over().result(WAIT)
    assert (at.registers.rip, at.registers.rsp, at.registers.rcx) == (0x1003, 0x8000, 0)


def test_stepping_over_a_recursive_call_ends_in_the_same_frame(opened: Open) -> None:
    # mov cx,3; f: call g; hlt; g: dec cx; jz +3; call g; ret
    session = opened("b90300 e80100 f4 49 7403 e8faff c3")
    session.run_until(0x100A).result(WAIT)  # the inner call of g
    before = session.snapshot().registers.rsp
    at = session.step_over().result(WAIT)
    assert (at.registers.rip, at.registers.rsp, at.registers.rcx) == (0x100D, before, 0)


def test_stepping_over_anything_else_is_a_step(opened: Open) -> None:
    at = opened("f3aa f4", registers={"rcx": 5000, "rdi": 0x2000}).step_over().result(WAIT)
    assert (at.registers.rip, at.steps) == (0x1002, 1)


def test_a_register_is_set_and_marked_changed(opened: Open) -> None:
    session = opened()
    now = session.set_register("rax", 5).result(WAIT)
    assert (now.registers.rax, set(now.changed)) == (5, {"rax"})
    assert session.run().result(WAIT).serial == b"7\n"


def test_the_instruction_pointer_is_set_between_instructions(opened: Open) -> None:
    session = opened("e6e9 f4 b007 f4")
    session.step().result(WAIT)
    session.set_register("rip", 0x1003)
    ended = session.run().result(WAIT)
    assert (ended.detail, ended.registers.rax) == ("HLT at 0x1005", 7)


def test_a_real_mode_segment_moves_its_base(opened: Open) -> None:
    now = opened().set_register("ds", 0x1234).result(WAIT)
    assert (now.registers.ds.selector, now.registers.ds.base) == (0x1234, 0x12340)


@pytest.mark.parametrize(
    ("name", "value"), [("rxx", 1), ("rax", -1), ("rax", 1 << 64), ("cs", 1 << 16)]
)
def test_a_register_that_can_not_be_is_refused_at_once(opened: Open, name: str, value: int) -> None:
    with pytest.raises(ValueError, match=name):
        opened().set_register(name, value)


def test_a_value_that_kvm_refuses_is_told_and_the_guest_goes_on(opened: Open) -> None:
    session = opened()
    refused = session.set_register("efer", 0x500)
    with pytest.raises(KvmError, match="KVM_SET_SREGS"):
        refused.result(WAIT)
    assert "KVM_SET_SREGS" in session.snapshot().failure
    after = session.run().result(WAIT)
    assert (after.outcome, after.failure) == (Outcome.HLT, "")


def test_memory_is_read_by_linear_address(opened: Open) -> None:
    session = opened("f4", mode=Mode.LONG)
    assert session.read_memory(0x1000, 1) == b"\xf4"
    assert session.read_memory(0xFFFF_FFFF_8000_1000, 1) == b"\xf4"
    assert session.read_memory(0x4000_0000, 16) == b""


def test_memory_is_read_up_to_its_end(opened: Open) -> None:
    session = opened("f4", memory=0x3000)
    assert session.read_memory(0x2FF8, 64) == bytes(8)


def test_many_exits_leave_a_bounded_window(opened: Open) -> None:
    session = opened("b9e803 e6e9 e2fc f4")  # 1000 OUTs
    ended = session.run().result(WAIT)
    assert ended.exits_total == 1001
    assert len(ended.exits) == 200
    assert [one.index for one in ended.exits] == list(range(801, 1001))
    assert {one.ip for one in ended.exits[:-1]} == {0x1003}


def test_a_closed_session_leaves_no_thread_and_nobody_waiting(opened: Open) -> None:
    threads = threading.active_count()
    session = opened(SPIN)
    running = session.run()
    session.close()
    session.close()
    assert threading.active_count() == threads
    with pytest.raises(KvmError, match="closed"):
        running.result(WAIT)
    with pytest.raises(KvmError, match="closed"):
        session.step().result(WAIT)
    with pytest.raises(KvmError, match="closed"):
        session.read_memory(0x1000, 1)
    assert session.snapshot().guest == "test guest"


def test_a_session_without_kvm_raises_at_once(tmp_path: Path) -> None:
    with pytest.raises(KvmError, match="does not exist"):
        VcpuSession(path=str(tmp_path / "kvm"))


def test_steps_asked_for_in_quick_succession_are_all_done(opened: Open) -> None:
    session = opened("40 ebfd")
    waiting = [session.step() for _ in range(100)]
    assert waiting[-1].result(WAIT).steps == 100


def test_commands_from_many_threads_are_all_carried_out(opened: Open) -> None:
    session = opened("40 ebfd")
    threads = [
        threading.Thread(target=lambda: [session.step().result(WAIT) for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert session.snapshot().steps == 200


def test_serial_input_reaches_a_running_guest(opened: Open) -> None:
    # L: mov dx,0x3fd; in al,dx; test al,1; jz L; mov dx,0x3f8; in al,dx; out dx,al; hlt
    session = opened("bafd03eca80174f8baf803eceef4")
    end = session.run()
    until(session, lambda now: now.state is RunState.RUNNING and now.exits_total > 0)
    session.send_serial(b"!").result(WAIT)
    assert end.result(WAIT).serial == b"!"


def test_of_a_flood_of_exits_the_last_are_told_while_it_runs_and_more_when_it_stops(
    opened: Open,
) -> None:
    session = opened("e680ebfc")  # out 0x80, al; jmp back
    session.run()
    told = until(session, lambda one: one.exits_total > 10_000)
    assert (len(told.exits), told.exits[-1].index) == (FLOOD, told.exits_total - 1)
    stopped = session.pause().result(WAIT)
    assert len(stopped.exits) == EXITS
