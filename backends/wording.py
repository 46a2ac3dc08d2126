"""Numbers in words, the same in every room: standard library only, no backend's knowledge."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 byte", "2 bytes", "4,096 bytes"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def factor(number: float) -> str:
    """A factor with the figures that count: "1,430", "48", "2.4", "0.36"."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
