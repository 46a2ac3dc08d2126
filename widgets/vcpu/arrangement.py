"""Where the parts of the VCPU pane stand, for every size of the pane."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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
    x = left + GAP
    return {
        "registers": Place(0, 1, left, registers),
        "exits": Place(0, 1 + registers, left, height - registers),
        "code": Place(x, 1, right, code),
        "memory": Place(x, 1 + code, right, height - code - serial),
        "serial": Place(x, 1 + height - serial, right, serial),
    }


def _medium(room: Room) -> dict[str, Place]:
    """Registers on top, code beside serial and memory below, exits at the bottom."""
    height = room.height - 1
    registers = room.registers_height(room.width, min(height, max(4, height * 2 // 5)))
    below = height - registers
    middle = below - max(3, below * 2 // 5) if below >= 8 else below
    left = room.width * 3 // 5
    x, right = left + GAP, room.width - left - GAP
    y = 1 + registers
    memory = middle // 2 if room.memory else 0
    return {
        "registers": Place(0, 1, room.width, registers),
        "code": Place(0, y, left, middle),
        "memory": Place(x, y, right, memory),
        "serial": Place(x, y + memory, right, middle - memory),
        "exits": Place(0, y + middle, room.width, below - middle),
    }


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
    places: dict[str, Place] = {}
    y = 1
    for name in ("registers", "code", "exits", "memory", "serial"):
        places[name] = Place(0, y, room.width, heights[name])
        y += heights[name]
    return places
