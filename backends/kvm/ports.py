"""Names of well-known x86 I/O ports.

Sources: the IBM PC/AT technical reference (the ISA assignments), the 16550 data sheet, the
PCI Local Bus specification 3.0 (0xcf8, 0xcfc), QEMU's documentation (fw_cfg, debug ports).
"""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm.bios_layout import BIOS_PORT

_UART_WRITE = (
    "transmit",
    "interrupt enable",
    "FIFO control",
    "line control",
    "modem control",
    "line status",
    "modem status",
    "scratch",
)
_UART_READ = ("receive", "interrupt enable", "interrupt identification", *_UART_WRITE[3:])

_UARTS: Final = {0x3F8: "serial", 0x2F8: "serial 2", 0x3E8: "serial 3", 0x2E8: "serial 4"}

_SINGLE: Final = {
    0x20: "PIC 1, command",
    0x21: "PIC 1, mask",
    0xA0: "PIC 2, command",
    0xA1: "PIC 2, mask",
    0x40: "timer, channel 0",
    0x41: "timer, channel 1",
    0x42: "timer, channel 2",
    0x43: "timer, mode",
    0x60: "keyboard, data",
    0x61: "keyboard controller, port B",
    0x64: "keyboard, command and status",
    0x70: "CMOS, index and NMI mask",
    0x71: "CMOS, data",
    0x80: "POST code",
    0x92: "system control A, fast A20 and reset",
    0xB2: "APM, control",
    0xB3: "APM, status",
    BIOS_PORT: "BIOS call",
    0xE9: "debug console",
    0xF4: "exit port",
    0x402: "debug console of the BIOS",
    0x510: "fw_cfg, selector",
    0x511: "fw_cfg, data",
    0xCF9: "reset control",
    0x3F6: "disk 1, control",
    0x376: "disk 2, control",
}

_RANGES: Final = (
    (range(0x00, 0x10), "DMA 1"),
    (range(0x80, 0x90), "DMA, pages"),
    (range(0xC0, 0xE0), "DMA 2"),
    (range(0x170, 0x178), "disk 2"),
    (range(0x1F0, 0x1F8), "disk 1"),
    (range(0x378, 0x37B), "parallel port"),
    (range(0x3B0, 0x3C0), "VGA, monochrome"),
    (range(0x3C0, 0x3E0), "VGA"),
    (range(0x3F0, 0x3F8), "floppy"),
    (range(0x514, 0x51C), "fw_cfg, DMA"),
    (range(0x600, 0x680), "ACPI"),
    (range(0xCF8, 0xCFC), "PCI, configuration address"),
    (range(0xCFC, 0xD00), "PCI, configuration data"),
)


def port_name(port: int, write: bool) -> str:
    """What is usually behind `port`; empty where nothing is known of it."""
    for base, name in _UARTS.items():
        if base <= port < base + 8:
            return f"{name}, {(_UART_WRITE if write else _UART_READ)[port - base]}"
    if port in _SINGLE:
        return _SINGLE[port]
    for ports, name in _RANGES:
        if port in ports:
            return name
    return ""
