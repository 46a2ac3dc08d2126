"""The words of a condition (conditions.py): numbers, names, signs."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class ConditionError(ValueError):
    """A condition that means nothing; `place` is the character it fails at, from 0."""

    def __init__(self, text: str, place: int, wrong: str) -> None:
        super().__init__(f"condition {text!r}, character {place + 1}: {wrong}")
        self.place = place


class Word(NamedTuple):
    """A word of a condition and the character it begins at, from 0."""

    kind: str  # number, name, sign, end
    text: str
    place: int


_WORD: Final = re.compile(
    r"""\s*(?:
    (?P<number>\d[0-9A-Za-z]*|'(?:[ -&(-\[\]-~]|\\[ntr0'\\])')
    |(?P<name>\$?[A-Za-z_.][A-Za-z0-9_.$@]*)
    |(?P<sign>\|\||&&|==|!=|<=|>=|<<|>>|[-+*/%&|^~!<>()\[\]:])
    )""",
    re.VERBOSE,
)
_ESCAPES: Final = {"n": 10, "t": 9, "r": 13, "0": 0, "'": 39, "\\": 92}


def words_of(text: str) -> list[Word]:
    """The words of a condition, and the end behind them.

    Raises:
        ConditionError: at what is no word.
    """
    found, place = [], 0
    while text[place:].strip():
        matched = _WORD.match(text, place)
        if matched is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            wrong = "use == to compare" if text[start] == "=" else "means nothing here"
            raise ConditionError(text, start, f"{text[start]!r}: {wrong}")
        kind = matched.lastgroup or ""
        found.append(Word(kind, matched[kind], matched.start(kind)))
        place = matched.end()
    return [*found, Word("end", "", len(text))]


def number_of(text: str) -> int | None:
    """A number as typed: 20, 0x14, 14h, 0b10100, 'A'; None when it is none."""
    if text.startswith("'"):
        return _ESCAPES[text[2]] if text[1] == "\\" else ord(text[1])
    lowered = text.lower()
    try:
        if lowered.endswith("h") and not lowered.startswith("0x"):
            return int(lowered[:-1], 16)
        return int(lowered, 0)
    except ValueError:
        return int(text, 10) if text.isdecimal() and text.isascii() else None
