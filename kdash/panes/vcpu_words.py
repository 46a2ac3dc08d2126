"""The command words of the VCPU pane, in gdb's words: meaning, mistakes, completion."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kdash.backends.kvm.facts import Registers
from kdash.panes import vcpu_stop_words
from kdash.panes.vcpu_stop_words import StopCommand
from kdash.panes.vcpu_vocabulary import VIEW_NAMES, WORDS
from kdash.widgets.command_words import CommandError, meant
from kdash.widgets.vcpu.arrangement import PARTS, STATE_VIEWS
from kdash.widgets.vcpu.effects import register_part
from kdash.widgets.vcpu.memory_lines import Examine

MOST_STEPS = 100_000_000
MOST_SPEED = 10_000  # steps a second of an animation
MASK = (1 << 64) - 1
MOST_BYTES = 65_536  # of one x

GENERAL = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12",
    "r13", "r14", "r15", "rip", "rflags",
)  # fmt: skip
SETTABLE = (
    *GENERAL, "cs", "ds", "es", "fs", "gs", "ss", "cr0", "cr2", "cr3", "cr4", "cr8", "efer",
)  # fmt: skip
POKES = {"char": 1, "short": 2, "int": 4, "long": 8}  # as in C on x86_64
UNITS = {"b": 1, "h": 2, "w": 4, "g": 8}
FORMS = "xduc"
VIEWS = ("all", *PARTS, *STATE_VIEWS)
_PRINT = re.compile(r"p(?:rint)?/([xduct])$")
_EXAMINE = re.compile(r"x(p?)(?:/(\d*)([a-z]*))?$")
_TERM = re.compile(r"\s*([+-]?)\s*\$?([A-Za-z0-9_.]+)")


@dataclass(frozen=True, slots=True)
class Step:
    """Do steps."""

    count: int | None  # None: the step size


@dataclass(frozen=True, slots=True)
class Simple:
    """A word without an argument: next, continue, pause, restart."""

    word: str


@dataclass(frozen=True, slots=True)
class Until:
    """Run until RIP is `ip`."""

    ip: int


@dataclass(frozen=True, slots=True)
class ListCode:
    """List the code at an address."""

    ip: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Let the memory shown follow an expression."""

    expression: str  # empty: no longer


