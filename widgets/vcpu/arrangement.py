"""Where the parts of the VCPU pane stand, for every size of the pane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from kdash.widgets.vcpu.splits import COLUMN, Border, column, stacked

PARTS = ("code", "registers", "exits", "serial", "screen", "memory", "stops")
#: Views of state that is read on demand; one part, "state", shows them all, alone.
STATE_VIEWS = ("control", "fpu", "msrs", "cpuid", "statistics", "walk")
BROAD = 110  # cells; from here on registers and code stand side by side
MEDIUM = 64  # cells; from here on code and serial stand side by side
TALL = 24  # lines; below, the registers have no title
LOWEST = 8  # lines; below, the time line has no room
GAP = 2  # cells between two columns
SIXTEEN = 73  # cells that a line of sixteen bytes of memory takes, beside a scroll bar


class Place(NamedTuple):
    """A rectangle in cells, relative to the pane's content."""

    x: int
    y: int
    width: int
    height: int


class Room(NamedTuple):
    """What there is to be shared, and what the parts ask for."""

    width: int
    height: int
    memory: bool  # memory was asked for
    registers: Callable[[int, bool], int]  # (width, in full) -> lines, without a title
    timeline: bool = False  # a line of its own below the status
    moved: Mapping[str, int] = MappingProxyType({})  # cells by which borders were moved

    @property
    def titled(self) -> bool:
        """Whether the registers have a title line."""
        return self.height >= TALL

    def registers_height(self, width: int, most: int) -> int:
        """Lines for the registers: in full where that fits into `most`."""
        title = int(self.titled)
        for full in (True, False):
            if (needed := self.registers(width, full) + title) <= most:
                return needed
        return most


def arrange(room: Room, view: str) -> dict[str, Place]:
    """Share the room out.

    Args:
        room: The room there is.
        view: Name of the part that has it all, or "" for all parts together.

    Returns:
        The place of each part to be shown; "status" is always among them.
    """
    if room.timeline and room.height > LOWEST:
        below = arrange(room._replace(height=room.height - 1, timeline=False), view)
        status = below.pop("status")
        lowered = {name: place._replace(y=place.y + 1) for name, place in below.items()}
        return {"status": status, "timeline": Place(0, 1, room.width, 1), **lowered}
    places = {"status": Place(0, 0, room.width, 1)}
    if view:
        places[view] = Place(0, 1, room.width, max(0, room.height - 1))
    elif room.width >= BROAD and room.titled:
        places |= _broad(room)
    elif room.width >= MEDIUM:
        places |= _medium(room)
    else:
        places |= _slim(room)
    return {name: place for name, place in places.items() if place.width > 0 and place.height > 0}


def _broad(room: Room) -> dict[str, Place]:
    """Two columns: registers over exits; code over memory over serial."""
    height = room.height - 1
    right = min(SIXTEEN, room.width * 47 // 100)
    left = room.width - GAP - right
    registers = room.registers_height(left, height * 2 // 3)
    code = height // 2
    serial = max(5, height // 5)
    left = column(left, room.width - GAP, room.moved)
    x, right = left + GAP, room.width - GAP - left
    return {
        **_stack(0, 1, left, [("registers", registers), ("exits", height - registers)], room),
        **_stack(
            x, 1, right,
            [("code", code), ("memory", height - code - serial), ("serial", serial)], room,
        ),
    }  # fmt: skip


def _stack(
    x: int, y: int, width: int, parts: list[tuple[str, int]], room: Room
) -> dict[str, Place]:
    """Parts one below the other, as high as they would be or as they were made."""
    places: dict[str, Place] = {}
    for name, lines in stacked(parts, room.moved).items():
        places[name] = Place(x, y, width, lines)
        y += lines
    return places


def _medium(room: Room) -> dict[str, Place]:
    """Registers on top, code beside serial and memory below, exits at the bottom."""
    height = room.height - 1
    registers = room.registers_height(room.width, min(height, max(4, height * 2 // 5)))
    below = height - registers
    middle = below - max(3, below * 2 // 5) if below >= 8 else below
    bands = [("registers", registers), ("code", middle), ("exits", below - middle)]
    places = _stack(0, 1, room.width, bands, room)
    left = column(room.width * 3 // 5, room.width - GAP, room.moved)
    code = places["code"]
    places["code"] = code._replace(width=left)
    memory = code.height // 2 if room.memory else 0
    right = [("memory", memory), ("serial", code.height - memory)]
    return places | _stack(left + GAP, code.y, room.width - left - GAP, right, room)


def _slim(room: Room) -> dict[str, Place]:
    """One below the other; what would get less than three lines is left to its own view."""
    height = room.height - 1
    registers = room.registers_height(room.width, min(height, max(4, height // 2)))
    left = height - registers
    wanted = [("serial", 5), ("memory", 6 if room.memory else 0), ("exits", left * 2 // 5)]
    heights: dict[str, int] = {"registers": registers}
    code = left
    for name, lines in reversed(wanted):
        taken = lines if lines >= 3 and code - lines >= 6 else 0
        heights[name] = taken
        code -= taken
    heights["code"] = code
    order = ("registers", "code", "exits", "memory", "serial")
    return _stack(0, 1, room.width, [(name, heights[name]) for name in order], room)


def borders(places: Mapping[str, Place]) -> list[Border]:
    """The borders that can be moved, between the parts in `places`."""
    parts = {name: place for name, place in places.items() if name in PARTS}
    found: list[Border] = []
    for name, place in parts.items():
        for below, under in parts.items():
            if under.x == place.x and under.y == place.y + place.height:
                found.append(Border(name, under.x, under.y, under.width, 1, below))
        if place.x:
            top = min(other.y for other in parts.values() if other.x == place.x)
            end = max(other.y + other.height for other in parts.values() if other.x == place.x)
            found.append(Border(COLUMN, place.x - GAP, top, GAP, end - top))
    return found
