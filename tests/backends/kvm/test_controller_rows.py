"""The kernel's interrupt controllers and timer, told from their structures."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.controller_rows import controller_registers
from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.state_facts import DeviceRegister
from kdash.backends.kvm.user_devices import DeviceClass

WAIT = 10.0
#: mov al,0xfe; out 0x21,al; mov al,0x34; out 0x43,al; xor ax,ax; out 0x40,al; mov al,0x10;
#: out 0x40,al; out 0x50,al (an ioeventfd); hlt
SETS = "b0fe e621 b034 e643 31c0 e640 b010 e640 e650 f4"


class Bell:
    """Counts writes that stop no VCPU."""

    ports = range(0x50, 0x51)

    def read(self, address: int, size: int) -> int:
        return 0

    def write(self, address: int, size: int, value: int) -> None: ...

    def rung(self, count: int) -> None: ...

    def attach(self, machine: Any) -> None:
        machine.ioeventfd(0x50, 1, self.rung)

    def save(self) -> int:
        return 0

    def restore(self, state: int) -> None: ...


def found(session: VcpuSession) -> dict[tuple[str, str], DeviceRegister]:
    rows = session.inspect(lambda look: look.devices())
    return {(one.device, one.name): one for one in rows}


@pytest.mark.kvm
def test_controllers_of_the_kernel_are_told_now_and_in_the_past() -> None:
    guest = replace(flat(bytes.fromhex(SETS), "sets", mode=Mode.REAL), irqchip=True)
    session = VcpuSession(guest, devices=(DeviceClass("bell.py:Bell", Bell),))
    session.step(9).result(WAIT)
    rows = found(session)
    assert rows["pic 1", "mask"].value == "fe"
    assert rows["pit", "counter 0"].value == "1000"
    assert rows["pit", "counter 0"].meaning.startswith("mode 2, 291.3 Hz")
    assert rows["pit", "counter 1"].meaning == "not set yet, refresh"
    assert rows["ioapic", "pins"].meaning == "all 24 are masked"
    assert rows["lapic", "id"].value == "0"
    assert rows["ioeventfd", "port 50"].value == "1"
    session.seek(1).result(WAIT)
    assert found(session)["pic 1", "mask"].value == "00"
    session.close()


def test_pins_and_vectors_are_named() -> None:
    entries = [1 << 16] * 24
    entries[4] = 3 << 56 | 1 << 15 | 0x34
    ioapic = bytes(8) + struct.pack("<QIII4x", 0xFEC0_0000, 0, 2, 1 << 4)
    ioapic += struct.pack("<24Q", *entries)
    lapic = bytearray(1024)
    lapic[0x210] = 1 << 4  # vector 0x24 of the requests
    lapic[0xF1] = 1
    structures = {"IRQCHIP 2": ioapic.ljust(520, b"\0"), "LAPIC": bytes(lapic)}
    rows = {
        (one.device, one.name): one.meaning
        for one in controller_registers(lambda name, _: structures.get(name), 1)
    }
    assert rows["ioapic", "pin 4"] == "vector 0x34 fixed level to APIC 3"
    assert rows["ioapic", "requests"] == "4: wait to be delivered"
    assert rows["lapic", "requests"] == "24: wait to be served"
    assert rows["lapic", "id"].startswith("enabled")


@given(st.binary(min_size=1024, max_size=1024))
def test_any_bytes_are_told(data: bytes) -> None:
    sizes = {"IRQCHIP": 520, "PIT2": 112, "LAPIC": 1024}
    assert controller_registers(lambda name, _: data[: sizes[name.split()[0]]], 2)
