"""The arguments of packets, taken apart strictly: what comes is not to be trusted."""

from __future__ import annotations

from typing import Final

#: Digits of a number in a packet: 64 bits.
_DIGITS: Final = 16
#: Seconds the VCPU's thread is waited for; a device of the user may hold it up.
PATIENCE: Final = 5.0
_CONSOLE: Final = 1024  # characters in one O packet


class MalformedError(Exception):
    """A packet whose arguments make no sense."""


def number(digits: bytes) -> int:
    """A number of hexadecimal digits, at most 64 bits.

    Raises:
        MalformedError: when it is something else.
    """
    if not 1 <= len(digits) <= _DIGITS or not digits.isalnum():
        raise MalformedError
    try:
        return int(digits, 16)
    except ValueError:
        raise MalformedError from None


def pair(arguments: bytes) -> tuple[int, int]:
    """Two numbers with a comma between.

    Raises:
        MalformedError: when it is something else.
    """
    first, _, second = arguments.partition(b",")
    return number(first), number(second)


def octets(digits: bytes, length: int | None = None) -> bytes:
    """Bytes from two digits each.

    Raises:
        MalformedError: when they are something else, or not `length` bytes.
    """
    try:
        data = bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        raise MalformedError from None
    if length is not None and len(data) != length:
        raise MalformedError
    return data


def console(text: str) -> list[bytes]:
    """O packets with `text`, which gdb prints."""
    return [
        b"O" + text[at : at + _CONSOLE].encode().hex().encode()
        for at in range(0, len(text), _CONSOLE)
    ]
