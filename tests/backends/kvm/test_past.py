"""Going back and forth in a recorded run, on the real /dev/kvm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdash.backends.kvm.boot import boot_guest
from kdash.backends.kvm.facts import (
    KvmError,
    Mode,
    NotRecorded,
    Outcome,
    PastError,
    Registers,
    RunState,
    StopKind,
)
from kdash.backends.kvm.guests import Guest, article_guest, flat
from kdash.backends.kvm.guided import GuidedRun
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.start import Start
from kdash.backends.kvm.stop_requests import Wanted
from kdash.backends.kvm.travel import BEGIN, INTERRUPTED
from kdash.backends.kvm.user_devices import DeviceClass

pytestmark = pytest.mark.kvm

Open = Callable[..., GuidedRun]


@pytest.fixture
def begin() -> Iterator[Open]:
    """Opens a guest given in hexadecimal."""
    runs: list[GuidedRun] = []

    def build(code: str | Guest, **options: Any) -> GuidedRun:
        kept = {name: options.pop(name) for name in ("devices", "start") if name in options}
        guest = code if isinstance(code, Guest) else flat(bytes.fromhex(code), "test", **options)
        runs.append(GuidedRun(guest, **kept))
        return runs[-1]

    yield build
    for run in runs:
        run.close()


def go(run: GuidedRun, pace: Pace) -> None:
    run.begin(pace)
    while run.advance():
        pass


def state(run: GuidedRun) -> Any:
    """All that has to be the same whenever a moment is shown."""
    shown = run.snapshot()
    memory = run._past.read(0, run._machine.memory.size)
    return shown.registers, shown.steps, memory, shown.serial, shown.exits, shown.exits_total


def walk(run: GuidedRun, steps: int) -> list[Any]:
    """The states before and after each of so many steps."""
    states = [state(run)]
    for _ in range(steps):
        go(run, Pace(steps=1))
        states.append(state(run))
    return states


def back_and_forth(run: GuidedRun, steps: int) -> list[Any]:
    """Walks there, back and there again, and finds the same states."""
    states = walk(run, steps)
    for expected in reversed(states[:-1]):
        run.step_back()
        assert state(run) == expected
    assert walk(run, steps) == states
    return states


def test_a_step_back_shows_the_state_before_it(begin: Open) -> None:
    run = begin(article_guest())
    go(run, Pace(steps=2))
    before = state(run)
    go(run, Pace(steps=1))
    run.step_back()
    assert state(run) == before
    view = run.snapshot().recording
    assert view is not None
    assert (view.first, view.position, view.last, view.replay) == (0, 2, 3, True)


def test_time_stamps_and_random_numbers_are_the_same_again(begin: Open) -> None:
    run = begin("0f31 89c3 0fc7f0 0f31 90 f4")  # rdtsc, mov, rdrand ax, rdtsc
    states = back_and_forth(run, 2)
    go(run, Pace(steps=10))
    assert states[1][0].rax != 0


def test_an_interrupt_of_real_mode_that_is_done_by_hand_is_the_same_again(begin: Open) -> None:
    # mov [0x200],0x1012; mov [0x202],0; sti; nop; int 0x80; hlt; nop; h: mov bl,5; iret
    run = begin("c70600021210 c70602020000 fb90 cd80 f4 90 b305 cf")
    states = back_and_forth(run, 6)
    assert [one[0].rip for one in states[4:]] == [0x100E, 0x1012, 0x1014]
    assert states[5][0].rsp == 0x7FFA


def test_input_of_devices_is_the_same_again(begin: Open) -> None:
    class Counter:
        ports = range(0x10, 0x11)
        mmio = None
        value = 0

        def read(self, address: int, size: int) -> int:
            self.value += 1
            return self.value

        def write(self, address: int, size: int, value: int) -> None:
            self.value = value

    run = begin("e410 a20020 e410 a20120 f4", devices=(DeviceClass("counter", Counter),))
    states = back_and_forth(run, 4)
    assert states[-1][2][0x2000:0x2002] == b"\x01\x02"
    view = run.snapshot().recording
    assert view is not None
    assert view.unsaved == ("Counter",)


def test_a_repeated_string_instruction_goes_back_as_one_step(begin: Open) -> None:
    # mov si, 0x1000; mov di, 0x2000; mov cx, 300; rep movsb; hlt
    run = begin("be0010 bf0020 b92c01 f3a4 f4")
    states = back_and_forth(run, 4)
    assert states[4][2][0x2000:0x200C] == states[0][2][0x1000:0x100C]
    assert states[3][2][0x2000:0x200C] == bytes(12)


def test_code_that_changes_itself_goes_back(begin: Open) -> None:
    run = begin("c606051040 90 f4")  # mov byte [0x1005], 0x40 (inc ax); nop; hlt
    states = back_and_forth(run, 2)
    assert (states[0][2][0x1005], states[1][2][0x1005]) == (0x90, 0x40)
    assert states[2][0].rax == 1


def test_output_is_not_sent_again(begin: Open) -> None:
    run = begin(article_guest())
    go(run, Pace())
    run.seek(0)
    assert run.snapshot().serial == b""
    go(run, Pace())
    assert bytes(run._runner.serial.sent) == b"4\n"
    assert run.snapshot().outcome is Outcome.HLT


def test_a_run_at_full_speed_is_one_step(begin: Open) -> None:
    run = begin(article_guest())
    before = state(run)
    go(run, Pace())
    after = state(run)
    run.step_back()
    assert state(run) == before
    assert run.snapshot().state is RunState.STOPPED
    go(run, Pace(steps=1))
    assert state(run) == after


def test_going_on_from_a_moment_needs_a_word(begin: Open) -> None:
    run = begin(article_guest())
    go(run, Pace(steps=7))
    run.step_back(4)
    with pytest.raises(PastError, match="setting rax at moment 3 forgets the 4 moments"):
        run.set_register("rax", 0x37)
    run.set_register("rax", 0x37, confirm=True)
    go(run, Pace())
    shown = run.snapshot()
    assert (shown.serial, shown.exits_total, shown.outcome) == (b"7\n", 3, Outcome.HLT)
    assert [one.index for one in shown.exits] == [0, 1, 2]
    run.seek(0)
    assert run.snapshot().registers.rax == 2


def test_the_guest_goes_on_from_a_moment(begin: Open) -> None:
    # push ax; inc ax; out 0xe9, al; jmp back
    run = begin("50 40 e6e9 ebfa", registers={"rsp": 0x8000})
    go(run, Pace(steps=40))
    expected = state(run)
    run.seek(13)
    run.run_from_here()
    view = run.snapshot().recording
    assert view is not None
    assert (view.position, view.last) == (13, 13)
    go(run, Pace(steps=27))
    assert state(run) == expected
    assert bytes(run._runner.debug_port.sent) == bytes(range(1, 11))


def test_user_devices_that_keep_their_state_go_back_too(begin: Open) -> None:
    class Adder:
        ports = range(0x10, 0x11)
        mmio = None
        total = 0

        def read(self, address: int, size: int) -> int:
            return self.total

        def write(self, address: int, size: int, value: int) -> None:
            self.total += value

        def save(self) -> int:
            return self.total

        def restore(self, state: int) -> None:
            self.total = state

    run = begin("b003 e610 e610 e610 e410 f4", devices=(DeviceClass("adder", Adder),))
    go(run, Pace(steps=5))
    assert run.snapshot().registers.rax == 9
    run.seek(2)
    run.run_from_here()
    go(run, Pace(steps=3))
    assert run.snapshot().registers.rax == 9


def test_a_device_whose_state_is_no_json_is_not_recorded(begin: Open) -> None:
    class Strange:
        ports = range(0x10, 0x11)
        mmio = None

        def read(self, address: int, size: int) -> int:
            return 1

        def write(self, address: int, size: int, value: int) -> None: ...

        def save(self) -> object:
            return {1, 2}

        def restore(self, state: object) -> None: ...

    run = begin("e410 f4", devices=(DeviceClass("strange", Strange),))
    go(run, Pace(steps=2))
    shown = run.snapshot()
    assert shown.outcome is Outcome.HLT
    assert "set is not JSON serializable" in shown.unrecorded


def test_output_after_going_on_from_the_past_is_passed_on(begin: Open) -> None:
    run = begin(article_guest())
    heard: list[bytes] = []
    run.on_output = heard.append
    go(run, Pace(steps=7))
    run.snapshot()
    run.seek(0)
    run.run_from_here()
    go(run, Pace(steps=7))
    run.snapshot()
    assert b"".join(heard) == b"4\n4\n"


def test_changes_by_a_person_are_moments_too(begin: Open) -> None:
    run = begin("90 90 90 f4")
    go(run, Pace(steps=1))
    run.set_register("rbx", 5)
    run.write_memory(0x3000, b"abc")
    go(run, Pace(steps=1))
    run.step_back(2)
    assert (run.snapshot().registers.rbx, run.read_memory(0x3000, 3)) == (5, bytes(3))
    run.step_back()
    assert run.snapshot().registers.rbx == 0
    go(run, Pace(steps=3))
    assert run.read_memory(0x3000, 3) == b"abc"


def test_going_back_over_a_call_leads_before_it(begin: Open) -> None:
    run = begin("e80300 90 f4 90 40 40 c3")  # call 0x1006; nop; hlt; nop; 1006: inc inc ret
    go(run, Pace(steps=4))
    assert run.snapshot().registers.rip == 0x1003
    run.reverse_next()
    assert run.snapshot().registers.rip == 0x1000
    go(run, Pace(steps=5))
    run.reverse_next()
    assert run.snapshot().registers.rip == 0x1003


def test_going_back_stops_at_breakpoints_and_exits(begin: Open) -> None:
    run = begin("40 e680 43 ebfa")  # inc ax; out 0x80, al; inc bx; jmp back
    go(run, Pace(steps=20))
    run.add_breakpoint(0x1003)
    run.reverse_continue()
    assert (run.snapshot().registers.rip, run.snapshot().registers.rbx) == (0x1003, 4)
    run.reverse_continue(exits=True)
    assert (run.snapshot().registers.rip, run.snapshot().registers.rax) == (0x1001, 5)
    run.remove_breakpoint(0x1003)
    run.reverse_continue()
    assert run.snapshot().steps == 0


def test_why_a_way_through_the_past_ended_is_told(begin: Open) -> None:
    run = begin("40 e680 43 ebfa")  # inc ax; out 0x80, al; inc bx; jmp back
    go(run, Pace(steps=20))
    number = run.add_stop(Wanted(StopKind.BREAKPOINT, 0x1003, condition="bx == 2"))
    run.reverse_continue()
    shown = run.snapshot()
    assert (shown.detail, shown.stopped_at) == (f"breakpoint {number} at 0x1003", (number,))
    run.reverse_continue()
    assert (run.snapshot().detail, run.snapshot().stopped_at) == (BEGIN, ())
    go(run, Pace())
    assert run.snapshot().detail == f"breakpoint {number} at 0x1003"
    run.seek(9)
    assert not run.snapshot().detail


def test_a_run_that_changed_nothing_is_a_moment_and_no_step(begin: Open) -> None:
    run = begin("ebfe")  # jmp $
    run.begin(Pace())
    run.advance()
    assert run.snapshot().full_speed
    run.stop()
    shown = run.snapshot()
    assert shown.recording is not None
    assert (shown.steps, shown.recording.last, shown.full_speed) == (0, 1, True)
    go(run, Pace(steps=1))
    assert (run.snapshot().steps, run.snapshot().full_speed) == (1, False)
    run.step_back()
    assert run.snapshot().full_speed


def test_a_change_by_hand_does_not_forget_that_a_run_was_at_full_speed(begin: Open) -> None:
    run = begin("40 40 f4")  # inc ax; inc ax; hlt
    go(run, Pace(steps=1))
    go(run, Pace())
    assert (run.snapshot().steps, run.snapshot().full_speed) == (1, True)
    run.set_register("rbx", 5)
    assert (run.snapshot().steps, run.snapshot().full_speed) == (1, True)
    run.step_back()
    run.step_back()
    assert (run.snapshot().steps, run.snapshot().full_speed) == (1, False)


def test_what_a_replay_arrives_at_was_at_full_speed_as_before(begin: Open) -> None:
    run = begin("40 40 f4")  # inc ax; inc ax; hlt
    go(run, Pace(steps=1))
    go(run, Pace())
    run.step_back()
    go(run, Pace())
    assert (run.snapshot().steps, run.snapshot().full_speed) == (1, True)


def test_a_search_of_the_past_ends_where_it_is_when_it_is_interrupted(begin: Open) -> None:
    run = begin("40 ebfd")  # inc ax; jmp back
    go(run, Pace(steps=300))
    run.add_stop(Wanted(StopKind.BREAKPOINT, 0x1001, condition="ax == 0xdead"))
    looks = iter(range(10))
    run.interrupted = lambda: next(looks, None) is None
    run.reverse_continue()
    shown = run.snapshot()
    assert shown.recording is not None
    assert 0 < shown.recording.position < 299
    assert shown.detail == INTERRUPTED
    run.seek(0)
    looks = iter(range(10))
    run.begin(Pace())
    run.advance()
    run.stop()
    assert run.snapshot().detail == INTERRUPTED
    assert run._past.active


def test_going_on_in_the_past_stops_at_breakpoints_then_runs_live(begin: Open) -> None:
    run = begin("40 43 ebfc")
    go(run, Pace(steps=30))
    run.seek(0)
    run.add_breakpoint(0x1001)
    go(run, Pace())
    assert run.snapshot().registers.rax == 1
    go(run, Pace(steps=40))
    assert run.snapshot().registers.rax == 2
    run.remove_breakpoint(0x1001)
    go(run, Pace(steps=40))
    shown = run.snapshot()
    assert shown.steps == 44
    assert shown.recording is not None
    assert not shown.recording.replay


def test_what_a_bios_call_wrote_goes_back(begin: Open) -> None:
    # mov ax, 0x0e41; int 10h; hlt
    image = bytes.fromhex("b8410e cd10 f4").ljust(510, b"\0") + b"\x55\xaa"
    run = begin(boot_guest(image, "boot"))
    go(run, Pace())
    assert run.snapshot().teletype == b"A"
    run.step_back()
    shown = run.snapshot()
    assert shown.teletype == b""
    assert shown.screen is None or shown.screen.cells[0] != ord("A")
    go(run, Pace(steps=1))
    shown = run.snapshot()
    assert shown.screen is not None
    assert shown.screen.cells[0] == ord("A")


def test_page_tables_written_by_the_processor_go_back(begin: Open) -> None:
    run = begin("488b0425 00003000 f4", mode=Mode.LONG)  # mov rax, [0x300000]
    states = back_and_forth(run, 1)
    assert states[0][2] != states[1][2]  # accessed bits


def test_a_guest_that_ended_can_be_looked_back_at(begin: Open) -> None:
    run = begin("90 0f0b", mode=Mode.LONG)  # nop; ud2, without an IDT
    go(run, Pace(steps=5))
    ended = run.snapshot()
    assert ended.state is RunState.ENDED
    run.step_back()
    assert run.snapshot().state is RunState.STOPPED
    assert run.snapshot().outcome is None
    go(run, Pace(steps=5))
    assert run.snapshot().outcome is ended.outcome


def test_without_a_recording_nothing_goes_back(begin: Open) -> None:
    run = begin(article_guest(), start=Start(record=False))
    with pytest.raises(NotRecorded, match="--recording off"):
        run.step_back()
    go(run, Pace(steps=2))
    assert run.snapshot().recording is None
    assert run.snapshot().unrecorded


def test_the_steps_of_several_vcpus_go_back_in_turn(begin: Open) -> None:
    # lock inc word [0x2000]; inc ax; jmp back
    guest = replace(flat(bytes.fromhex("f0ff060020 40 ebf8"), "two", memory=0x10000), vcpus=2)
    run = begin(guest)
    go(run, Pace(stepped=True, until=0xFFFF, steps=200))
    run.begin(Pace(stepped=True))
    while run.snapshot().steps < 300:
        run.advance()
    run.stop()
    counts = [one.steps for one in run.snapshot().vcpus]
    assert min(counts) > 0
    last = run.snapshot().recording
    assert last is not None
    states = {}
    for moment in range(last.last, last.last - 120, -1):
        run.seek(moment)
        states[moment] = run._past.read(0x2000, 2), [one.registers for one in run.snapshot().vcpus]
    for moment, expected in states.items():
        run.seek(moment)
        shown = run._past.read(0x2000, 2), [one.registers for one in run.snapshot().vcpus]
        assert shown == expected
    assert len({one for _, (one, _) in states.values()}) > 1
    run.seek(last.last - 100)
    run.run_from_here()
    assert sum(one.steps for one in run.snapshot().vcpus) == run.snapshot().steps
    run.begin(Pace(stepped=True))
    run.advance()
    run.stop()
    assert run.snapshot().steps > last.last - 100


def test_interrupt_controllers_in_the_kernel_go_back(begin: Open) -> None:
    # mask of the first PIC: mov al, 0x5a; out 0x21, al; in al, 0x21; nop; nop; hlt
    guest = replace(flat(bytes.fromhex("b05a e621 e421 9090 f4"), "pic"), irqchip=True)
    run = begin(guest)
    go(run, Pace(steps=1))
    run.set_register("rbx", 1)  # all state is read at a change
    go(run, Pace(steps=3))
    run.set_register("rbx", 2)
    chip = run._past.recording.area("IRQCHIP 0")
    assert chip is not None
    after = bytes(run._past.recording.shadow(chip.number))
    run.seek(2)
    assert bytes(run._past.recording.shadow(chip.number)) != after
    run.run_from_here()
    go(run, Pace(steps=3))
    assert run.snapshot().registers.rax & 0xFF == 0x5A


def test_the_oldest_steps_are_dropped_first(begin: Open) -> None:
    limit = 1 << 20
    run = begin("40 ebfd", memory=0x10000, start=Start(record_limit=limit))
    go(run, Pace(steps=150_000))
    view = run.snapshot().recording
    assert view is not None
    assert 0 < view.first < view.last == 150_000
    assert view.bytes <= limit
    run.seek(0)
    assert run.snapshot().steps == view.first
    assert run.snapshot().registers.rax == (view.first + 1) // 2 & 0xFFFF


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(code=st.binary(min_size=1, max_size=40), places=st.lists(st.integers(0, 60), max_size=6))
def test_any_guest_goes_back_to_where_it_was(code: bytes, places: list[int]) -> None:
    run = GuidedRun(flat(code, "random", memory=0x10000))
    try:
        states = []
        for _ in range(60):
            before = run.snapshot().recording
            states.append(state(run))
            go(run, Pace(steps=1))
            after = run.snapshot().recording
            if run.snapshot().outcome or before == after:
                break
        states.append(state(run))
        for place in (*places, 0, len(states) - 1):
            run.seek(place)
            shown = run.snapshot().recording
            assert shown is not None
            assert state(run) == states[shown.position]
    except KvmError:
        pass  # the host's KVM gave up
    finally:
        run.close()


#: Initialises the PIC, unmasks the keyboard, STI; 0x1021: HLT, INC BX, again; handler at 0x1030.
COUNTS_KEYS = bytes.fromhex(
    "c70624003010 c70626000000 b011e620 b008e621 b004e621 b001e621 b0fde621 fb f4 43 ebfc"
).ljust(0x30, b"\x90") + bytes.fromhex("90 e460 b020 e620 cf")


def goes_until_it_waits(run: GuidedRun, pace: Pace) -> bool:
    """Whether the guest halts for a key before the pace is gone."""
    run.begin(pace)
    while run.advance() and not run.waiting:
        pass
    waits = run.waiting
    run.stop()
    return waits


@pytest.mark.parametrize("pace", [Pace(), Pace(steps=200)], ids=["at full speed", "stepped"])
def test_a_guest_put_back_to_where_it_waits_for_a_key_waits_there(begin: Open, pace: Pace) -> None:
    run = begin(flat(COUNTS_KEYS, "keys"))
    assert goes_until_it_waits(run, pace)
    waiting = run.snapshot()
    run.set_register("rcx", 5)
    run.step_back()
    run.run_from_here()
    assert goes_until_it_waits(run, pace)
    after = run.snapshot()
    assert (after.registers, after.steps) == (waiting.registers, waiting.steps)
    run.send_keys(b"q")
    assert goes_until_it_waits(run, pace)
    assert run.snapshot().registers.rbx


@pytest.mark.parametrize("pace", [Pace(), Pace(steps=200)], ids=["at full speed", "stepped"])
def test_a_key_pressed_after_the_moment_gone_back_to_interrupts_again(
    begin: Open, pace: Pace
) -> None:
    run = begin(flat(COUNTS_KEYS, "keys"))
    assert goes_until_it_waits(run, pace)
    waiting = run.snapshot().registers
    run.send_keys(b"q")
    assert goes_until_it_waits(run, pace)
    back_to(run, waiting)
    run.run_from_here()
    assert goes_until_it_waits(run, pace)
    assert run.snapshot().registers.rbx


def back_to(run: GuidedRun, registers: Registers) -> None:
    for _ in range(100):
        if run.snapshot().registers == registers:
            return
        run.step_back()
    pytest.fail("no such moment")


def test_a_guest_put_back_into_a_handler_does_not_wait(begin: Open) -> None:
    run = begin(flat(COUNTS_KEYS, "keys"))
    assert goes_until_it_waits(run, Pace(steps=200))
    run.send_keys(b"q")
    go(run, Pace(steps=2))  # into the handler, before it accesses anything
    inside = run.snapshot().registers
    assert goes_until_it_waits(run, Pace(steps=200))
    back_to(run, inside)
    run.run_from_here()
    go(run, Pace(steps=1))
    assert run.snapshot().registers != inside
