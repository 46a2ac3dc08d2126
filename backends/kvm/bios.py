"""BIOS services for boot sectors, asked for by a stub's OUT to a private port.

Source: Ralf Brown's Interrupt List, release 61 (functions and their registers); ACPI
specification 6.5, 15.1 (E820); IBM/MS INT 13 extensions as in the EDD specification 3.0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from kdash.backends.kvm.bios_disk import Disk, serve_disk
from kdash.backends.kvm.bios_frame import Frame, Vcpu
from kdash.backends.kvm.bios_layout import (
    BIOS_PORT,
    CONVENTIONAL_KIB,
    EQUIPMENT,
    TICKS,
    WAIT,
)
from kdash.backends.kvm.bios_text import Memory, TextConsole
from kdash.backends.kvm.bios_video import VideoServices
from kdash.backends.kvm.device_state import State
from kdash.backends.kvm.keyboard import KeyboardController
from kdash.backends.kvm.keys import Key
from kdash.backends.kvm.layout import EXTENDED, memory_map

_SMAP: Final = 0x534D4150
_UNSUPPORTED: Final = 0x86
#: Ticks of the timer a day: 1,573,040 (0x1800b0).
_TICKS_A_DAY: Final = 0x1800B0
_SECONDS_A_DAY: Final = 86400
_NAP: Final = 0.02  # seconds
#: Words a block move of int 15h takes at most.
_MOST_WORDS: Final = 0x8000


class _Machine(Protocol):
    @property
    def memory(self) -> Memory: ...
    @property
    def vcpu(self) -> Vcpu: ...


class Bios:
    """A device: the BIOS behind the stubs of bios_layout.

    Args:
        machine: its memory and the VCPU that calls.
        disk: the image it boots from; what the guest writes stays in memory.
        memory: bytes of RAM from 0.
        keyboard: where int 16h takes keys from.
        now: the clock.
    """

    posted = False
    mmio: Sequence[range] = ()
    ports: Sequence[range] = (range(BIOS_PORT, BIOS_PORT + 1),)

    def __init__(
        self,
        machine: _Machine,
        disk: bytes,
        memory: int,
        keyboard: KeyboardController,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._machine = machine
        self._memory_size = memory
        self.now = now
        self.keyboard = keyboard
        self.awaits_key = False  # the guest halts in int 16h until one is pressed
        self.disk = Disk(disk)
        self.text = TextConsole(machine.memory)
        self._wait_of: tuple[int, ...] | None = None  # who waits by int 15h
        self._wait_until = 0.0
        self._ticks = -1
        self.tick()
        self._services: dict[int, Callable[[Frame], None]] = {
            0x10: VideoServices(self.text, machine.memory).serve,
            0x11: self._equipment,
            0x12: self._conventional,
            0x13: lambda frame: serve_disk(frame, self.disk),
            0x15: self._system,
            0x16: self._keyboard,
            0x1A: self._time,
        }

    def read(self, address: int, size: int) -> int:  # noqa: ARG002
        """Nothing to read here."""
        return (1 << (8 * size)) - 1

    def write(self, address: int, size: int, data: bytes) -> None:  # noqa: ARG002
        """Serve the call whose stub the VCPU is in; any other OUT to the port does nothing."""
        frame = Frame(self._machine.vcpu, self._machine.memory)
        service = self._services.get(frame.vector) if frame.from_stub else None
        if service is None:
            return
        try:
            service(frame)
        except IndexError:  # a buffer where no memory is
            frame.fail(_UNSUPPORTED)
        frame.commit()

    def save(self) -> State:
        """Disk and printed text; the screen and the cursor are in memory."""
        return {
            "disk": self.disk.save(),
            "sent": self.text.sent.total,
            "awaits_key": self.awaits_key,
        }

    def restore(self, state: State) -> None:
        """Go back."""
        self.disk.restore(state["disk"])
        self.text.sent.cut(state["sent"])
        self.awaits_key = state["awaits_key"]

    # -- int 11h, 12h, 15h

    def _equipment(self, frame: Frame) -> None:
        frame.set16("rax", EQUIPMENT)

    def _conventional(self, frame: Frame) -> None:
        frame.set16("rax", CONVENTIONAL_KIB)

    def _system(self, frame: Frame) -> None:
        above = max(self._memory_size - EXTENDED, 0)
        function = frame.word("rax")
        if function == 0xE820:
            self._memory_map(frame)
        elif function == 0xE801:
            low, high = min(above >> 10, 15 << 10), max(above - (15 << 20), 0) >> 16
            for name, value in (("rax", low), ("rbx", high), ("rcx", low), ("rdx", high)):
                frame.set16(name, value)
            frame.carry(False)
        elif function >> 8 == 0x88:
            frame.set16("rax", min(above >> 10, 0xFFFF))
            frame.carry(False)
        elif function >> 8 == 0x24:  # the A20 gate, always open
            frame.set16("rax", 1 if function == 0x2402 else 0)
            frame.set16("rbx", 3 if function == 0x2403 else frame.word("rbx"))
            frame.carry(False)
        elif function >> 8 == 0x86:
            self._wait(frame)
        elif function >> 8 == 0x87:
            self._move_block(frame)
        else:
            frame.fail(_UNSUPPORTED)

    def _wait(self, frame: Frame) -> None:
        """CX:DX microseconds, in short naps: between two the run can be stopped."""
        length = (frame.word("rcx") << 16 | frame.word("rdx")) / 1e6
        caller, now = frame.caller, time.monotonic()
        if self._wait_of != caller:
            self._wait_of, self._wait_until = caller, now + length
        rest = self._wait_until - now
        if 0 < rest <= length + _NAP:
            time.sleep(min(rest, _NAP))
            frame.again()
            return
        self._wait_of = None
        frame.carry(False)

    def _move_block(self, frame: Frame) -> None:
        """CX words from and to the bases of the third and fourth descriptor at ES:SI."""
        table = frame.read("es", frame.word("rsi"), 0x20)
        source, target = (
            int.from_bytes(table[at + 2 : at + 5], "little") | table[at + 7] << 24
            for at in (0x10, 0x18)
        )
        words = frame.word("rcx")
        if words > _MOST_WORDS:
            frame.fail(_UNSUPPORTED)
            return
        frame.write_physical(target, frame.read_physical(source, 2 * words))
        frame.set_high("rax", 0)
        frame.carry(False)

    def _memory_map(self, frame: Frame) -> None:
        """E820: the entry that EBX counts, 20 bytes at ES:DI."""
        entries = memory_map(self._memory_size)
        number = frame.value("rbx") & 0xFFFF_FFFF
        if (
            frame.value("rdx") & 0xFFFF_FFFF != _SMAP
            or number >= len(entries)
            or frame.value("rcx") & 0xFFFF_FFFF < 20
        ):
            frame.fail(_UNSUPPORTED)
            return
        start, size, kind = entries[number]
        data = start.to_bytes(8, "little") + size.to_bytes(8, "little")
        frame.write("es", frame.word("rdi"), data + kind.to_bytes(4, "little"))
        frame.set32("rax", _SMAP)
        frame.set32("rcx", 20)
        frame.set32("rbx", number + 1 if number + 1 < len(entries) else 0)
        frame.carry(False)

    # -- int 16h, 1Ah

    def _keyboard(self, frame: Frame) -> None:
        """Who asks for a key that was not pressed yet waits in a HLT and asks again."""
        function = frame.high("rax")
        match function:
            case 0x00 | 0x10:
                key = self.keyboard.take()
                self.awaits_key = key is None
                if key is None:
                    frame.jump(WAIT)
                else:
                    frame.set16("rax", key.word if function else key.plain_word)
            case 0x01 | 0x11:
                key = self.keyboard.peek()
                frame.zero(key is None)
                if key is not None:
                    frame.set16("rax", key.word if function & 0x10 else key.plain_word)
            case 0x02:
                frame.set16("rax", frame.word("rax") & 0xFF00)
            case 0x05:  # as if typed
                self.keyboard.press([Key(frame.high("rcx"), frame.low("rcx"))])
                frame.set16("rax", frame.word("rax") & 0xFF00)
            case 0x12:
                frame.set16("rax", 0)

    def tick(self) -> None:
        """Bring the count of timer ticks in the BIOS data area up to date."""
        ticks = _ticks(self.now())
        if ticks != self._ticks:
            self._ticks = ticks
            self._machine.memory.write(TICKS, ticks.to_bytes(4, "little"))

    def _time(self, frame: Frame) -> None:
        now = self.now()
        match frame.high("rax"):
            case 0x00:
                ticks = _ticks(now)
                frame.set16("rcx", ticks >> 16)
                frame.set16("rdx", ticks & 0xFFFF)
                frame.set16("rax", 0)
            case 0x02:
                frame.set16("rcx", _bcd(now.hour) << 8 | _bcd(now.minute))
                frame.set16("rdx", _bcd(now.second) << 8)
            case 0x04:
                frame.set16("rcx", _bcd(now.year // 100) << 8 | _bcd(now.year % 100))
                frame.set16("rdx", _bcd(now.month) << 8 | _bcd(now.day))
            case 0x01 | 0x03 | 0x05:
                pass  # the clock is the host's
            case _:
                frame.carry(True)
                return
        frame.carry(False)


def _ticks(now: datetime) -> int:
    """Of the timer since midnight, 18.2 a second."""
    seconds = now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6
    return int(seconds * _TICKS_A_DAY / _SECONDS_A_DAY)


def _bcd(value: int) -> int:
    return value // 10 << 4 | value % 10
