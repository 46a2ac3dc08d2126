"""The options of `kdash vcpu run` and `trace` that stop the guest."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdash.backends.kvm.facts import StopKind
    from kdash.backends.kvm.stop_requests import Wanted


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a command's."""
    add = parser.add_argument
    add("--break", dest="breaks", action="append", default=[], metavar="ADDR[ if COND]",
        help="stop there; repeatable")  # fmt: skip
    add("--watch", dest="watches", action="append", default=[], metavar="ADDR[:LEN]",
        help="stop when memory changes (1 byte); repeatable")  # fmt: skip
    add("--awatch", dest="awatches", action="append", default=[], metavar="ADDR[:LEN]",
        help="stop when memory is read or written; repeatable")  # fmt: skip
    add("--until-exit", dest="exit_stops", action="append", default=[], metavar="KIND[:PORT]",
        help="stop at an exit: any, HLT, IO:0x3f8, MMIO:0xd0000000; repeatable")  # fmt: skip


def stops_of(
    arguments: argparse.Namespace, lookup: Callable[[str], int | None]
) -> tuple[Wanted, ...]:
    """The stop points asked for, in the order of the options above.

    Args:
        arguments: as parsed.
        lookup: addresses of the guest's symbols.

    Raises:
        GuestError: when one makes no sense.
    """
    if not (arguments.breaks or arguments.watches or arguments.awatches or arguments.exit_stops):
        return ()
    from kdash.backends.kvm.facts import GuestError, StopKind

    asked = [
        *(("--break", StopKind.BREAKPOINT, text) for text in arguments.breaks),
        *(("--watch", StopKind.WATCH, text) for text in arguments.watches),
        *(("--awatch", StopKind.ACCESS, text) for text in arguments.awatches),
        *(("--until-exit", StopKind.EXIT, text) for text in arguments.exit_stops),
    ]
    found = []
    for option, kind, text in asked:
        try:
            found.append(_stop(kind, text, lookup))
        except ValueError as error:
            raise GuestError(f"{option} {text}: {error}") from None
    return tuple(found)


def _stop(kind: StopKind, text: str, lookup: Callable[[str], int | None]) -> Wanted:
    from kdash.backends.kvm.condition_words import number_of
    from kdash.backends.kvm.conditions import parse
    from kdash.backends.kvm.facts import StopKind
    from kdash.backends.kvm.stop_requests import StopError, Wanted, exit_filter

    place, is_if, condition = text.partition(" if ")
    if is_if:
        if not condition.strip():
            raise StopError("a condition must follow if")
        parse(condition, lookup)
    first, colon, last = place.strip().partition(":")
    if kind is StopKind.BREAKPOINT and colon:
        raise StopError("a breakpoint has no length")
    number = number_of(last.strip()) if last.strip()[:1].isdigit() else None
    if colon and number is None:
        raise StopError(f"{last.strip()!r} is no number")
    if kind is StopKind.EXIT:
        mmio = first.upper() == "MMIO"
        exits = exit_filter(
            None if first.lower() == "any" else first,
            port=None if mmio else number,
            address=number if mmio else None,
        )
        return Wanted(kind, condition=condition, exits=exits)
    return Wanted(kind, _address(first, lookup), 1 if number is None else number, condition)


def _address(text: str, lookup: Callable[[str], int | None]) -> int:
    """A number, a symbol, or a sum of such."""
    from kdash.backends.kvm.conditions import CannotEvaluate, parse
    from kdash.backends.kvm.facts import Registers
    from kdash.backends.kvm.moments import Moment
    from kdash.backends.kvm.stop_requests import StopError

    try:
        return parse(text, lookup).evaluate(Moment(Registers(), lambda _at, _length: b""))
    except CannotEvaluate as error:
        raise StopError(f"{text!r} is no address before the start: {error}") from None
