"""Numbers of bytes as people read them."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size_text(count: int) -> str:
    """A number of bytes in its largest unit: 12 bytes, 64 KiB, 1.4 MiB, 900 GiB."""
    if count < 1024:
        return f"{count} byte{'' if count == 1 else 's'}"
    place = min((count.bit_length() - 1) // 10, len(_UNITS))
    if round(count / (1 << 10 * place), 1) >= 1024 and place < len(_UNITS):
        place += 1
    number = f"{count / (1 << 10 * place):,.1f}".removesuffix(".0")
    return f"{number} {_UNITS[place - 1]}"
