"""Breakpoints and watched memory as the native loop compares them after every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from kdash.backends.kvm._native import ffi

_PAGE = 0x1000


class Place(NamedTuple):
    """Where stepping stops."""

    linear: int  # of CS:IP
    minimum_sp: int = 0  # only where RSP is at least that


class Change(NamedTuple):
    """Memory that a step changed."""

    linear: int
    old: bytes
    new: bytes


class StopTable:
    """A `struct kdash_stops` with all it points to; `native` lives as long as this object."""

    def __init__(self) -> None:
        self.native: Any = ffi.new("struct kdash_stops *")
        self._kept: tuple[Any, ...] = ()

    def set(self, places: Iterable[Place], watches: Iterable[tuple[int, int]]) -> None:
        """Compare with these from now on.

        Args:
            places: of breakpoints.
            watches: linear address and length of memory.
        """
        ordered = sorted(places)
        pieces = [piece for watch in watches for piece in _pages(*watch)]
        native = self.native
        native.breakpoint_count = native.watch_count = 0
        breakpoints = ffi.new("struct kdash_breakpoint[]", ordered) if ordered else ffi.NULL
        table = ffi.new("struct kdash_watch[]", len(pieces)) if pieces else ffi.NULL
        olds = [ffi.new("uint8_t[]", length) for _, length in pieces]
        for position, ((linear, length), old) in enumerate(zip(pieces, olds, strict=True)):
            watch = table[position]
            watch.linear, watch.length, watch.old = linear, length, old
        native.breakpoints, native.watches = breakpoints, table
        native.breakpoint_count, native.watch_count = len(ordered), len(pieces)
        self._kept = breakpoints, table, olds

    def __bool__(self) -> bool:
        return bool(self.native.breakpoint_count or self.native.watch_count)

    def changes(self) -> tuple[Change, ...]:
        """What the last step changed of the watched memory, page by page."""
        return tuple(self._changed())

    def _changed(self) -> Iterator[Change]:
        for position in range(self.native.watch_count):
            watch = self.native.watches[position]
            if watch.changed and watch.host != ffi.NULL:
                old = bytes(ffi.buffer(watch.old, watch.length))
                yield Change(watch.linear, old, bytes(ffi.buffer(watch.host, watch.length)))


def _pages(linear: int, length: int) -> Iterator[tuple[int, int]]:
    """The pieces of a stretch of memory that lie in one page each."""
    end = linear + length
    while linear < end:
        part = min(end, (linear // _PAGE + 1) * _PAGE) - linear
        yield linear, part
        linear += part
