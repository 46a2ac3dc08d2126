"""Where a machine has RAM, ROM and nothing; the memory map as a PC's firmware tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kdash.backends.kvm.facts import GuestError

PAGE: Final = 0x1000
#: Conventional memory ends where the extended BIOS data area would begin; above it, to
#: 1 MiB, a PC has video memory and ROM.
CONVENTIONAL_END: Final = 0x9FC00
EXTENDED: Final = 0x10_0000

#: Types of the ACPI specification 6.5, table 15.4 (INT 15h E820); multiboot uses the same.
AVAILABLE: Final = 1
RESERVED: Final = 2


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of guest-physical memory, whole pages; what is in no region is a hole.

    Raises:
        GuestError: when it is not whole pages.
    """

    start: int
    size: int
    readonly: bool = False  # ROM: what the guest writes exits as MMIO
    data: bytes = b""  # at its start; the rest is 0

    def __post_init__(self) -> None:
        if self.start % PAGE or self.size % PAGE or self.size <= 0 or self.start < 0:
            raise GuestError(
                f"memory region {self.start:#x}, {self.size:#x} bytes: both must be whole "
                f"pages of {PAGE:#x} bytes"
            )
        if len(self.data) > self.size:
            raise GuestError(
                f"memory region {self.start:#x}: {len(self.data):#x} bytes of content, "
                f"{self.size:#x} bytes of memory"
            )

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.size

    def __str__(self) -> str:
        kind = "ROM" if self.readonly else "RAM"
        return f"{kind} {self.start:#x}-{self.end - 1:#x}"


def check_regions(regions: Iterable[Region]) -> tuple[Region, ...]:
    """The regions by address.

    Raises:
        GuestError: when two overlap.
    """
    ordered = tuple(sorted(regions, key=lambda region: region.start))
    for lower, upper in pairwise(ordered):
        if upper.start < lower.end:
            raise GuestError(f"{lower} overlaps {upper}")
    return ordered


def memory_map(memory: int) -> list[tuple[int, int, int]]:
    """Start, size and type of each stretch of `memory` bytes of RAM from 0, by address."""
    if memory <= CONVENTIONAL_END:
        return [(0, memory, AVAILABLE)]
    found = [
        (0, CONVENTIONAL_END, AVAILABLE),
        (CONVENTIONAL_END, EXTENDED - CONVENTIONAL_END, RESERVED),
    ]
    if memory > EXTENDED:
        found.append((EXTENDED, memory - EXTENDED, AVAILABLE))
    return found
