"""Who answers at a port or an address of one machine, so that an exit is told by what it met.

What is usually behind a port (ports.py) says nothing of a machine where nobody, or a device of
the user's, is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kdash.backends.kvm.ports import port_name

if TYPE_CHECKING:
    from kdash.backends.kvm.devices import Bus
    from kdash.backends.kvm.layout import Region
    from kdash.backends.kvm.user_devices import UserDevice

NOBODY: Final = "nobody answers"
_OURS: Final = ""  # the name of a device that port_name names
_READ_ONLY: Final = "read-only memory, which stays as it is"
_MOST: Final = 70_000  # claims of a file: one a port is the most that our own machines make
_SPACES: Final = ("port", "mmio", "msr")


@dataclass(frozen=True, slots=True)
class Claim:
    """Numbers of one space that a device answers."""

    space: str  # "port", "mmio" (guest-physical addresses) or "msr"
    first: int
    last: int
    name: str = _OURS  # who answers, of a device that is not one of ours


@dataclass(frozen=True, slots=True)
class Owners:
    """All claims of a machine; where two overlap, the first counts."""

    claims: tuple[Claim, ...] = ()

    def _claim(self, space: str, number: int) -> Claim | None:
        for claim in self.claims:
            if claim.first <= number <= claim.last and claim.space == space:
                return claim
        return None

    def of_port(self, port: int, write: bool) -> str:
        """Who answers at a port: "serial, transmit", "device Lamp", "nobody answers"."""
        claim, usual = self._claim("port", port), port_name(port, write)
        if claim is None:
            nobody = NOBODY if write else f"{NOBODY}: all ones"
            return f"{usual}; {nobody}" if usual else nobody
        return claim.name or usual

    def of_address(self, address: int, write: bool) -> str:
        """Who answers at a guest-physical address."""
        claim = self._claim("mmio", address)
        if claim is None:
            return NOBODY if write else f"{NOBODY}: all ones"
        return claim.name

    def of_msr(self, index: int) -> str:
        """Which device of the user's answers for a model-specific register, empty: none."""
        claim = self._claim("msr", index)
        return "" if claim is None else claim.name


def owners(bus: Bus, users: Sequence[UserDevice], regions: Iterable[Region]) -> Owners:
    """The claims on a bus.

    Args:
        bus: with all devices.
        users: those that are the user's; they come before ours.
        regions: the guest's memory: writes to what is read-only of it exit as MMIO.
    """
    found = [
        Claim(space, numbers.start, numbers.stop - 1, f"device {device.name}")
        for device in users
        for space, claimed in (("port", device.ports), ("mmio", device.mmio), ("msr", device.msrs))
        for numbers in claimed
    ]
    found += [Claim("port", first, last) for first, last in _rows(bus.claimed_ports)]
    found += [Claim("mmio", one.start, one.stop - 1) for one in bus.claimed_mmio]
    found += [
        Claim("mmio", region.start, region.start + region.size - 1, _READ_ONLY)
        for region in regions
        if region.readonly
    ]
    return Owners(tuple(found))


def _rows(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as rows without gaps: the first and last of each."""
    rows: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if rows and rows[-1][1] == number - 1:
            rows[-1] = (rows[-1][0], number)
        else:
            rows.append((number, number))
    return rows


def to_json(told: Owners | None) -> list[list[Any]] | None:
    """The claims as JSON holds them; None: not known."""
    if told is None:
        return None
    return [[claim.space, claim.first, claim.last, claim.name] for claim in told.claims]


def from_json(saved: Any) -> Owners | None:
    """What `to_json` told.

    Raises:
        ValueError: when a value makes no sense.
        TypeError: when it is of another type.
    """
    if saved is None:
        return None
    if len(saved) > _MOST:
        raise ValueError("too many claims of devices")
    return Owners(tuple(_claim_of(*one) for one in saved))


def _claim_of(space: Any, first: Any, last: Any, name: Any) -> Claim:
    numbers = all(isinstance(one, int) and not isinstance(one, bool) for one in (first, last))
    if space not in _SPACES or not numbers or not 0 <= first <= last < 1 << 64:
        raise ValueError(f"{space!r} {first!r} {last!r} where a device's claim should be")
    if not isinstance(name, str):
        raise TypeError(f"{name!r} where a device's name should be")
    return Claim(space, first, last, name)
