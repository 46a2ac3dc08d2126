"""Numbers in vector and x87 registers as text."""

from __future__ import annotations

import math
import struct
from decimal import Context, Decimal

# As typed and shown: bytes an element, struct code; hexadecimal where the code is a capital.
TYPES = {
    "u8": (1, "B"), "u16": (2, "H"), "u32": (4, "I"), "u64": (8, "Q"),
    "f32": (4, "f"), "f64": (8, "d"),
}  # fmt: skip

_EXACT = Context(prec=64, Emax=999_999, Emin=-999_999)
_SHOWN = Context(prec=19, Emax=999_999, Emin=-999_999)  # digits of a 64-bit significand


def elements(data: bytes, form: str) -> tuple[str, ...]:
    """The elements of a register, the lowest first, in one of TYPES."""
    size, code = TYPES[form]
    values = struct.unpack(f"<{len(data) // size}{code}", data)
    if code == "d":
        return tuple(map(repr, values))
    if code == "f":
        return tuple(_single(value) for value in values)
    return tuple(f"{value:0{2 * size}x}" for value in values)


def _single(value: float) -> str:
    """The fewest digits that make the same single-precision number."""
    if not math.isfinite(value):
        return repr(value)
    for digits in range(6, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == struct.pack("<f", value):
            return text if any(mark in text for mark in ".e") else f"{text}.0"
    return repr(value)


def x87(data: bytes) -> str:
    """An 80-bit number (Intel SDM vol. 1, 4.2 and table 4-3)."""
    significand = int.from_bytes(data[:8], "little")
    top = int.from_bytes(data[8:10], "little")
    sign, exponent = "-" if top >> 15 else "", top & 0x7FFF
    if exponent == 0x7FFF:
        if significand == 1 << 63:
            return f"{sign}inf"
        quiet = significand >> 62 == 3
        if significand >> 63 == 0:
            return "invalid"
        if quiet and not significand << 2 & (1 << 64) - 1 and sign:
            return "nan (indefinite)"
        return f"{sign}nan" if quiet else f"{sign}nan (signalling)"
    if significand == 0 and exponent == 0:
        return f"{sign}0"
    if exponent and not significand >> 63:
        return "invalid"  # an unnormal: no instruction makes one
    scale = max(exponent, 1) - 16383 - 63
    value = _EXACT.multiply(Decimal(significand), _EXACT.power(Decimal(2), Decimal(scale)))
    return sign + _digits(value)


def _digits(value: Decimal) -> str:
    """Decimal digits, in scientific notation where the number is far from 1."""
    rounded = _SHOWN.plus(value).normalize(_SHOWN)
    if -6 <= rounded.adjusted() < 19:
        return f"{rounded:f}"
    return str(rounded).lower()
