"""Machines with several VCPUs, on the real /dev/kvm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kdash.backends.kvm.board import Slice
from kdash.backends.kvm.boot import boot_guest
from kdash.backends.kvm.device import Device
from kdash.backends.kvm.facts import (
    Exit,
    GuestError,
    IoExit,
    KvmError,
    Mode,
    Outcome,
    RunState,
    VcpuState,
)
from kdash.backends.kvm.guests import Guest, flat
from kdash.backends.kvm.images import Options, make_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.records import Steps
from kdash.backends.kvm.run import Listeners, Request, run_guest
from kdash.backends.kvm.runner import Runner
from kdash.backends.kvm.session import VcpuSession

pytestmark = pytest.mark.kvm

#:        mov cx, 500
#: again: mov al, 1
#: spin:  xchg [0x2000], al
#:        test al, al
#:        jnz spin
#:        inc word [0x2002]
#:        mov byte [0x2000], 0
#:        loop again
#:        hlt
SPIN_LOCK = "b9f401 b001 86060020 84c0 75f8 ff060220 c606002000 e2eb f4"
COUNT = 500
FOREVER = "eb fe"


def data_of(one: Exit) -> bytes:
    assert isinstance(one.detail, IoExit)
    return one.detail.data


def guest(code: str, vcpus: int, **options: Any) -> Guest:
    return make_guest(bytes.fromhex(code), "test guest", Options(vcpus=vcpus, **options))


@pytest.fixture
def session() -> Iterator[Any]:
    sessions: list[VcpuSession] = []

    def build(code: str, vcpus: int) -> VcpuSession:
        sessions.append(VcpuSession(guest(code, vcpus)))
        return sessions[-1]

    yield build
    for one in sessions:
        one.close()


@pytest.mark.parametrize("vcpus", [2, 5])
@pytest.mark.parametrize("stepped", [False, True])
def test_a_spin_lock_guards_a_counter_of_all_vcpus(vcpus: int, stepped: bool) -> None:
    request = Request(
        guest(SPIN_LOCK, vcpus), timeout=20, step_by_step=stepped, dumps=((0x2002, 2),)
    )
    report = run_guest(request)
    assert report.outcome is Outcome.HLT
    assert int.from_bytes(report.memory[0x2002], "little") == vcpus * COUNT
    assert report.exits == {"HLT": vcpus}


def test_each_vcpu_has_its_stack_and_its_number() -> None:
    report = run_guest(Request(guest("f4", 3), timeout=5))
    assert [(one.registers.rsp, one.registers.rdi) for one in report.vcpus] == [
        (0x8000, 0), (0x7C00, 1), (0x7800, 2),
    ]  # fmt: skip
    assert [one.outcome for one in report.vcpus] == [Outcome.HLT] * 3


@pytest.mark.parametrize("mode", list(Mode))
def test_all_vcpus_start_in_the_mode_asked_for(mode: Mode) -> None:
    report = run_guest(Request(guest("f4", 2, mode=mode), timeout=5))
    assert [one.registers.mode for one in report.vcpus] == [mode, mode]


def test_registers_are_set_in_every_vcpu() -> None:
    report = run_guest(Request(guest("f4", 2), registers={"rax": 7}, timeout=5))
    assert [one.registers.rax for one in report.vcpus] == [7, 7]


def test_exits_tell_which_vcpu_they_come_from() -> None:
    # mov ax, di; add al, '0'; out 0xe9, al; hlt
    exits: list[Exit] = []
    report = run_guest(
        Request(guest("89f8 0430 e6e9 f4", 3), timeout=5), Listeners(exit=exits.append)
    )
    assert sorted(report.debug_port) == list(b"012")
    outs = [one for one in exits if one.name == "IO"]
    assert {(one.vcpu, data_of(one)) for one in outs} == {
        (0, b"0"), (1, b"1"), (2, b"2"),
    }  # fmt: skip
    assert sorted(one.vcpu for one in exits if one.name == "HLT") == [0, 1, 2]


def test_steps_tell_which_vcpu_made_them_and_are_counted_together() -> None:
    steps: list[tuple[int, int]] = []

    def stepped(batch: Steps) -> None:
        steps.extend((number, batch.vcpu) for number, _ in enumerate(batch, batch.first))

    request = Request(guest("90 90 f4", 2), step_by_step=True, timeout=5)
    report = run_guest(request, Listeners(steps=stepped))
    assert report.steps == 6
    assert [number for number, _ in steps] == list(range(6))
    assert sorted(vcpu for _, vcpu in steps) == [0, 0, 0, 1, 1, 1]


def test_the_first_vcpu_that_ends_otherwise_than_by_halting_ends_the_run() -> None:
    # test di, di; jz forever; mov al, 3; out 0xf4, al; forever: jmp forever
    report = run_guest(Request(guest("85ff 7404 b003 e6f4 ebfe", 2), timeout=10))
    assert (report.outcome, report.exit_value) == (Outcome.EXIT_PORT, 3)
    assert report.detail == "exit port: 0x3 at 0x1006 (VCPU 1)"
    assert [one.outcome for one in report.vcpus] == [Outcome.INTERRUPTED, Outcome.EXIT_PORT]


def test_a_vcpu_that_halts_leaves_the_others_running() -> None:
    # test di, di; jz halt; mov cx, 2000; again: loop again; out 0xe9, al; halt: hlt
    report = run_guest(Request(guest("85ff 7407 b9d007 e2fe e6e9 f4", 2), timeout=10))
    assert report.outcome is Outcome.HLT
    assert report.detail.startswith("HLT at 0x100b (VCPU ")
    assert len(report.debug_port) == 1


@pytest.mark.parametrize("steps", [None, 100])
def test_vcpus_that_spin_are_all_stopped(steps: int | None) -> None:
    timeout = 0.1 if steps is None else None
    report = run_guest(Request(guest(FOREVER, 3), timeout=timeout, max_steps=steps))
    outcome = Outcome.TIMEOUT if steps is None else Outcome.MAX_STEPS
    assert [report.outcome, *(one.outcome for one in report.vcpus)] == [outcome] * 4
    assert report.steps == steps


def test_spinning_vcpus_pause_and_go_on(session: Any) -> None:
    # again: inc dword [0x2000 + 4*edi]; jmp again
    one = session("6766ff04bd00200000 ebf5", 2)
    counts = [b"", one.read_memory(0x2000, 8)]
    for _ in range(2):
        running = one.run()
        while one.read_memory(0x2000, 8)[:4] == counts[-1][:4]:
            pass
        assert one.pause().result(5).state is RunState.STOPPED
        assert running.result(5).outcome is None
        counts.append(one.read_memory(0x2000, 8))
    assert counts[-1][4:] != counts[0][4:]
    assert one.read_memory(0x2000, 8) == counts[-1]


def test_a_step_of_a_person_steps_the_vcpu_selected(session: Any) -> None:
    one = session("90 90 90 f4", 2)
    shown = one.select_vcpu(1).result(5)
    assert (shown.vcpu, shown.registers.rdi) == (1, 1)
    shown = one.step(2).result(5)
    assert [(brief.steps, brief.registers.rip) for brief in shown.vcpus] == [
        (0, 0x1000), (2, 0x1002),
    ]  # fmt: skip
    assert shown.registers.rip == 0x1002


def test_a_vcpu_that_is_not_there_can_not_be_selected(session: Any) -> None:
    with pytest.raises(ValueError, match="no VCPU 2; they are 0 to 1"):
        session("f4", 2).select_vcpu(2).result(5)


def test_the_vcpu_that_meets_a_breakpoint_is_selected(session: Any) -> None:
    # test di, di; jz forever; nop; forever: jmp forever
    one = session("85ff 7401 90 ebfe", 2)
    one.add_breakpoint(0x1004)
    shown = one.run().result(5)
    assert (shown.vcpu, shown.registers.rip) == (1, 0x1004)


def test_a_vcpu_that_halted_is_told_as_that(session: Any) -> None:
    one = session("f4", 2)
    shown = one.step().result(5)
    assert shown.state is RunState.STOPPED
    assert [brief.state for brief in shown.vcpus] == [VcpuState.HALTED, VcpuState.RUNNABLE]
    assert shown.vcpus[0].detail == "HLT at 0x1000"
    shown = one.run().result(5)
    assert (shown.state, shown.outcome) == (RunState.ENDED, Outcome.HLT)


def test_the_processors_are_told_by_fw_cfg() -> None:
    # mov dx, 0x510; mov ax, 5; out dx, ax; inc dx; in al, dx; out 0xe9, al; hlt
    report = run_guest(Request(guest("ba1005 b80500 ef 42 ec e6e9 f4", 3), step_by_step=True))
    assert report.debug_port[:1] == b"\x03"


def test_one_vcpu_alone_has_no_list(session: Any) -> None:
    assert session("f4", 1).snapshot().vcpus == ()


def test_stepping_takes_turns() -> None:
    with Machine(guest(FOREVER, 2)) as machine:
        runner = Runner(machine)
        assert runner.step(1000) is Slice.AGAIN
        first, second = (one.steps for one in runner.runners)
        assert first + second == 1000
        assert abs(first - second) <= 32


def test_more_vcpus_than_kvm_has_are_refused_with_the_capability() -> None:
    with Device() as device:
        most = device.capability("MAX_VCPUS")
    many = flat(b"\xf4", "many", mode=Mode.PROTECTED, stack=0x20_0000)
    object.__setattr__(many, "vcpus", most + 1)
    with pytest.raises(
        KvmError, match=f"{most + 1} VCPUs are more than the {most} that KVM_CAP_MAX"
    ):
        Machine(many)


def test_stacks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GuestError, match="the stacks of 29 VCPUs at 0xe00-0x7fff; --stack moves"):
        guest("f4", 29)
    with pytest.raises(GuestError, match="the stacks of 40 VCPUs, 1 KiB each, don't fit"):
        guest("f4", 40, load=0x9000)


def test_vcpus_of_a_boot_sector_need_interrupt_controllers() -> None:
    sector = b"\xf4".ljust(510, b"\0") + b"\x55\xaa"
    assert boot_guest(sector, "boot").startup_ipi
    with pytest.raises(GuestError, match=r"wait for INIT and SIPI.*add --irqchip"):
        make_guest(sector, "boot", Options(vcpus=2))
