"""The kinds of values that options of a guest take."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kdash.backends.kvm.cpuid_request import CpuidRequest

DUMP_MAXIMUM: Final = 64 << 20  # bytes one --dump prints at most
_SUFFIXES: Final = {"K": 10, "M": 20, "G": 30}


def number(text: str) -> int:
    """A number from 0 to 2**64-1, decimal or 0x...."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no number like 4096 or 0x1000")
    return value


def place(text: str) -> int | str:
    """An address, or the name of a symbol."""
    if text[:1].isdigit() or not text:
        return number(text)
    return text


def count(text: str) -> int:
    """A number from 1."""
    value = number(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 is too few; at least 1")
    return value


def size(text: str) -> int:
    """A number of bytes, with K, M or G."""
    shift = _SUFFIXES.get(text[-1:].upper(), 0)
    try:
        value = number(text[:-1] if shift else text) << shift
    except argparse.ArgumentTypeError:
        value = 0
    if value >= 1 << 48:
        raise argparse.ArgumentTypeError(f"{text!r} is more memory than a machine can have")
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size like 2M, 64K or 0x200000")
    return value


def seconds(text: str) -> float:
    """A time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def assignment(text: str) -> tuple[str, int]:
    """REG=VALUE."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not REG=VALUE, as rax=2")
    from kdash.backends.kvm.registers import check_register

    try:
        check_register(name.lower(), number(value))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name.lower(), number(value)


def cpuid_request(text: str) -> CpuidRequest:
    """host, none, or LEAF[:SUB].REG=VALUE."""
    from kdash.backends.kvm.cpuid_request import parse_request

    try:
        return parse_request(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def span(text: str) -> tuple[int, int]:
    """ADDR:LEN."""
    address, colon, length = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDR:LEN, as 0x2000:16")
    count = size(length)
    if count > DUMP_MAXIMUM:
        raise argparse.ArgumentTypeError(f"{text!r} asks for more than {DUMP_MAXIMUM >> 20} MiB")
    return number(address), count
