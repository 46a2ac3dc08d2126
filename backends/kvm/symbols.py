"""Symbols: names of a guest's addresses, from an ELF image or a System.map."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from kdash.backends.kvm.facts import GuestError

#: Farther behind the last symbol than this an address is not said to belong to it, unless
#: the symbol's own size says so.
REACH: Final = 1 << 20
#: Longest line of a System.map that can hold a symbol (KSYM_NAME_LEN is 512, Linux 6.1).
_LINE: Final = 1024


@dataclass(frozen=True, slots=True)
class Symbols:
    """Names and their addresses, as the guest's RIP sees them."""

    addresses: dict[str, int] = field(default_factory=dict)  # the first of each name
    _sorted: tuple[int, ...] = ()
    _names: tuple[str, ...] = ()  # in the order of _sorted

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, int]]) -> Symbols:
        """Symbols of (name, address) pairs; of several at one address the first is shown."""
        addresses: dict[str, int] = {}
        at: dict[int, str] = {}
        for name, address in pairs:
            addresses.setdefault(name, address)
            at.setdefault(address, name)
        ordered = tuple(sorted(at))
        return cls(addresses, ordered, tuple(at[address] for address in ordered))

    def __bool__(self) -> bool:
        return bool(self.addresses)

    def address(self, name: str) -> int | None:
        """Where `name` is; None where there is no such symbol."""
        return self.addresses.get(name)

    def nearest(self, address: int) -> str:
        """The name for `address`, as main or main+0x4; empty where none is near before it."""
        position = bisect_right(self._sorted, address) - 1
        if position < 0 or address - self._sorted[position] >= REACH:
            return ""
        offset = address - self._sorted[position]
        return f"{self._names[position]}+{offset:#x}" if offset else self._names[position]

    def begin(self, address: int) -> int | None:
        """The nearest address with a name before `address`; None where there is none."""
        position = bisect_left(self._sorted, address) - 1
        return None if position < 0 else self._sorted[position]

    def joined(self, other: Symbols) -> Symbols:
        """These, and those of `other` beside them."""
        if not other:
            return self
        return Symbols.of([*self.addresses.items(), *other.addresses.items()])


def system_map(data: bytes, title: str) -> Symbols:
    """Symbols of a System.map: lines of address, type letter and name (nm's format).

    Raises:
        GuestError: when a line is something else.
    """
    pairs: list[tuple[str, int]] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        words = line.split() if len(line) <= _LINE else []
        try:
            address = int(words[0], 16)
            name = words[2].decode()
        except (IndexError, ValueError):
            address, name = -1, ""
        if not 0 <= address < 1 << 64 or len(words[1:2] and words[1]) != 1:
            raise GuestError(
                f"{title}: line {number} is no symbol; wanted an ELF file or a System.map with "
                "lines like 'ffffffff81000000 T _text'"
            )
        pairs.append((name, address))
    return Symbols.of(pairs)
