"""What the devices of a machine hold, in the field's own terms, from their saved state.

The saved state (board.py, `Board.save`) is what a recording keeps at each moment, so that one
reading serves a guest that lives and its past alike. Ports and bits: PC16550D data sheet;
Intel 8259A, 8254 and 8042 data sheets; MC146818 data sheet; QEMU docs/specs/fw_cfg.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kdash.backends.kvm.state_facts import DeviceRegister

_UART_CLOCK: Final = 115_200  # baud at divisor 1
_TIMER_HZ: Final = 1_193_182
_INTERRUPTS: Final = ((0, "received"), (1, "empty"), (2, "line"), (3, "modem"))
_MODEM: Final = ((0, "DTR"), (1, "RTS"), (2, "OUT1"), (3, "OUT2"), (4, "loop"))
_PARITY: Final = ("N", "O", "N", "E", "N", "M", "N", "S")
_KEYBOARD: Final = ((0, "output full"), (1, "input full"), (2, "self-test passed"))
_CHANNELS: Final = ("IRQ 0", "refresh", "speaker")
_BASE_MEMORY, _EXTENDED, _ABOVE_16M = 0x15, 0x30, 0x34  # CMOS: KiB, KiB, 64 KiB; low byte first

State = Mapping[str, Any]


def device_registers(state: State) -> tuple[DeviceRegister, ...]:
    """All that is known of the devices in a saved state; what makes no sense is left out."""
    found: list[DeviceRegister] = []
    for name, read in _READERS.items():
        if isinstance(saved := state.get(name), Mapping):
            try:
                found += read(saved)
            except (LookupError, TypeError, ValueError):
                continue  # of a file that somebody made
    return tuple(found)


def _bits(names: Sequence[tuple[int, str]], value: int) -> str:
    return " ".join(name for bit, name in names if value >> bit & 1) or "none"


def _serial(state: State) -> Iterator[DeviceRegister]:
    device = "serial"
    divisor = state["_divisor"][0] | state["_divisor"][1] << 8
    control = state["_line_control"]
    baud = f"{_UART_CLOCK // divisor} baud" if divisor else "no rate"
    frame = f"{5 + (control & 3)}{_PARITY[control >> 3 & 7]}{2 if control & 4 else 1}"
    yield DeviceRegister(device, "line", f"{control:02x}", f"{baud}, {frame}, ports 0x3f8-0x3ff")
    yield DeviceRegister(device, "interrupts", f"{state['_enabled']:02x}",
                         _bits(_INTERRUPTS, state["_enabled"]))  # fmt: skip
    yield DeviceRegister(device, "modem", f"{state['_modem_control']:02x}",
                         _bits(_MODEM, state["_modem_control"]))  # fmt: skip
    waiting = len(state["_received"])
    fifo = "FIFO on" if state["_fifo"] else "FIFO off"
    yield DeviceRegister(device, "received", str(waiting), f"bytes wait for the guest, {fifo}")
    yield DeviceRegister(device, "sent", str(state["sent"]), "bytes by the guest so far")


def _sent(device: str, where: str) -> Any:
    def read(state: State) -> Iterator[DeviceRegister]:
        yield DeviceRegister(device, "sent", str(state["sent"]), f"bytes by the guest, {where}")

    return read


def _exit_port(state: State) -> Iterator[DeviceRegister]:
    value = state["value"]
    shown = "-" if value is None else f"{value:x}"
    yield DeviceRegister("exit", "value", shown, "a write to port 0xf4 ends the guest")


def _keyboard(state: State) -> Iterator[DeviceRegister]:
    device = "i8042"
    status = state["_status"]
    yield DeviceRegister(
        device, "status", f"{status:02x}", f"{_bits(_KEYBOARD, status)}, port 0x64"
    )
    command = state["_command_byte"]
    irq = "IRQ 1 on" if command & 1 else "IRQ 1 off"
    yield DeviceRegister(device, "command", f"{command:02x}", irq)
    waiting = len(state["_codes"]) + len(state["_answers"])
    yield DeviceRegister(device, "waiting", str(waiting), "scan codes and answers, port 0x60")


def _cmos(state: State) -> Iterator[DeviceRegister]:
    data = state["_bytes"]
    yield DeviceRegister("cmos", "index", f"{state['_index']:02x}", "ports 0x70, 0x71")
    for name, at, unit in (
        ("base", _BASE_MEMORY, 1), ("extended", _EXTENDED, 1), ("above 16M", _ABOVE_16M, 64),
    ):  # fmt: skip
        size = (data[at] | data[at + 1] << 8) * unit
        yield DeviceRegister("cmos", name, f"{data[at + 1]:02x}{data[at]:02x}",
                             f"{size:,} KiB of memory")  # fmt: skip


def _configuration(state: State) -> Iterator[DeviceRegister]:
    length, place = len(state["_item"]), state["_place"]
    yield DeviceRegister(
        "fw_cfg", "item", str(place), f"of {length} bytes read, ports 0x510, 0x511"
    )


def _timer(state: State) -> Iterator[DeviceRegister]:
    for number, channel in enumerate(state["counters"]):
        reload = channel["reload"]
        rate = f"{_TIMER_HZ / reload:,.1f} Hz" if reload else "not loaded"
        use = _CHANNELS[number] + ("" if channel["gate"] else ", gate closed")
        yield DeviceRegister("pit", f"counter {number}", f"{reload:x}",
                             f"mode {channel['mode']}, {rate}, {use}")  # fmt: skip


def _pic(state: State) -> Iterator[DeviceRegister]:
    device = "8259a"
    base = state["_base"]
    yield DeviceRegister(
        device, "base", f"{base:02x}", f"IRQ 0 is vector 0x{base:x}, ports 0x20, 0x21"
    )
    for name, key, words in (
        ("mask", "_mask", "interrupts held back"), ("requests", "_requests", "wait to be served"),
        ("served", "_served", "are being served"), ("lines", "_lines", "raised by devices"),
    ):  # fmt: skip
        value = state[key]
        which = " ".join(str(bit) for bit in range(8) if value >> bit & 1) or "none"
        yield DeviceRegister(device, name, f"{value:02x}", f"{which}: {words}")


def _bios(state: State) -> Iterator[DeviceRegister]:
    waits = "waits for a key (int 16h)" if state["awaits_key"] else "no key is waited for"
    yield DeviceRegister("bios", "printed", str(state["sent"]), f"characters by int 10h; {waits}")


def _log(state: State) -> Iterator[DeviceRegister]:
    for port, read, written in state["ports"]:
        yield DeviceRegister("bus", f"port {port:x}", str(read + written),
                             f"{read} reads, {written} writes so far")  # fmt: skip
    read, written = state["mmio"]
    yield DeviceRegister(
        "bus", "mmio", str(read + written), f"{read} reads, {written} writes so far"
    )


_READERS: Final = {
    "serial": _serial,
    "debug_port": _sent("debug", "ports 0xe9, 0x402"),
    "exit_port": _exit_port,
    "keyboard": _keyboard,
    "cmos": _cmos,
    "configuration": _configuration,
    "timer": _timer,
    "pic": _pic,
    "bios": _bios,
    "log": _log,
}
