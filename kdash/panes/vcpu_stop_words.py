"""The command words about stop points: break, watch, catch, until exit, delete, ignore."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from kdash.backends.kvm.condition_words import number_of
from kdash.backends.kvm.facts import Registers, StopKind
from kdash.backends.kvm.stop_requests import ExitFilter, StopError, Wanted, exit_filter
from kdash.widgets.pane import CommandError

#: Reads an address: (word, text) -> value; raises CommandError.
Address = Callable[[str, str], int]

_IF = re.compile(r"(?:^|\s)if(?:\s+|$)")


@dataclass(frozen=True, slots=True)
class Break:
    """Set a breakpoint."""

    ip: int
    condition: str = ""
    temporary: bool = False

    def wanted(self, registers: Registers) -> Wanted:
        """The stop point: a place in the code segment there is now."""
        linear = replace(registers, rip=self.ip).linear_ip
        return Wanted(
            StopKind.BREAKPOINT, linear, condition=self.condition, temporary=self.temporary
        )


@dataclass(frozen=True, slots=True)
class Watch:
    """Set a watchpoint, or stop at exits."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class UntilExit:
    """Run until an exit."""

    exits: ExitFilter


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a stop point by number or a breakpoint by address, or all."""

    ip: int | None


@dataclass(frozen=True, slots=True)
class Ignore:
    """Pass over hits of a stop point."""

    number: int
    count: int


StopCommand = Break | Watch | UntilExit | Delete | Ignore


def parse(word: str, rest: str, registers: Registers, address: Address) -> StopCommand | None:
    """Read the rest of a line that begins with `word`; None: it is none of these words.

    Raises:
        CommandError: The line means nothing.
    """
    match word:
        case "break" | "tbreak":
            place, condition = _parted(rest)
            ip = address(word, place) if place else registers.rip
            return Break(ip, condition, word == "tbreak")
        case "watch" | "awatch":
            return _watch(word, rest, registers, address)
        case "catch":
            return _catch(rest)
        case "until" if rest.split()[:1] == ["exit"]:
            return UntilExit(_exits("until exit", rest.split()[1:]))
        case "delete":
            return Delete(address("delete", rest) if rest else None)
        case "ignore":
            return _ignore(rest)
    return None


def _parted(text: str) -> tuple[str, str]:
    """What stands before `if`, and the condition behind it."""
    parts = _IF.split(text, maxsplit=1)
    if len(parts) == 1:
        return text.strip(), ""
    if not parts[1].strip():
        raise CommandError("if needs a condition, such as if rax == 5 && dword [rsp] != 0")
    return parts[0].strip(), parts[1].strip()


def _watch(word: str, rest: str, registers: Registers, address: Address) -> Watch:
    place, condition = _parted(rest)
    start, colon, length = place.partition(":")
    count = number_of(length.strip()) if length.strip() else None
    if not start.strip() or (colon and count is None):
        raise CommandError(f"{word} needs ADDR or ADDR:LEN, such as {word} 0x2000:4")
    kind = StopKind.WATCH if word == "watch" else StopKind.ACCESS
    linear = address(word, start.strip())
    size = registers.code_bits // 8 if count is None else count
    try:
        return Watch(Wanted(kind, linear, size, condition))
    except StopError as error:
        raise CommandError(f"{word}: {error}") from None


def _catch(rest: str) -> Watch:
    place, condition = _parted(rest)
    exits = _exits("catch", place.split())
    return Watch(Wanted(StopKind.EXIT, condition=condition, exits=exits))


def _exits(word: str, words: list[str]) -> ExitFilter:
    """KIND, KIND NUMBER or NUMBER: a port, or with MMIO an address."""
    number: int | None = None
    if words and (number := number_of(words[-1]) if words[-1][0].isdigit() else None) is not None:
        words = words[:-1]
    if len(words) > 1:
        raise CommandError(f"{word}: a kind and a port or address, such as {word} IO 0x3f8")
    kind = words[0].upper() if words else None
    try:
        if kind is not None and kind.removeprefix("KVM_EXIT_") == "MMIO":
            return exit_filter(kind, address=number)
        return exit_filter(kind, port=number)
    except StopError as error:
        raise CommandError(f"{word}: {error}") from None


def _ignore(rest: str) -> Ignore:
    words = [number_of(one) if one[0].isdigit() else None for one in rest.split()]
    if len(words) != 2 or words[0] is None or words[1] is None:
        raise CommandError("ignore needs a stop point's number and how often, such as ignore 1 10")
    return Ignore(words[0], words[1])
