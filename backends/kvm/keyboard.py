"""The keyboard of a PC behind its controller, an Intel 8042; it also resets the machine.

Source: IBM PC/AT technical reference, sections 1 (keyboard controller) and 4 (keyboard).
What was typed waits here without limit, for whoever asks first: the guest that reads the
controller's ports, or the BIOS's int 16h.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from kdash.backends.kvm.device_state import State, restore_fields, save_fields
from kdash.backends.kvm.keys import Key

DATA_PORT: Final = 0x60
STATUS_PORT: Final = 0x64
KEYBOARD_PORTS: Final = (range(0x60, 0x61), range(0x64, 0x65))
KEYBOARD_IRQ: Final = 1

# Status bits.
_FULL: Final = 0x01  # the output buffer: a byte to be read
_SYSTEM: Final = 0x04  # the self test was passed
_COMMAND: Final = 0x08  # the last write was a command
_UNLOCKED: Final = 0x10
# Command byte bits.
_INTERRUPT: Final = 0x01
_DISABLED: Final = 0x10
_TRANSLATES: Final = 0x40
#: As a BIOS leaves it: interrupt on, system flag, codes translated to set 1.
_INITIAL: Final = _INTERRUPT | _SYSTEM | _TRANSLATES
#: Output port: no reset, the A20 gate open, nothing pending.
_OUTPUT: Final = 0xC3
_NO_RESET: Final = 0x01

_ACKNOWLEDGE: Final = 0xFA
_PASSED: Final = 0xAA  # of the keyboard's test
_RESEND: Final = 0xFE
_IDENTITY: Final = (0xAB, 0x41)  # translated to set 1
#: Commands to the keyboard that a byte follows: LEDs, code set, rate.
_WITH_BYTE: Final = (0xED, 0xF0, 0xF3)
_ENABLE, _DISABLE, _DEFAULTS, _RESET, _ECHO, _IDENTIFY = 0xF4, 0xF5, 0xF6, 0xFF, 0xEE, 0xF2
#: Commands to the controller that a byte to the data port follows.
_WRITE_COMMAND_BYTE, _WRITE_OUTPUT, _WRITE_ANSWER = 0x60, 0xD1, 0xD2
_PULSE: Final = 0xF0  # and up: pulses the output lines whose bits are 0

_STATE: Final = (
    "reset", "_taken", "_codes", "_answers", "_latest", "_command_byte", "_output", "_status",
    "_scans", "_expects", "_keyboard_expects",
)  # fmt: skip


class KeyboardController:
    """The controller with its keyboard.

    Args:
        interrupt: told of every change of the interrupt line; None: the guest must poll.
    """

    posted = False
    mmio: Sequence[range] = ()
    ports: Sequence[range] = KEYBOARD_PORTS

    def __init__(self, interrupt: Callable[[bool], None] | None = None) -> None:
        self.reset = False  # asked for
        self._interrupt = interrupt
        self._line = False
        self._keys: list[Key] = []  # all that were pressed
        self._taken = 0  # of them
        self._codes: deque[int] = deque()  # of a key being read by its codes
        self._answers: deque[int] = deque()  # to commands
        self._latest = 0  # read once more where nothing new came
        self._command_byte = _INITIAL
        self._output = _OUTPUT
        self._status = _SYSTEM | _UNLOCKED
        self._scans = True
        self._expects = 0  # the command whose byte comes next at the data port
        self._keyboard_expects = False

    # -- the person's side

    def press(self, keys: Iterable[Key]) -> None:
        """Type."""
        self._keys += keys
        self._update()

    @property
    def given(self) -> tuple[Key, ...]:
        """All keys that were ever pressed."""
        return tuple(self._keys)

    def peek(self) -> Key | None:
        """The next key, left where it is."""
        return self._keys[self._taken] if self._taken < len(self._keys) else None

    def take(self) -> Key | None:
        """The next key, as a BIOS takes it."""
        self._codes.clear()
        key = self.peek()
        self._taken += key is not None
        self._update()
        return key

    def forget(self) -> None:
        """Drop what is typed ahead."""
        self._taken = len(self._keys)
        self._codes.clear()
        self._update()

    def save(self) -> State:
        """Its registers, and how many of the keys were taken."""
        return save_fields(self, _STATE)

    def restore(self, state: State) -> None:
        """Go back; keys that were taken later wait again."""
        restore_fields(self, _STATE, state)
        self._update()

    # -- the guest's side

    def read(self, address: int, size: int) -> int:  # noqa: ARG002 - a byte wide
        """The status, or the next byte."""
        if address == STATUS_PORT:
            return self._status | (_FULL if self._ready else 0)
        if self._ready:
            self._latest = (self._answers or self._next_codes()).popleft()
            self._lower()
            self._update()
        return self._latest

    def write(self, address: int, size: int, data: bytes) -> None:
        """Take commands to the controller, or bytes for it or for the keyboard."""
        for value in data[::size]:
            if address == STATUS_PORT:
                self._status |= _COMMAND
                self._command(value)
            else:
                self._status &= ~_COMMAND
                self._data(value)
        self._update()

    @property
    def interrupts(self) -> bool:
        """Whether a key would interrupt, as far as the controller is concerned."""
        wanted = self._command_byte & (_INTERRUPT | _DISABLED) == _INTERRUPT
        return wanted and self._interrupt is not None

    @property
    def _ready(self) -> bool:
        if self._answers:
            return True
        if not self._scans or self._command_byte & _DISABLED:
            return False
        # Looking takes no key away from who asks the BIOS.
        waiting = range(self._taken, len(self._keys))
        return bool(self._codes) or any(self._keys[place].scan for place in waiting)

    def _next_codes(self) -> deque[int]:
        while not self._codes and (key := self.peek()):
            self._taken += 1
            self._codes += key.codes
        return self._codes

    def _command(self, command: int) -> None:
        self._expects = 0
        match command:
            case 0x20:
                self._answers.append(self._command_byte)
            case 0x60 | 0xD1 | 0xD2:
                self._expects = command
            case 0xAA:
                self._answers.append(0x55)
            case 0xAB:
                self._answers.append(0)
            case 0xAD:
                self._command_byte |= _DISABLED
            case 0xAE:
                self._command_byte &= ~_DISABLED
            case 0xC0:
                self._answers.append(0x80)  # the input port: not locked
            case 0xD0:
                self._answers.append(self._output)
            case _ if command >= _PULSE and not command & _NO_RESET:
                self.reset = True

    def _data(self, value: int) -> None:
        expects, self._expects = self._expects, 0
        match expects:
            case 0x60:
                self._command_byte = value
            case 0xD1:
                self._output = value
                self.reset = self.reset or not value & _NO_RESET
            case 0xD2:
                self._answers.append(value)
            case _:
                self._to_keyboard(value)

    def _to_keyboard(self, value: int) -> None:
        if self._keyboard_expects:
            self._keyboard_expects = False
            self._answers.append(_ACKNOWLEDGE)
            return
        answers: tuple[int, ...] = (_ACKNOWLEDGE,)
        if value in _WITH_BYTE:
            self._keyboard_expects = True
        elif value in (_ENABLE, _DISABLE, _DEFAULTS):
            self._scans = value != _DISABLE
        elif value == _RESET:
            self._scans = True
            answers = (_ACKNOWLEDGE, _PASSED)
        elif value == _ECHO:
            answers = (_ECHO,)
        elif value == _IDENTIFY:
            answers = (_ACKNOWLEDGE, *_IDENTITY)
        else:
            answers = (_RESEND,)
        self._answers += answers

    # -- the interrupt line

    @property
    def interrupting(self) -> bool:
        """Whether a byte waits that interrupts."""
        return self._ready and bool(self._command_byte & _INTERRUPT)

    def _update(self) -> None:
        if self._interrupt is None:
            return
        wanted = self.interrupting
        if wanted != self._line:
            self._line = wanted
            self._interrupt(wanted)

    def _lower(self) -> None:
        """Each byte is an edge of its own."""
        if self._line and self._interrupt is not None:
            self._line = False
            self._interrupt(False)
