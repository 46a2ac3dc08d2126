"""Values out of somebody's JSON: each of its type, whatever stands there; standard library only."""

from __future__ import annotations

from typing import Any, Final

_LARGEST: Final = (1 << 63) - 1  # an offset or a line; what is larger means nothing
_MOST: Final = 1000  # members of an array that are looked at, where they belong to one finding
_LONGEST: Final = 1 << 16  # characters of a text that is shown


def mapping(value: object) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """`value` if it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def few(value: object) -> list[Any]:
    """`value` if it is an array, else an empty one; shortened where it is excessive."""
    return sequence(value)[:_MOST]


def text(value: object) -> str:
    """`value` if it is a string, else an empty one; shortened where it is excessive."""
    return value[:_LONGEST] if isinstance(value, str) else ""


def number(value: object, otherwise: int = 0) -> int:
    """`value` if it is an integer, also one written in hexadecimal, not negative and of 63 bits."""
    if isinstance(value, str):
        try:
            value = int(value[:32], 16) if value.startswith("0x") else None
        except ValueError:
            return otherwise
    if isinstance(value, bool) or not isinstance(value, int):
        return otherwise
    return value if 0 <= value <= _LARGEST else otherwise


def flag(value: object) -> bool | None:
    """`value` if it is true or false."""
    return value if isinstance(value, bool) else None
