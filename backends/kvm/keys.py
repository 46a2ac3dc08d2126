"""What is typed, as a PC's keyboard with the US layout would say it.

Sources: IBM PC/AT technical reference, section 4 (scan codes, set 1); Ralf Brown's Interrupt
List, release 61, INT 16 (codes of the BIOS); ECMA-48 and xterm's ctlseqs (what terminals send
for keys without a character).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SHIFT: Final = 0x2A
_CTRL: Final = 0x1D
_RELEASED: Final = 0x80
_EXTENDED: Final = 0xE0

#: Rows of the keyboard: first scan code, characters, characters with shift.
_ROWS: Final = (
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (0x39, " ", " "),
)
#: Keys by escape sequence, without ESC: scan code, whether it is an extended key.
_SEQUENCES: Final = {
    **{f"{introducer}{letter}": (scan, True) for introducer in "[O" for letter, scan in
       zip("ABCDHF", (0x48, 0x50, 0x4D, 0x4B, 0x47, 0x4F), strict=True)},
    **{f"[{number}~": (scan, True) for number, scan in
       zip((1, 2, 3, 4, 5, 6), (0x47, 0x52, 0x53, 0x4F, 0x49, 0x51), strict=True)},
    **{f"O{letter}": (scan, False) for scan, letter in enumerate("PQRS", 0x3B)},
    **{f"[{number}~": (scan, False) for scan, number in
       enumerate((11, 12, 13, 14, 15, 17, 18, 19, 20, 21), 0x3B)},
    "[23~": (0x57, False),
    "[24~": (0x58, False),
}  # fmt: skip
_LONGEST: Final = max(map(len, _SEQUENCES))
#: F11 and F12 have codes of their own with the BIOS.
_BIOS_SCAN: Final = {0x57: 0x85, 0x58: 0x86}


@dataclass(frozen=True, slots=True)
class Key:
    """One key pressed and released, with shift or ctrl where its character needs it."""

    scan: int  # set 1, without prefix; 0: a character no key has
    character: int = 0  # code page 437; 0: none
    shift: bool = False
    ctrl: bool = False
    extended: bool = False  # one of the grey keys

    @property
    def word(self) -> int:
        """What the BIOS's function 0x10 tells: scan code and character."""
        character = _EXTENDED if self.extended else self.character
        return _BIOS_SCAN.get(self.scan, self.scan) << 8 | character

    @property
    def plain_word(self) -> int:
        """What function 0x00 tells, made for keyboards without grey keys."""
        return _BIOS_SCAN.get(self.scan, self.scan) << 8 | self.character

    @property
    def codes(self) -> bytes:
        """What the keyboard sends: make and break codes."""
        if not self.scan:
            return b""
        modifier = _SHIFT if self.shift else _CTRL if self.ctrl else 0
        prefix = (_EXTENDED,) if self.extended else ()
        codes = (*prefix, self.scan, *prefix, self.scan | _RELEASED)
        if modifier:
            codes = (modifier, *codes, modifier | _RELEASED)
        return bytes(codes)


def _characters() -> dict[str, Key]:
    found = {
        "\r": Key(0x1C, 0x0D), "\n": Key(0x1C, 0x0D), "\t": Key(0x0F, 0x09),
        "\b": Key(0x0E, 0x08), "\x7f": Key(0x0E, 0x08), "\x1b": Key(0x01, 0x1B),
    }  # fmt: skip
    for first, plain, shifted in _ROWS:
        for scan, characters in enumerate(zip(plain, shifted, strict=True), first):
            for character, shift in zip(characters, (False, True), strict=True):
                found.setdefault(character, Key(scan, ord(character), shift))
                if not shift and (character.isalpha() or character in "[\\]"):
                    control = ord(character) & 0x1F
                    found.setdefault(chr(control), Key(scan, control, ctrl=True))
    return found


_CHARACTERS: Final = _characters()


def keys_of(data: bytes) -> list[Key]:
    """The keys that make a terminal send these bytes; what no key makes is left out.

    Characters beyond ASCII (UTF-8) come without scan codes, where code page 437 has them.
    """
    text = data.decode("utf-8", "ignore")
    found: list[Key] = []
    at = 0
    while at < len(text):
        length = _sequence(text, at + 1) if text[at] == "\x1b" else 0
        if length:
            scan, extended = _SEQUENCES[text[at + 1 : at + 1 + length]]
            found.append(Key(scan, extended=extended))
        else:
            found += _key(text[at])
        at += 1 + length
    return found


def _sequence(text: str, at: int) -> int:
    """The length of the escape sequence whose ESC is right before `at`; 0: none we know."""
    for length in range(2, _LONGEST + 1):
        if text[at : at + length] in _SEQUENCES:
            return length
    return 0


def _key(character: str) -> list[Key]:
    key = _CHARACTERS.get(character)
    if key is None:
        code = character.encode("cp437", "ignore")
        return [Key(0, code[0])] if code and code[0] >= 0x80 else []
    return [key]
