"""What is asked of a stop point before it has a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from kdash.backends.kvm.facts import Exit, ExitReason, IoExit, MmioExit, StopKind, StopPoint

#: Bytes one watchpoint can watch.
MOST_WATCHED: Final = 4096
EXIT_NAMES: Final = frozenset(reason.name for reason in ExitReason)


class StopError(ValueError):
    """A stop point that makes no sense, or a number that none has."""


class ExitFilter(NamedTuple):
    """Which exits to stop at; what is None does not matter."""

    name: str | None = None  # "IO", "MMIO", "HLT", ...
    port: int | None = None
    address: int | None = None  # guest-physical, of MMIO

    def __str__(self) -> str:
        name = self.name or "any exit"
        if self.port is not None:
            return f"{self.name or 'IO'} {self.port:#x}"
        return name if self.address is None else f"{self.name or 'MMIO'} {self.address:#x}"

    def matches(self, one: Exit) -> bool:
        """Whether it is such an exit."""
        if self.name is not None and one.name != self.name:
            return False
        detail = one.detail
        if self.port is not None and not (
            isinstance(detail, IoExit) and detail.port <= self.port < detail.port + detail.size
        ):
            return False
        if self.address is None:
            return True
        return isinstance(
            detail, MmioExit
        ) and detail.address <= self.address < detail.address + len(detail.data)


def exit_filter(
    name: str | None = None, port: int | None = None, address: int | None = None
) -> ExitFilter:
    """A filter of exits.

    Raises:
        StopError: when there is no such exit.
    """
    name = name.upper().removeprefix("KVM_EXIT_") if name else None
    if name is not None and name not in EXIT_NAMES:
        known = "IO, MMIO, HLT, SHUTDOWN, INTERNAL_ERROR, SYSTEM_EVENT, X86_RDMSR, X86_WRMSR"
        raise StopError(f"no exit {name!r}; among those there are: {known}")
    if port is not None and (not 0 <= port <= 0xFFFF or name not in (None, "IO")):
        raise StopError(f"port {port:#x}: an IO exit has a port, from 0 to 0xffff")
    if address is not None and name not in (None, "MMIO"):
        raise StopError(f"address {address:#x}: an MMIO exit has an address, {name} has none")
    return ExitFilter(name, port, address)


ANY: Final = ExitFilter()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stop point to be set.

    Raises:
        StopError: when it makes no sense.
    """

    kind: StopKind
    address: int | None = None  # linear; of exits in `exits`
    length: int = 1  # bytes watched
    condition: str = ""
    ignore: int = 0  # hits to be passed over
    temporary: bool = False
    exits: ExitFilter = ANY  # of StopKind.EXIT

    def __post_init__(self) -> None:
        if self.kind is not StopKind.EXIT and self.address is None:
            raise StopError(f"a {self.kind.value} stop needs an address")
        if self.kind in (StopKind.WATCH, StopKind.ACCESS) and not 1 <= self.length <= MOST_WATCHED:
            raise StopError(f"{self.length} bytes can't be watched; 1 to {MOST_WATCHED} can")
        if self.address is not None and not 0 <= self.address < 1 << 64:
            raise StopError(f"address {self.address:#x} has more than 64 bits")
        if self.ignore < 0:
            raise StopError(f"{self.ignore} hits can't be ignored")


def again(point: StopPoint) -> Wanted:
    """What asks for another stop point like `point`, its hits still to come."""
    if point.kind is StopKind.EXIT:
        exits = ExitFilter(point.exit_name or None, point.port, point.address)
        return Wanted(point.kind, condition=point.condition, ignore=point.ignore, exits=exits)
    return Wanted(
        point.kind,
        point.address,
        point.length or 1,
        point.condition,
        point.ignore,
        point.temporary,
    )