@dataclass(frozen=True, slots=True)
class Poke:
    """Write memory."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Back:
    """Go back in the recording, or go on from where it is."""

    word: str
    count: int | None = None  # steps; None: the step size


@dataclass(frozen=True, slots=True)
class Save:
    """Write the recording, or the moment shown, to a file."""

    path: str  # as typed
    moment_only: bool = False
    over: bool = False  # replace a file that is there without a question


@dataclass(frozen=True, slots=True)
class Seek:
    """Show a moment of the recording."""

    moment: int


@dataclass(frozen=True, slots=True)
class Animate:
    """Continue slowly."""

    speed: int | None  # steps a second; None: as last time


@dataclass(frozen=True, slots=True)
class SelectVcpu:
    """Show and step another VCPU."""

    index: int


@dataclass(frozen=True, slots=True)
class Assign:
    """Set a register."""

    register: str
    value: int


@dataclass(frozen=True, slots=True)
class Print:
    """Tell the value of an expression."""

    expression: str
    form: str = ""  # x, d, u, t or c; empty: the usual ones


#: Gives the address of a symbol of the guest, None where there is none.
Lookup = Callable[[str], int | None]


def no_symbols(name: str) -> int | None:  # noqa: ARG001
    """The lookup of a guest without symbols."""
    return None


@dataclass(frozen=True, slots=True)
class Walk:
    """Show how an address is translated."""

    address: int | None  # None: that of the next instruction


@dataclass(frozen=True, slots=True)
class Info:
    """Show a view."""

    view: str


Command = (
    Step
    | Simple
    | Until
    | StopCommand
    | Assign
    | Examine
    | Animate
    | SelectVcpu
    | Walk
    | Info
    | Follow
    | Poke
    | Back
    | Seek
    | Save
    | Print
    | ListCode
)


def parse(line: str, registers: Registers, lookup: Lookup = no_symbols) -> Command:
    """Read one line.

    Args:
        line: What was typed, without the colon.
        registers: What register names in addresses stand for.
        lookup: What other names in addresses stand for.

    Raises:
        CommandError: The line means nothing; the message names what would be right.
    """
    word, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    if _EXAMINE.match(word):
        return examine(word, rest, registers, lookup)
    if matched := _PRINT.match(word):
        return _print(rest, matched[1])
    exclaimed = "!" if word in ("save!", "save-snapshot!") else ""
    word = meant(word.removesuffix(exclaimed), WORDS).word + exclaimed
    command = (
        vcpu_stop_words.parse(
            word, rest, registers, lambda of, text: _address(of, text, registers, lookup)
        )
        or _going(word, rest)
        or _at_addresses(word, rest, registers, lookup)
    )
    if command is None:
        raise CommandError(f"{word} needs more; :help {word} tells what")
    return command


def _going(word: str, rest: str) -> Command | None:
    """What lets the guest go, or chooses what goes."""
    match word:
        case "step":
            return Step(_count(rest) if rest else None)
        case "next" | "continue" | "pause" | "restart" | "reload":
            if rest:
                raise CommandError(f"{word} takes no argument, not {rest!r}")
            return Simple(word)
        case "reverse-step" | "reverse-next" | "reverse-continue" | "run-from-here":
            if rest and word != "reverse-step":
                raise CommandError(f"{word} takes no argument, not {rest!r}")
            return Back(word, _count(rest) if rest else None)
        case "animate":
            return Animate(_speed(rest) if rest else None)
        case "vcpu":
            index = integer(rest)
            if index is None:
                raise CommandError("vcpu needs a number, such as vcpu 1")
            return SelectVcpu(index)
    return None


def _at_addresses(word: str, rest: str, registers: Registers, lookup: Lookup) -> Command | None:
    """What needs an address or a value."""
    match word:
        case "until":
            return Until(_address("until", rest, registers, lookup))
        case "seek":
            moment = integer(rest)
            if moment is None or moment < 0:
                raise CommandError("seek needs the number of a moment, such as seek 120")
            return Seek(moment)
        case "save" | "save-snapshot" | "save!" | "save-snapshot!":
            if not rest:
                raise CommandError(f"{word} needs a file, such as {word} guest.kdash")
            return Save(rest, word.startswith("save-snapshot"), word.endswith("!"))
        case "follow":
            if rest:
                expression("follow", rest, registers, lookup)
            return Follow(rest)
        case "set":
            return _assignment(rest, registers, lookup)
        case "list":
            return ListCode(_address("list", rest, registers, lookup) if rest else registers.rip)
        case "walk":
            return Walk(_address("walk", rest, registers, lookup) if rest else None)
        case "info":
            return Info(_view(rest))
        case "print":
            return _print(rest)
    return None


def _view(name: str) -> str:
    """The view that was named, by another name, or by its beginning."""
    if name in VIEWS or name in VIEW_NAMES:
        return VIEW_NAMES.get(name, name)
    begin = [view for view in VIEWS if name and view.startswith(name)]
    if begin:
        return begin[0]
    wrong = f"no view {name!r}; there are" if name else "needs a view, one of"
    raise CommandError(f"info: {wrong}: {', '.join(VIEWS)}")


def _print(text: str, form: str = "") -> Print:
    if not text:
        raise CommandError("print needs an expression, such as print rsp+8 or p/t rflags")
    return Print(text, form)


def _count(text: str) -> int:
    count = integer(text)
    if count is None or not 1 <= count <= MOST_STEPS:
        raise CommandError(f"step: {text!r} is no number of steps from 1 to {MOST_STEPS:,}")
    return count


def _speed(text: str) -> int:
    speed = integer(text)
    if speed is None or not 1 <= speed <= MOST_SPEED:
        raise CommandError(f"animate: {text!r} is no number of steps a second up to {MOST_SPEED:,}")
    return speed


def _address(word: str, text: str, registers: Registers, lookup: Lookup) -> int:
    if not text:
        raise CommandError(f"{word} needs an address, such as {word} 0x1003")
    return expression(word, text, registers, lookup)


def _assignment(text: str, registers: Registers, lookup: Lookup) -> Assign | Poke:
    if text.startswith("{"):
        return _poke(text, registers, lookup)
    name, equals, value = text.removeprefix("$").partition("=")
    name, value = name.strip().lower(), value.strip()
    if not equals or not value:
        raise CommandError("set needs a register and a value, such as set rax=2")
    if name not in SETTABLE:
        raise CommandError(f"set: no register {name!r}; known: {', '.join(SETTABLE)}")
    return Assign(name, expression("set", value, registers, lookup))


def _poke(text: str, registers: Registers, lookup: Lookup) -> Poke:
    """Gdb's form of writing memory: {char}0x1000=0x90, {int}rsp+8=1."""
    kind, brace, rest = text[1:].partition("}")
    address, equals, value = rest.partition("=")
    if not (brace and equals and address.strip() and value.strip()) or kind not in POKES:
        raise CommandError(f"set: such as set {{char}}0x1000=0x90; types: {', '.join(POKES)}")
    size = POKES[kind]
    number = expression("set", value.strip(), registers, lookup)
    if number >> 8 * size and (MASK - number) >> (8 * size - 1):
        raise CommandError(f"set: {value.strip()} does not fit the {size} bytes of {kind}")
    data = (number & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return Poke(expression("set", address.strip(), registers, lookup), data)


def examine(word: str, address: str, registers: Registers, lookup: Lookup = no_symbols) -> Examine:
    """Read gdb's x: a count, then a form (x, d, u, c) and a unit (b, h, w, g) in any order.

    Raises:
        CommandError: A letter that is neither, too much at once, no address.
    """
    matched = _EXAMINE.match(word)
    physical, count, letters = matched.groups(default="") if matched else ("", "", "")
    form, unit = "x", 1
    for letter in letters or "":
        if letter in UNITS:
            unit = UNITS[letter]
        elif letter in FORMS:
            form = letter
        else:
            raise CommandError(
                f"x: {letter!r} is no form (x d u c) and no unit (b h w g); such as x/16xb 0x1000"
            )
    if form == "c":
        unit = 1
    if not address:
        raise CommandError("x needs an address, such as x/16b 0x1000 or x/4xg rsp")
    what = Examine(
        expression("x", address, registers, lookup),
        int(count or 64 // unit),
        unit,
        form,
        physical=bool(physical),
    )
    if not 1 <= what.length <= MOST_BYTES:
        raise CommandError(f"x: {what.length:,} bytes are too many; at most {MOST_BYTES:,}")
    return what


def integer(text: str) -> int | None:
    """A number as typed: 20, 0x1000, 1000h, 0b101; None when it is none."""
    text = text.lower()
    try:
        if text.endswith("h") and not text.startswith("0x"):
            return int(text[:-1], 16)
        return int(text, 0)
    except ValueError:
        # int() refuses the leading zero of 0100; addresses are typed that way.
        return int(text, 10) if text.isdecimal() and text.isascii() else None


def expression(word: str, text: str, registers: Registers, lookup: Lookup = no_symbols) -> int:
    """An address: numbers, register names and symbols with + and -, such as rsp+8.

    Raises:
        CommandError: Something in it is neither, or it is too large.
    """
    total, place = 0, 0
    while place < len(text):
        term = _TERM.match(text, place)
        if term is None or (place and not term[1]):
            raise CommandError(f"{word}: {text!r} is no address; such as 0x1003, rsp+8")
        value = _term_value(term[2], registers)
        if value is None:
            value = lookup(term[2])
        if value is None:
            raise CommandError(f"{word}: {term[2]!r} is no number and no register, nor a symbol")
        total += -value if term[1] == "-" else value
        place = term.end()
        while place < len(text) and text[place].isspace():
            place += 1
    if not -(1 << 63) <= total < 1 << 64:
        raise CommandError(f"{word}: {text!r} has more than 64 bits")
    return total & MASK


def _term_value(name: str, registers: Registers) -> int | None:
    lowered = name.lower()
    if lowered in ("rip", "eip", "ip", "pc"):
        return registers.rip
    part = register_part(lowered, registers)
    if part is not None:
        return part
    if lowered in SETTABLE:
        value = getattr(registers, lowered)
        return int(value) if isinstance(value, int) else int(value.base)
    return integer(name)
