"""Framing of the GDB remote serial protocol: packets, acknowledgements, interrupts.

Source: the GDB manual, appendix E "Remote Protocol", sections "Overview" and "Packet
Acknowledgment".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

#: Bytes of a packet's contents, told to gdb as PacketSize and held against what it sends.
PACKET_SIZE: Final = 0x4000
#: The byte that interrupts, sent outside of packets.
INTERRUPT: Final = 0x03

_ESCAPED: Final = frozenset(b"#$}*")
#: What is added to a count of repeats, so that the smallest, 3, is a space.
_REPEAT: Final = 29
#: A byte and the repeats that are worth a count and have a printable one: 3 to 126 - 29.
_RUN: Final = re.compile(rb"(.)\1{3,97}", re.DOTALL)
#: Counts that would print as '#', '$', '+' or '-', and the next smaller one that does not.
_UNPRINTABLE: Final = {6: 5, 7: 5, 14: 13, 16: 15}


class Sign(Enum):
    """What arrives beside packets."""

    ACK = auto()
    NACK = auto()
    INTERRUPT = auto()
    BROKEN = auto()  # a packet whose checksum does not fit its contents


@dataclass(frozen=True, slots=True)
class Packet:
    """The contents of one packet, escapes undone."""

    data: bytes


class PacketTooLongError(Exception):
    """A packet with more contents than were announced; what follows can't be trusted."""


class PacketReader:
    """Takes a stream of bytes apart; what is outside of packets and no sign is passed over."""

    def __init__(self) -> None:
        self._contents = bytearray()
        self._checksum = b""
        self._state = self._outside
        self._found: list[Packet | Sign] = []

    def feed(self, data: bytes) -> list[Packet | Sign]:
        """What `data` completes, in order.

        Raises:
            PacketTooLongError: when a packet exceeds PACKET_SIZE.
        """
        for byte in data:
            self._state(byte)
        found, self._found = self._found, []
        return found

    def _outside(self, byte: int) -> None:
        if byte == ord("$"):
            self._begin()
        elif byte == ord("+"):
            self._found.append(Sign.ACK)
        elif byte == ord("-"):
            self._found.append(Sign.NACK)
        elif byte == INTERRUPT:
            self._found.append(Sign.INTERRUPT)

    def _begin(self) -> None:
        self._contents.clear()
        self._checksum = b""
        self._state = self._inside

    def _inside(self, byte: int) -> None:
        if byte == ord("#"):
            self._state = self._behind
        elif byte == ord("$"):  # never inside: the packet before was cut off
            self._begin()
        elif len(self._contents) == PACKET_SIZE:
            raise PacketTooLongError
        else:
            self._contents.append(byte)

    def _behind(self, byte: int) -> None:
        self._checksum += bytes((byte,))
        if len(self._checksum) < 2:
            return
        self._state = self._outside
        contents = bytes(self._contents)
        if self._checksum.lower() == checksum(contents):
            self._found.append(Packet(unescape(contents)))
        else:
            self._found.append(Sign.BROKEN)


def checksum(contents: bytes) -> bytes:
    """Two hexadecimal digits: the sum of the bytes modulo 256."""
    return b"%02x" % (sum(contents) & 0xFF)


def frame(data: bytes) -> bytes:
    """A packet with `data`, escaped and its runs shortened."""
    contents = shorten(escape(data))
    return b"$%s#%s" % (contents, checksum(contents))


def escape(data: bytes) -> bytes:
    """Each of # $ } * as } and the byte with bit 5 turned."""
    if not _ESCAPED.intersection(data):
        return data
    return b"".join(
        bytes((ord("}"), byte ^ 0x20)) if byte in _ESCAPED else bytes((byte,)) for byte in data
    )


def unescape(contents: bytes) -> bytes:
    """The reverse of `escape`; an escape at the very end is dropped."""
    if b"}" not in contents:
        return contents
    data = bytearray()
    escaped = False
    for byte in contents:
        if byte == ord("}") and not escaped:
            escaped = True
            continue
        data.append(byte ^ 0x20 if escaped else byte)
        escaped = False
    return bytes(data)


def shorten(contents: bytes) -> bytes:
    """Runs as a byte, * and how often it repeats, plus 29; gdb undoes it before escapes."""
    return _RUN.sub(_shortened, contents)


def _shortened(run: re.Match[bytes]) -> bytes:
    repeats = len(run[0]) - 1
    told = _UNPRINTABLE.get(repeats, repeats)
    return run[1] + bytes((ord("*"), told + _REPEAT)) + run[1] * (repeats - told)
