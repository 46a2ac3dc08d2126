"""Makes text from files, guests and the system safe to draw."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return `text` with every character that is not printable shown as an escape.

    Newlines stay. Control characters, escape sequences, bidirectional overrides, lone
    surrogates and bytes that are no UTF-8 become ``\x1b``, ``\u202e`` and so on, so that data
    never commands a terminal.
    """
    if text.isprintable():
        return text
    return "".join(char if char == "\n" or char.isprintable() else _escape(char) for char in text)


def one_line(text: str) -> str:
    r"""Return `text` as `printable` does, with newlines shown as ``\n`` too."""
    return printable(text).replace("\n", "\\n")


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as "surrogateescape" keeps it
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
