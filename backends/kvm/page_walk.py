"""The walk from a linear to a guest-physical address, level by level, as a person reads it.

The same rules as pagewalk.c, which is what the VCPU loop uses: Intel SDM vol. 3A, 4.3 (32-bit
paging), 4.4 (PAE), 4.5 (4-level and 5-level). Neither asks KVM nor sets A/D bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kdash.backends.kvm.facts import Registers
from kdash.backends.kvm.state_facts import PageLevel, PageWalk

#: Guest-physical memory: address and length to bytes; IndexError where there is none.
ReadPhysical = Callable[[int, int], bytes]

_PG: Final = 1 << 31  # CR0
_PSE, _PAE, _LA57 = 1 << 4, 1 << 5, 1 << 12  # CR4
_NXE: Final = 1 << 11  # EFER
_P, _RW, _US, _PS, _NX = 1, 1 << 1, 1 << 2, 1 << 7, 1 << 63
_ADDRESS: Final = 0x000F_FFFF_FFFF_F000

#: Bit -> name of every entry (SDM vol. 3A, tables 4-14 to 4-20; the entries of PAE and 32-bit
#: paging have the same bits where they have them).
_FLAGS: Final = (
    (0, "P"), (1, "RW"), (2, "US"), (3, "PWT"), (4, "PCD"), (5, "A"), (6, "D"), (7, "PS"),
    (8, "G"), (9, "AVL0"), (10, "AVL1"), (11, "AVL2"), (63, "NX"),
)  # fmt: skip
#: Of an entry that leads to a table, D, PS and G have no meaning; of a PTE, bit 7 is PAT.
_LEAF_ONLY: Final = frozenset({"D", "G"})


@dataclass(frozen=True, slots=True)
class _Level:
    """One level of a paging mode."""

    table: str
    shift: int  # of the index in the linear address
    bits: int  # of the index
    large: bool  # its entries can be pages
    restricted: bool = False  # its entries have no R/W, U/S (PDPT of PAE)


_PAE_LEVELS: Final = (
    _Level("PDPT", 30, 2, False, True),
    _Level("PD", 21, 9, True),
    _Level("PT", 12, 9, False),
)
_LONG_LEVELS: Final = (
    _Level("PML5", 48, 9, False),
    _Level("PML4", 39, 9, False),
    _Level("PDPT", 30, 9, True),
    _Level("PD", 21, 9, True),
    _Level("PT", 12, 9, False),
)


def walk(linear: int, registers: Registers, read: ReadPhysical) -> PageWalk:
    """Walk the guest's page tables for `linear`.

    Args:
        linear: the address; outside long mode its low 32 bits count.
        registers: CR0, CR3, CR4 and EFER say how.
        read: the guest's memory.
    """
    long = bool(registers.efer & 0x400)
    linear &= (1 << 64) - 1 if long else 0xFFFF_FFFF
    if not registers.cr0 & _PG:
        return PageWalk(linear, "off", (), linear, 0, "", memory=_is_memory(read, linear))
    if long:
        five = bool(registers.cr4 & _LA57)
        width = 57 if five else 48
        sign = linear >> (width - 1)
        name = "5-level" if five else "4-level"
        if sign not in (0, (1 << (65 - width)) - 1):
            why = f"not canonical: bits 63 to {width - 1} differ"
            return PageWalk(linear, name, (), None, 0, why)
        levels: tuple[_Level, ...] = _LONG_LEVELS if five else _LONG_LEVELS[1:]
        return _Walk(linear, registers, read, name, 8).go(registers.cr3 & _ADDRESS, levels)
    if registers.cr4 & _PAE:
        table = registers.cr3 & 0xFFFF_FFE0
        return _Walk(linear, registers, read, "PAE", 8).go(table, _PAE_LEVELS)
    large = bool(registers.cr4 & _PSE)
    levels = (_Level("PD", 22, 10, large), _Level("PT", 12, 10, False))
    return _Walk(linear, registers, read, "32-bit", 4).go(registers.cr3 & 0xFFFF_F000, levels)


class _Walk:
    """One walk on its way."""

    def __init__(
        self, linear: int, registers: Registers, read: ReadPhysical, paging: str, size: int
    ) -> None:
        self._linear = linear
        self._nxe = bool(registers.efer & _NXE)
        self._read = read
        self._paging = paging
        self._size = size  # bytes of an entry
        self._found: list[PageLevel] = []
        self._write = self._user = self._execute = True

    def go(self, table: int, levels: tuple[_Level, ...]) -> PageWalk:
        for level in levels:
            index = self._linear >> level.shift & (1 << level.bits) - 1
            address = table + index * self._size
            try:
                entry = int.from_bytes(self._read(address, self._size), "little")
            except IndexError:
                self._found.append(PageLevel(level.table, index, address, None, (), None))
                return self._stopped(f"no memory at {address:#x}, where the {level.table} is")
            leaf = level.shift == 12 or (level.large and bool(entry & _PS))
            flags = _names(entry, leaf, level, self._size)
            if not entry & _P:
                self._found.append(PageLevel(level.table, index, address, entry, flags, None))
                return self._stopped(f"{level.table}E {index:#x} is not present")
            if not level.restricted:
                self._write &= bool(entry & _RW)
                self._user &= bool(entry & _US)
                self._execute &= not (self._nxe and self._size == 8 and entry & _NX)
            table = self._target(entry, level, leaf)
            self._found.append(PageLevel(level.table, index, address, entry, flags, table))
            if leaf:
                return self._arrived(table, level)
        raise AssertionError("the last level's entries are pages")

    def _target(self, entry: int, level: _Level, leaf: bool) -> int:
        if self._size == 4:
            if leaf and level.shift == 22:  # PSE-36 (SDM vol. 3A, table 4-4)
                return (entry & 0xFFC0_0000) | (entry >> 13 & 0xFF) << 32
            return entry & 0xFFFF_F000
        mask = ~((1 << level.shift) - 1) if leaf else -1
        return entry & _ADDRESS & mask

    def _arrived(self, page: int, level: _Level) -> PageWalk:
        size = 1 << level.shift
        physical = page | self._linear & (size - 1)
        allowed = (("write", self._write), ("user", self._user), ("execute", self._execute))
        return PageWalk(
            self._linear, self._paging, tuple(self._found), physical, size, "",
            tuple(name for name, yes in allowed if yes), _is_memory(self._read, physical),
        )  # fmt: skip

    def _stopped(self, why: str) -> PageWalk:
        return PageWalk(self._linear, self._paging, tuple(self._found), None, 0, why)


def _is_memory(read: ReadPhysical, physical: int) -> bool:
    try:
        read(physical, 1)
    except IndexError:
        return False
    return True


def _names(entry: int, leaf: bool, level: _Level, size: int) -> tuple[str, ...]:
    if not entry & _P:
        return ()  # all other bits are the operating system's own
    found = []
    for bit, name in _FLAGS:
        if not entry >> bit & 1 or bit >= size * 8 or (name in _LEAF_ONLY and not leaf):
            continue
        if name == "PS" and level.shift == 12:
            found.append("PAT")
        elif name != "PS" or leaf:
            found.append(name)
    if leaf and level.shift > 12 and entry >> 12 & 1:
        found.append("PAT")
    return tuple(found)
