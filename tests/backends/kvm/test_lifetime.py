"""Machines come and go and leave nothing behind."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kdash.backends.kvm import machine as machine_module
from kdash.backends.kvm.facts import GuestError, KvmError
from kdash.backends.kvm.guests import Guest, article_guest
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.memory import GuestMemory
from kdash.backends.kvm.run import Request, run_guest
from kdash.backends.kvm.runner import Runner
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.user_devices import DeviceClass

pytestmark = pytest.mark.kvm


def descriptors() -> dict[str, str]:
    """What is open, by number."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the one by which the folder was read
    return found


def mappings() -> int:
    """Mappings that belong to machines: shared memory and run areas."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum("kvm" in line or "/dev/zero" in line for line in lines)


def timers() -> str:
    path = Path("/proc/self/timers")  # not on every kernel
    return path.read_text() if path.exists() else ""


def state() -> tuple[dict[str, str], int, int, str]:
    return descriptors(), mappings(), threading.active_count(), timers()


@pytest.mark.no_cover
def test_a_thousand_machines_leave_nothing_behind() -> None:
    Machine(article_guest()).close()
    before = state()
    for number in range(1000):
        machine = Machine(article_guest())
        if number == 500:
            assert state() != before
        machine.close()
        machine.close()
    assert state() == before


class Busy:
    """A device that uses all a machine offers."""

    ports = range(0x30, 0x31)
    mmio = None

    def attach(self, machine: Machine) -> None:
        machine.ioeventfd(0x30, 1, print)
        machine.ioeventfd(0x30000, 4, print, mmio=True)
        machine.coalesce(range(0x31, 0x32))
        machine.irqfd(5)

    def read(self, address: int, size: int) -> int:
        return 0

    def write(self, address: int, size: int, value: int) -> None:
        pass


def busy_guest() -> Guest:
    return replace(article_guest(), vcpus=3, irqchip=True)


@pytest.mark.no_cover
def test_machines_with_all_they_can_have_leave_nothing_behind() -> None:
    classes = (DeviceClass("busy.py:Busy", Busy),)
    before = state()
    for number in range(100):
        with Machine(busy_guest()) as machine:
            runner = Runner(machine, devices=classes)
            if number % 10 == 0:
                runner.run()
                assert threading.active_count() == before[2] + 4
    assert state() == before


def test_a_device_that_fails_to_attach_leaves_nothing_behind() -> None:
    class Failing(Busy):
        def attach(self, machine: Machine) -> None:
            super().attach(machine)
            raise RuntimeError("half way")

    before = state()
    for _ in range(10):
        with pytest.raises(GuestError, match="half way"):
            run_guest(Request(busy_guest(), devices=(DeviceClass("x.py:F", Failing),)))
    assert state() == before


def test_too_many_vcpus_leave_nothing_behind() -> None:
    before = state()
    with pytest.raises(KvmError, match="KVM_CAP_MAX_VCPUS"):
        Machine(replace(article_guest(), vcpus=1 << 20))
    assert state() == before


def test_runs_leave_nothing_behind() -> None:
    run_guest(Request(article_guest()))
    before = state()
    for _ in range(50):
        run_guest(Request(article_guest()))
    assert state() == before


def test_sessions_leave_nothing_behind() -> None:
    VcpuSession().close()
    before = state()
    for _ in range(50):
        session = VcpuSession()
        session.run()
        session.restart()
        session.close()
    assert state() == before


def test_a_run_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    before = state()
    with pytest.raises(KvmError):
        run_guest(Request(article_guest()), path=str(tmp_path / "kvm"))
    with pytest.raises(KvmError):
        Machine(replace(article_guest(), memory=0))
    with pytest.raises(KvmError):
        Machine(article_guest(), "/dev/null")
    assert state() == before


def test_a_machine_that_fails_half_way_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(memory: GuestMemory, guest: Guest) -> None:
        raise RuntimeError("half way")

    before = state()
    monkeypatch.setattr(machine_module, "load", fail)
    with pytest.raises(RuntimeError, match="half way"):
        Machine(article_guest())
    assert state() == before


def test_a_closed_vcpu_refuses_every_call() -> None:
    machine = Machine(article_guest())
    machine.close()
    machine.vcpu.kick()
    with pytest.raises(TypeError):
        machine.vcpu.registers()
    with pytest.raises(TypeError):
        machine.vcpu.enter(False)
