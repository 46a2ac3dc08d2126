"""What the kernel's interrupt controllers and its timer hold, told from their structures.

Layouts: asm/kvm.h of Linux 6.19 (struct kvm_irqchip, kvm_pic_state, kvm_ioapic_state,
kvm_pit_state2, kvm_lapic_state). Bits: Intel 8259A and 82093AA data sheets; Intel SDM vol. 3A,
chapter 11 (APIC).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm.state_facts import DeviceRegister

if TYPE_CHECKING:
    from kdash.backends.kvm.eventfds import EventCount, IrqLine

#: Gives the structure of KVM_GET_<name> (with the chip's number behind it for IRQCHIP) of the VM,
#: or of a VCPU from 0 on; None where it is not there.
Structure = Callable[[str, int], bytes | None]

#: Of the devices with a state of our own the one that is the kernel's where it has controllers.
KERNELS: Final = "pit"
_CHIP: Final = 8  # offset of the chip in struct kvm_irqchip
_PINS: Final = 24
_CHANNEL: Final = struct.Struct("<IH10Bq")  # struct kvm_pit_channel_state
_TIMER_HZ: Final = 1_193_182
_NOT_SET: Final = 0xFF  # as the kernel's mode of a counter that nobody has set
_CHANNELS: Final = ("IRQ 0", "refresh", "speaker")
_DELIVERY: Final = ("fixed", "lowest", "SMI", "mode 3", "NMI", "INIT", "mode 6", "ExtINT")
_MASKED: Final = 1 << 16
_LVT: Final = (
    (0x320, "timer"), (0x330, "thermal"), (0x340, "counters"), (0x350, "LINT0"),
    (0x360, "LINT1"), (0x370, "error"),
)  # fmt: skip
_TIMER_MODES: Final = ("one shot", "periodic", "TSC deadline", "mode 3")
_LAPIC_SIZE: Final = 0x400


def controller_registers(structure: Structure, vcpus: int) -> tuple[DeviceRegister, ...]:
    """All that is known of the kernel's PICs, IOAPIC, timer and local APICs."""
    found: list[DeviceRegister] = []
    for number, first in enumerate((0, 8)):
        if chip := structure(f"IRQCHIP {number}", -1):
            found += _pic(f"pic {number + 1}", chip[_CHIP:], first)
    if chip := structure("IRQCHIP 2", -1):
        found += _ioapic(chip[_CHIP:])
    if state := structure("PIT2", -1):
        found += _pit(state)
    for vcpu in range(vcpus):
        page = structure("LAPIC", vcpu)
        if page is not None and len(page) >= _LAPIC_SIZE:
            found += _lapic("lapic" if vcpus == 1 else f"lapic {vcpu}", page)
    return tuple(found)


def event_registers(
    counts: Iterable[EventCount], lines: Iterable[IrqLine]
) -> tuple[DeviceRegister, ...]:
    """How often ioeventfds were written to, and interrupts raised by irqfds."""
    found = [
        DeviceRegister(
            "ioeventfd", f"{'port' if one.port else 'mmio'} {one.address:x}", str(one.count),
            "writes that stopped no VCPU",
        )
        for one in counts
    ]  # fmt: skip
    found += [
        DeviceRegister("irqfd", f"IRQ {line.irq}", str(line.raised), "times raised by its device")
        for line in lines
    ]
    return tuple(found)


def _pic(device: str, chip: bytes, first: int) -> Iterator[DeviceRegister]:
    _, requests, mask, served, _, base = chip[:6]
    yield DeviceRegister(device, "base", f"{base:02x}", f"IRQ {first} is vector 0x{base:x}")
    for name, value, words in (
        ("mask", mask, "held back"), ("requests", requests, "wait to be served"),
        ("served", served, "are being served"),
    ):  # fmt: skip
        which = " ".join(str(first + bit) for bit in range(8) if value >> bit & 1) or "none"
        yield DeviceRegister(device, name, f"{value:02x}", f"{which}: {words}")


def _ioapic(chip: bytes) -> Iterator[DeviceRegister]:
    base, _, number, requests = struct.unpack_from("<QIII", chip)
    yield DeviceRegister("ioapic", "id", f"{number:x}", f"at {base:x}")
    which = " ".join(str(pin) for pin in range(_PINS) if requests >> pin & 1) or "none"
    yield DeviceRegister("ioapic", "requests", f"{requests:06x}", f"{which}: wait to be delivered")
    entries = struct.unpack_from(f"<{_PINS}Q", chip, 24)
    open_pins = [(pin, entry) for pin, entry in enumerate(entries) if not entry & _MASKED]
    if not open_pins:
        yield DeviceRegister("ioapic", "pins", "-", f"all {_PINS} are masked")
    for pin, entry in open_pins:
        mode = "level" if entry >> 15 & 1 else "edge"
        whom = f"{'logical' if entry >> 11 & 1 else 'APIC'} {entry >> 56:x}"
        yield DeviceRegister(
            "ioapic", f"pin {pin}", f"{entry:016x}",
            f"vector 0x{entry & 0xFF:x} {_DELIVERY[entry >> 8 & 7]} {mode} to {whom}",
        )  # fmt: skip


def _pit(state: bytes) -> Iterator[DeviceRegister]:
    for number, use in enumerate(_CHANNELS):
        count, *fields = _CHANNEL.unpack_from(state, number * _CHANNEL.size)
        mode, gate = fields[8], fields[10]
        if mode == _NOT_SET:
            yield DeviceRegister("pit", f"counter {number}", "-", f"not set yet, {use}")
            continue
        rate = f"{_TIMER_HZ / count:,.1f} Hz" if count else "not loaded"
        closed = "" if gate else ", gate closed"
        yield DeviceRegister(
            "pit", f"counter {number}", f"{count:x}", f"mode {mode}, {rate}, {use}{closed}"
        )


def _lapic(device: str, page: bytes) -> Iterator[DeviceRegister]:
    def register(offset: int) -> int:
        return int.from_bytes(page[offset : offset + 4], "little")

    on = "enabled" if register(0xF0) >> 8 & 1 else "disabled by software"
    vector = register(0xF0) & 0xFF
    yield DeviceRegister(device, "id", f"{register(0x20) >> 24:x}", f"{on}, spurious 0x{vector:x}")
    yield DeviceRegister(
        device, "priority", f"{register(0x80):02x}", f"processor {register(0xA0):02x}"
    )
    for name, offset, words in (
        ("requests", 0x200, "wait to be served"), ("served", 0x100, "are being served"),
    ):  # fmt: skip
        vectors = [
            word * 32 + bit
            for word in range(8)
            for bit in range(32)
            if register(offset + 16 * word) >> bit & 1
        ]
        which = " ".join(f"{one:x}" for one in vectors) or "none"
        yield DeviceRegister(device, name, str(len(vectors)), f"{which}: {words}")
    for offset, name in _LVT:
        entry = register(offset)
        masked = ", masked" if entry & _MASKED else ""
        kind = _TIMER_MODES[entry >> 17 & 3] if name == "timer" else _DELIVERY[entry >> 8 & 7]
        yield DeviceRegister(
            device, name, f"{entry:08x}", f"vector 0x{entry & 0xFF:x} {kind}{masked}"
        )
    initial, current = register(0x380), register(0x390)
    yield DeviceRegister(device, "count", f"{current:x}", f"of {initial:x}")
