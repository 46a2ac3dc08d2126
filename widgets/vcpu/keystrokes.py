"""What a key sends over a serial line: the bytes of a VT100 and xterm."""

from __future__ import annotations

from typing import Final

# ECMA-48 and "XTerm Control Sequences", VT220-style function keys.
_NAMED: Final = {
    "enter": b"\r",
    "tab": b"\t",
    "shift+tab": b"\x1b[Z",
    "backspace": b"\x7f",
    "escape": b"\x1b",
    "space": b" ",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "insert": b"\x1b[2~",
    "delete": b"\x1b[3~",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    "f1": b"\x1bOP",
    "f2": b"\x1bOQ",
    "f3": b"\x1bOR",
    "f4": b"\x1bOS",
    "f5": b"\x1b[15~",
    "f6": b"\x1b[17~",
    "f7": b"\x1b[18~",
    "f8": b"\x1b[19~",
    "f9": b"\x1b[20~",
    "f10": b"\x1b[21~",
    "f11": b"\x1b[23~",
    "f12": b"\x1b[24~",
}
#: Control with a key that is no letter (ASCII: the key's code less 0x40).
_CONTROL: Final = {
    "at": 0x00, "space": 0x00, "left_square_bracket": 0x1B, "backslash": 0x1C,
    "right_square_bracket": 0x1D, "circumflex_accent": 0x1E, "underscore": 0x1F, "minus": 0x1F,
}  # fmt: skip


def serial_bytes(key: str, character: str | None) -> bytes:
    """The bytes for a key.

    Args:
        key: Textual's name of it: "a", "enter", "ctrl+c", "alt+x".
        character: What it prints, if it does.

    Returns:
        Empty for a key that a serial terminal does not have.
    """
    if key in _NAMED:
        return _NAMED[key]
    if key.startswith("ctrl+"):
        name = key.removeprefix("ctrl+")
        if len(name) == 1 and name.isascii() and name.isalpha():
            return bytes([ord(name.lower()) & 0x1F])
        return bytes([_CONTROL[name]]) if name in _CONTROL else b""
    if key.startswith("alt+"):
        plain = serial_bytes(key.removeprefix("alt+"), key[-1] if len(key) == 5 else character)
        return b"\x1b" + plain if plain else b""
    return character.encode() if character and character.isprintable() else b""


def pasted_bytes(text: str) -> bytes:
    """The bytes for a text that is pasted: a line ends as if with Enter."""
    return text.replace("\r\n", "\r").replace("\n", "\r").encode("utf-8", "replace")
