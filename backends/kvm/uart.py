"""The serial port: a 16550A, on the wire of which bytes take no time.

Registers: National Semiconductor PC16550D data sheet (June 1995), section 8; the interrupt
gate on OUT2 is the IBM PC/AT's. Input waits on the host without limit and moves into the
receiver as the guest makes room, so that none of it is ever overrun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from kdash.backends.kvm.device_state import Sent, State, restore_fields, save_fields

SERIAL_PORT: Final = 0x3F8
SERIAL_IRQ: Final = 4
SERIAL_ENABLE: Final = SERIAL_PORT + 1  # IER
_FIFO: Final = 16  # bytes

# Interrupt enable (IER) bits.
_ON_DATA: Final = 0x01
_ON_EMPTY: Final = 0x02
_ON_LINE: Final = 0x04
_ON_MODEM: Final = 0x08
# Interrupt identification (IIR) values, in falling priority.
_LINE: Final = 0x06
_DATA: Final = 0x04
_EMPTY: Final = 0x02
_MODEM: Final = 0x00
_NONE: Final = 0x01
_FIFOS_ON: Final = 0xC0
# FIFO control (FCR) bits.
_ENABLE: Final = 0x01
_CLEAR_RECEIVER: Final = 0x02
# Line control (LCR): the first two registers are the divisor.
_DLAB: Final = 0x80
# Modem control (MCR) bits.
_OUT2: Final = 0x08
_LOOP: Final = 0x10
# Line status (LSR) bits.
_READY: Final = 0x01
_OVERRUN: Final = 0x02
#: Transmitter and its holding register are empty, always.
LINE_STATUS: Final = 0x60
#: Modem status (MSR): carrier, data set ready, clear to send.
_CONNECTED: Final = 0xB0

_STATE: Final = (
    "_taken", "_received", "_divisor", "_enabled", "_fifo", "_line_control", "_modem_control",
    "_scratch", "_empty", "_overrun", "_modem_delta", "_loops",
)  # fmt: skip


class Serial:
    """A 16550A with something at its other end.

    Args:
        base: the first of its eight ports.
        interrupt: told of every change of the interrupt line; None: the guest must poll.
        enabled: told when the guest enables the first interrupt and disables the last one.
    """

    posted = True
    mmio: Sequence[range] = ()

    def __init__(
        self,
        base: int = SERIAL_PORT,
        interrupt: Callable[[bool], None] | None = None,
        enabled: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.ports: Sequence[range] = (range(base, base + 8),)
        self._on_enabled = enabled
        self.sent = Sent()
        self._base = base
        self._interrupt = interrupt
        self._line = False
        self._input = bytearray()  # all there was, on the host's side
        self._taken = 0  # bytes of it that are in the receiver or were read
        self._received: deque[int] = deque()
        self._divisor = [12, 0]  # 9600 baud, as a BIOS leaves it
        self._enabled = 0  # IER
        self._fifo = False
        self._line_control = 0x03  # eight bits, no parity
        self._modem_control = 0
        self._scratch = 0
        self._empty = False  # a transmitter interrupt nobody has seen
        self._overrun = False
        self._modem_delta = 0  # MSR bits 0-3
        self._loops = False

    def receive(self, data: bytes) -> None:
        """Bytes from the other end."""
        self._input += data
        self._fill()
        self._update()

    @property
    def given(self) -> bytes:
        """All input there ever was."""
        return bytes(self._input)

    @property
    def interrupts_enabled(self) -> bool:
        """Whether the guest has enabled an interrupt."""
        return bool(self._enabled)

    @property
    def awaits_input(self) -> bool:
        """Whether input would interrupt the guest."""
        return bool(self._enabled & _ON_DATA and self._modem_control & _OUT2)

    @property
    def unread(self) -> int:
        """Bytes of input that the guest has not read."""
        return len(self._input) - self._taken + len(self._received)

    @property
    def interrupting(self) -> bool:
        """Whether the interrupt line is active."""
        return self._identification() != _NONE and bool(self._modem_control & _OUT2)

    def save(self) -> State:
        """Its registers, and how far input and output had come."""
        return save_fields(self, _STATE) | {"sent": self.sent.total}

    def restore(self, state: State) -> None:
        """Go back; input that came later is read again."""
        restore_fields(self, _STATE, state)
        self.sent.cut(state["sent"])
        self._update()

    # -- the bus

    def read(self, address: int, size: int) -> int:  # noqa: ARG002 - one register a port
        """A register."""
        offset = address - self._base
        if offset < 2 and self._line_control & _DLAB:
            return self._divisor[offset]
        match offset:
            case 0:
                return self._receiver()
            case 1:
                return self._enabled
            case 2:
                return self._acknowledge()
            case 3:
                return self._line_control
            case 4:
                return self._modem_control
            case 5:
                return self._line_status()
            case 6:
                return self._modem_status()
        return self._scratch

    def write(self, address: int, size: int, data: bytes) -> None:
        """Send the low byte of each element, or set a register to each in turn."""
        data = data[::size]
        offset = address - self._base
        if offset < 2 and self._line_control & _DLAB:
            self._divisor[offset] = data[-1]
        elif offset == 0:
            self._transmit(data)
        else:
            for value in data:
                self._set(offset, value)
            self._update()

    def _transmit(self, data: bytes) -> None:
        if self._loops:
            for value in data:
                self._loop_back(value)
        else:
            self.sent += data
        if self._enabled:
            self._empty = False  # for a moment: filled
            self._update()
            self._empty = True
            self._update()

    def _loop_back(self, value: int) -> None:
        if len(self._received) < self._room:
            self._received.append(value)
        else:
            self._overrun = True

    def _set(self, offset: int, value: int) -> None:
        match offset:
            case 1:
                self._empty = self._empty or bool(value & ~self._enabled & _ON_EMPTY)
                before, self._enabled = self._enabled, value & 0x0F
                if bool(before) != bool(self._enabled):
                    self._on_enabled(bool(self._enabled))
            case 2:
                self._control_fifo(value)
            case 3:
                self._line_control = value
            case 4:
                self._control_modem(value & 0x1F)
            case 7:
                self._scratch = value

    def _control_fifo(self, value: int) -> None:
        enable = bool(value & _ENABLE)
        # Both FIFOs are emptied when the mode changes.
        if value & _CLEAR_RECEIVER or enable != self._fifo:
            self._received.clear()
        self._fifo = enable
        self._fill()

    def _control_modem(self, value: int) -> None:
        before = self._modem_lines()
        self._modem_control = value
        self._loops = bool(value & _LOOP)
        after = self._modem_lines()
        # Delta bits; that of ring (bit 2) is for its end alone.
        self._modem_delta |= ((before ^ after) >> 4) & 0x0B | (before & ~after) >> 4 & 0x04
        self._fill()

    # -- state

    @property
    def _room(self) -> int:
        return _FIFO if self._fifo else 1

    def _fill(self) -> None:
        while (
            self._taken < len(self._input) and not self._loops and len(self._received) < self._room
        ):
            self._received.append(self._input[self._taken])
            self._taken += 1

    def _receiver(self) -> int:
        value = self._received.popleft() if self._received else 0
        self._update()  # between two bytes the line falls, for the next one's edge
        self._fill()
        self._update()
        return value

    def _line_status(self) -> int:
        status = LINE_STATUS | (_READY if self._received else 0)
        if self._overrun:
            self._overrun = False
            self._update()
            return status | _OVERRUN
        return status

    def _modem_lines(self) -> int:
        if not self._modem_control & _LOOP:
            return _CONNECTED
        control = self._modem_control  # looped: RTS is CTS, DTR DSR, OUT1 ring, OUT2 carrier
        return (control & 2) << 3 | (control & 1) << 5 | (control & 4) << 4 | (control & 8) << 4

    def _modem_status(self) -> int:
        status = self._modem_lines() | self._modem_delta
        self._modem_delta = 0
        self._update()
        return status

    def _identification(self) -> int:
        if self._enabled & _ON_LINE and self._overrun:
            return _LINE
        if self._enabled & _ON_DATA and self._received:
            return _DATA
        if self._enabled & _ON_EMPTY and self._empty:
            return _EMPTY
        if self._enabled & _ON_MODEM and self._modem_delta:
            return _MODEM
        return _NONE

    def _acknowledge(self) -> int:
        """IIR; reading it ends the transmitter's interrupt when it is the one told."""
        value = self._identification()
        if value == _EMPTY:
            self._empty = False
            self._update()
        return value | (_FIFOS_ON if self._fifo else 0)

    def _update(self) -> None:
        """Tell a change of the interrupt line."""
        if self._interrupt is not None and self.interrupting != self._line:
            self._line = not self._line
            self._interrupt(self._line)
