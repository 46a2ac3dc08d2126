"""Interrupt controllers and timer in the kernel, on the real /dev/kvm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from kdash.backends.kvm import irqchip
from kdash.backends.kvm.device import Device
from kdash.backends.kvm.engines import EMULATOR
from kdash.backends.kvm.facts import KvmError, Mode, Outcome, RunState, VcpuState
from kdash.backends.kvm.guests import Guest, Part
from kdash.backends.kvm.images import Options, make_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.run import Report, Request, run_guest
from kdash.backends.kvm.session import VcpuSession

pytestmark = pytest.mark.kvm

#: IVT[8] = 0:1040; PIC: base 8, all masked but IRQ 0; PIT: counter 0, mode 2, 0x800 counts
#: (1.7 ms); sti; then hlt until the handler has counted to 3 at 0x2000; cli; hlt.
#: At 0x1040: inc byte [0x2000], end of interrupt, iret.
THREE_TICKS = (
    "c706200040 10c706220000 00 b011e620b008e621b004e621b001e621b0fee621"
    "b034e643b000e640b008e640 fb f4 803e002003 72f8 fa f4 000000000000000000"
    "50 fe060020 b020e620 58 cf"
)
#: INIT, then SIPI with vector 2 to all others; waits for 2 at 0x3000; hlt (protected mode).
START_OTHERS = "c7050003e0fe00450c00 c7050003e0fe02460c00 803d0030000002 f390 75f5 f4"
#: lock inc byte cs:[0x1000]; hlt: what the others do at 0x2000, in real mode.
STARTED = Part(0x2000, bytes.fromhex("f02efe060010f4"))


def guest(code: str, vcpus: int = 1, mode: Mode = Mode.REAL) -> Guest:
    return make_guest(bytes.fromhex(code), "test", Options(vcpus=vcpus, irqchip=True, mode=mode))


def run(one: Guest, stepped: bool = False, **options: Any) -> Report:
    return run_guest(Request(one, timeout=20, step_by_step=stepped, **options))


@pytest.mark.parametrize("stepped", [False, True])
def test_the_timer_interrupts_a_guest_that_has_halted(stepped: bool) -> None:
    report = run(guest(THREE_TICKS), stepped, dumps=((0x2000, 1),))
    assert (report.outcome, report.detail) == (Outcome.HLT, "HLT at 0x1036")
    assert report.memory[0x2000][0] >= 3  # more where a tick came on the way to the end
    assert report.exits == {"HLT": 1}


@pytest.mark.parametrize("stepped", [False, True])
def test_a_guest_that_halts_without_interrupts_has_ended(stepped: bool) -> None:
    report = run(guest("90 f4"), stepped)
    assert (report.outcome, report.detail) == (Outcome.HLT, "HLT at 0x1001")
    assert report.exits == {"HLT": 1}


@pytest.mark.parametrize("stepped", [False, True])
def test_a_guest_that_halts_with_interrupts_waits_for_them(stepped: bool) -> None:
    report = run_guest(Request(guest("fb f4"), timeout=0.1, step_by_step=stepped))
    assert (report.outcome, report.detail) == (Outcome.TIMEOUT, "no end in 0.1 s, at 0x1002")


def test_a_guest_that_waits_for_an_interrupt_pauses() -> None:
    session = VcpuSession(guest("fb f4"))
    try:
        running = session.run()
        assert session.pause().result(5).state is RunState.STOPPED
        assert running.result(5).outcome is None
    finally:
        session.close()


@pytest.mark.parametrize("stepped", [False, True])
def test_several_vcpus_that_halt_without_interrupts_end_the_run(stepped: bool) -> None:
    report = run(guest("f4", 3), stepped)
    assert [one.outcome for one in report.vcpus] == [Outcome.HLT] * 3
    assert report.exits == {"HLT": 3}


def test_flat_guests_start_on_all_vcpus() -> None:
    with Machine(guest("f4", 2)) as machine:
        assert [irqchip.mp_state(one.fd) for one in machine.vcpus] == [irqchip.RUNNABLE] * 2


@pytest.mark.parametrize("stepped", [False, True])
def test_other_vcpus_are_started_by_init_and_sipi(stepped: bool) -> None:
    one = replace(guest(START_OTHERS, 3, Mode.PROTECTED), startup_ipi=True, parts=(STARTED,))
    report = run(one, stepped, dumps=((0x3000, 1),))
    assert report.outcome is Outcome.HLT
    assert report.memory == {0x3000: b"\x02"}
    assert [one.registers.cs.base for one in report.vcpus] == [0, 0x2000, 0x2000]


@pytest.mark.parametrize("stepped", [False, True])
def test_vcpus_that_nobody_started_do_not_keep_a_run_from_its_end(stepped: bool) -> None:
    report = run(replace(guest("f4", 2), startup_ipi=True), stepped)
    assert report.outcome is Outcome.HLT
    assert report.exits == {"HLT": 1}


def test_a_vcpu_that_nobody_started_is_told_as_waiting() -> None:
    session = VcpuSession(replace(guest("90 f4", 2), startup_ipi=True))
    try:
        states = [one.state for one in session.snapshot().vcpus]
    finally:
        session.close()
    assert states == [VcpuState.RUNNABLE, VcpuState.WAITING]


class Lacking:
    """A KVM without one capability."""

    def __init__(self, name: str) -> None:
        self.name = name

    def capability(self, name: str) -> int:
        return int(name != self.name)


@pytest.mark.parametrize("name", ["IRQCHIP", "PIT2", "MP_STATE"])
def test_what_kvm_lacks_is_named(name: str) -> None:
    with pytest.raises(KvmError, match=rf"KVM lacks KVM_CAP_{name}, needed for .*--irqchip"):
        irqchip.create(cast(Device, Lacking(name)), -1)


def test_the_emulator_says_that_it_has_none() -> None:
    with pytest.raises(KvmError, match="the emulator can't do this: interrupt controllers"):
        run(guest("f4"), engine=EMULATOR)
