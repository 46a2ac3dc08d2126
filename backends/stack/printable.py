"""Text from a file made safe to show: nothing in it is obeyed by a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Replace control characters, lone surrogates and other unprintables by their escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is no UTF-8, kept by surrogateescape
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
