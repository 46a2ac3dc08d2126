"""Conditions of stop points: a small language of expressions with a parser of its own.

Precedence is that of C, from the weakest: `||`, `&&`, `|`, `^`, `&`, `== !=`,
`< <= > >=`, `<< >>`, `+ -`, `* / %`, then `! ~ -` before a value. A value is

- a number: 20, 0x14, 14h, 0b10100, 'A';
- a register as `$rax` or `rax`, its parts (`eax`, `ax`, `al`, `ah`, `r8d`), a segment
  register's selector, a control register, `pc` for RIP;
- a symbol of the guest: its address;
- memory at a linear address: `byte [0x2000]`, `word [..]`, `dword [..]`, `qword [..]`; without
  a size as many bytes as the code at CS:IP has by default (2, 4 or 8); `[ss:bp+4]` adds the
  segment's base;
- any of these in parentheses.

Values are unsigned numbers of 64 bits: -1 is 0xffffffffffffffff and `rax < 0` never holds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kdash.backends.kvm.condition_words import ConditionError, Word, number_of, words_of
from kdash.backends.kvm.moments import Moment

MASK: Final = (1 << 64) - 1
#: Longest text taken, in characters, and deepest nesting: both guard the parser's own stack.
LONGEST: Final = 400
DEEPEST: Final = 50

SIZES: Final = {"byte": 1, "word": 2, "dword": 4, "qword": 8}
SEGMENTS: Final = ("cs", "ds", "es", "fs", "gs", "ss")
_WHOLE: Final = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp",
    *(f"r{number}" for number in range(8, 16)), "rip", "rflags",
    "cr0", "cr2", "cr3", "cr4", "cr8", "efer",
)  # fmt: skip

#: The address of a symbol; None where there is no such symbol.
Lookup = Callable[[str], int | None]


class CannotEvaluate(Exception):  # noqa: N818 - a state of the guest, not an error of ours
    """A condition without a value now: memory that is not there, a division by zero."""


Evaluate = Callable[[Moment], int]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, or any expression of the language."""

    text: str
    evaluate: Evaluate  # raises CannotEvaluate


def no_symbols(name: str) -> int | None:  # noqa: ARG001
    """The lookup of a guest without symbols."""
    return None


def parse(text: str, lookup: Lookup = no_symbols) -> Condition:
    """Read a condition.

    Raises:
        ConditionError: telling where it means nothing and what would be right.
    """
    if len(text) > LONGEST:
        raise ConditionError(f"{text[:20]}...", LONGEST, f"longer than {LONGEST} characters")
    parser = _Parser(text, lookup)
    value = parser.level(0)
    parser.end()
    return Condition(text.strip(), value)


# -- registers


def _parts() -> dict[str, tuple[str, int, int]]:
    """Names of registers and their parts: register, shift, mask."""
    found = {name: (name, 0, MASK) for name in _WHOLE}
    for letter in "abcd":
        whole = f"r{letter}x"
        found[f"e{letter}x"] = (whole, 0, 0xFFFF_FFFF)
        found[f"{letter}x"] = (whole, 0, 0xFFFF)
        found[f"{letter}l"] = (whole, 0, 0xFF)
        found[f"{letter}h"] = (whole, 8, 0xFF)
    for name in ("si", "di", "sp", "bp"):
        found[f"e{name}"] = (f"r{name}", 0, 0xFFFF_FFFF)
        found[name] = (f"r{name}", 0, 0xFFFF)
        found[f"{name}l"] = (f"r{name}", 0, 0xFF)
    for number in range(8, 16):
        for suffix, mask in (("d", 0xFFFF_FFFF), ("w", 0xFFFF), ("b", 0xFF)):
            found[f"r{number}{suffix}"] = (f"r{number}", 0, mask)
    found["eip"], found["ip"] = ("rip", 0, 0xFFFF_FFFF), ("rip", 0, 0xFFFF)
    found["pc"], found["eflags"] = ("rip", 0, MASK), ("rflags", 0, 0xFFFF_FFFF)
    return found


_PARTS: Final = _parts()


def _register(name: str) -> Evaluate | None:
    if name in SEGMENTS:
        return lambda now: int(getattr(now.registers, name).selector)
    if name not in _PARTS:
        return None
    whole, shift, mask = _PARTS[name]
    return lambda now: int(getattr(now.registers, whole)) >> shift & mask


# -- operators

_Binary = Callable[[int, int], int]


def _shift_left(left: int, right: int) -> int:
    return left << right if right < 64 else 0


def _shift_right(left: int, right: int) -> int:
    return left >> right if right < 64 else 0


def _divide(left: int, right: int) -> int:
    if not right:
        raise CannotEvaluate("division by zero")
    return left // right


def _remainder(left: int, right: int) -> int:
    if not right:
        raise CannotEvaluate("division by zero")
    return left % right


#: From the weakest; `||` and `&&` are handled apart, as they leave out what they need not.
_LEVELS: Final[tuple[dict[str, _Binary], ...]] = (
    {"|": operator.or_},
    {"^": operator.xor},
    {"&": operator.and_},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    {"<<": _shift_left, ">>": _shift_right},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _divide, "%": _remainder},
)


def _apply(function: _Binary, left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda now: int(function(left(now), right(now))) & MASK


def _either(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda now: int(bool(left(now)) or bool(right(now)))


def _both(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda now: int(bool(left(now)) and bool(right(now)))


class _Parser:
    """Recursive descent over the words of one condition."""

    def __init__(self, text: str, lookup: Lookup) -> None:
        self._text = text
        self._lookup = lookup
        self._words = words_of(text)
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> Word:
        return self._words[self._at]

    def _take(self, *signs: str) -> str:
        """The sign that comes next where it is one of these; else empty."""
        word = self._next
        if word.kind != "sign" or word.text not in signs:
            return ""
        self._at += 1
        return word.text

    def _wrong(self, wanted: str) -> ConditionError:
        word = self._next
        found = repr(word.text) if word.text else "the end"
        return ConditionError(self._text, word.place, f"{wanted} wanted, not {found}")

    def end(self) -> None:
        """Nothing may follow."""
        if self._next.kind != "end":
            raise self._wrong("an operator such as == or &&")

    def level(self, number: int) -> Evaluate:
        """An expression of operators no weaker than those of a level."""
        if number < 2:
            sign, join = (("||", _either), ("&&", _both))[number]
            value = self.level(number + 1)
            while self._take(sign):
                value = join(value, self.level(number + 1))
            return value
        if number - 2 == len(_LEVELS):
            return self._unary()
        operators = _LEVELS[number - 2]
        value = self.level(number + 1)
        while taken := self._take(*operators):
            value = _apply(operators[taken], value, self.level(number + 1))
        return value

    def _unary(self) -> Evaluate:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ConditionError(self._text, self._next.place, f"nested deeper than {DEEPEST}")
        try:
            taken = self._take("!", "-", "~")
            if not taken:
                return self._value()
            value = self._unary()
        finally:
            self._depth -= 1
        if taken == "!":
            return lambda now: int(not value(now))
        if taken == "-":
            return lambda now: -value(now) & MASK
        return lambda now: ~value(now) & MASK

    def _value(self) -> Evaluate:
        word = self._next
        if self._take("("):
            value = self.level(0)
            if not self._take(")"):
                raise self._wrong("')'")
            return value
        if word.kind == "sign" and word.text == "[":
            return self._memory(None)
        if word.kind == "number":
            self._at += 1
            return self._number(word)
        if word.kind == "name":
            self._at += 1
            return self._named(word)
        raise self._wrong("a number, a register, a symbol or [address]")

    def _number(self, word: Word) -> Evaluate:
        value = number_of(word.text)
        if value is None:
            wrong = f"{word.text!r} is no number; such as 20, 0x14 or 14h"
            raise ConditionError(self._text, word.place, wrong)
        if value > MASK:
            raise ConditionError(self._text, word.place, f"{word.text} has more than 64 bits")
        return lambda _now: value

    def _named(self, word: Word) -> Evaluate:
        name = word.text.removeprefix("$").lower()
        if name in SIZES and self._next.text == "[":
            return self._memory(SIZES[name])
        register = _register(name)
        if register is not None:
            return register
        if word.text.startswith("$"):
            raise ConditionError(self._text, word.place, f"no register {word.text!r}")
        address = self._lookup(word.text)
        if address is None:
            hexadecimal = all(digit in "0123456789abcdef" for digit in name)
            hint = f"; as a number it is 0x{word.text}" if hexadecimal else ""
            wrong = f"{word.text!r} is no register and no symbol{hint}"
            raise ConditionError(self._text, word.place, wrong)
        return lambda _now: address

    def _memory(self, size: int | None) -> Evaluate:
        if not self._take("["):
            raise self._wrong("'['")
        segment = self._segment()
        address = self.level(0)
        if not self._take("]"):
            raise self._wrong("']'")

        def read(now: Moment) -> int:
            base = getattr(now.registers, segment).base if segment else 0
            return _read(now, base + address(now), size or now.registers.code_bits // 8)

        return read

    def _segment(self) -> str:
        """The segment register in front of a colon; empty for none."""
        name = self._next.text.removeprefix("$").lower()
        if name not in SEGMENTS or self._words[self._at + 1].text != ":":
            return ""
        self._at += 2
        return name


def _read(now: Moment, linear: int, size: int) -> int:
    data = now.read(linear & MASK, size)
    if len(data) < size:
        raise CannotEvaluate(f"no memory at {linear & MASK:#x}")
    return int.from_bytes(data, "little")
