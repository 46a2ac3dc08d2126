"""Where the parts of the VCPU pane stand, for every size of the pane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from kdash.widgets.vcpu.splits import COLUMN, Border, column, stacked

PARTS = ("code", "registers", "exits", "serial", "screen", "memory", "stops", "ending")
#: Views of state that is read on demand; one part, "state", shows them all, alone.
STATE_VIEWS = ("control", "fpu", "msrs", "cpuid", "devices", "statistics", "walk")
BROAD = 110  # cells; from here on registers and code stand side by side
MEDIUM = 64  # cells; from here on code and serial stand side by side
TALL = 24  # lines; below, the registers have no title
LOWEST = 8  # lines; below, the time line has no room
ENDING = 14  # lines; below, an ending has no room beside the others
GAP = 2  # cells between two columns
SIXTEEN = 73  # cells that a line of sixteen bytes of memory takes, beside a scroll bar
SCREEN = 81  # cells that a text screen takes, beside a scroll bar
SCREEN_LINES = 26  # with its title
SOURCED = 100  # cells that code with its source beside it takes
WIDE = 116  # cells, of a screen with 120; from here on source stands beside its code
SOME_LEFT = 48  # cells that the left column keeps beside a text screen


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
    ending: int = 0  # lines of how the guest ended, where the status line can't hold it
    moved: Mapping[str, int] = MappingProxyType({})  # cells by which borders were moved
    screen: bool = False  # the guest wrote to its text screen
    serial: bool = True  # the guest sent something, or has no text screen to show
    sourced: bool = False  # source lines of the guest's code are known

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
    if room.ending and not view and room.height >= ENDING:
        lines = min(room.ending, max(4, room.height // 4))
        below = arrange(room._replace(height=room.height - lines, ending=0), view)
        status = below.pop("status")
        lowered = {name: place._replace(y=place.y + lines) for name, place in below.items()}
        return {"status": status, "ending": Place(0, 1, room.width, lines), **lowered}
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
    """Two columns: registers over exits; code over memory over the text screen and serial."""
    height = room.height - 1
    right = min(SIXTEEN, room.width * 47 // 100)
    screen = serial = 0
    if room.sourced and room.width >= WIDE:
        right = max(right, min(SOURCED, room.width - GAP - SOME_LEFT))
    if room.screen:
        right = max(right, min(SCREEN, room.width - GAP - SOME_LEFT))
        screen = min(SCREEN_LINES, height * 2 // 5)
        serial = max(4, height // 8) if room.serial else 0
        code = (height - screen - serial) * 3 // 5
    else:
        serial = max(5, height // 5)
        code = height // 2
    memory = height - code - screen - serial
    left = room.width - GAP - right
    registers = room.registers_height(left, height * 2 // 3)
    left = column(left, room.width - GAP, room.moved)
    x, right = left + GAP, room.width - GAP - left
    return {
        **_stack(0, 1, left, [("registers", registers), ("exits", height - registers)], room),
        **_stack(
            x, 1, right,
            [("code", code), ("memory", memory), ("screen", screen), ("serial", serial)], room,
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
    """Registers on top, code beside serial and memory below, exits at the bottom.

    The text screen, which is wide, stands at the bottom; the exits are then beside the code.
    """
    height = room.height - 1
    registers = room.registers_height(room.width, min(height, max(4, height * 2 // 5)))
    below = height - registers
    share, lowest = (below // 2, "screen") if room.screen else (below * 2 // 5, "exits")
    share = max(3, min(share, SCREEN_LINES)) if below >= 8 else 0
    bands = [("registers", registers), ("code", below - share), (lowest, share)]
    places = _stack(0, 1, room.width, bands, room)
    left = column(room.width * 3 // 5, room.width - GAP, room.moved)
    code = places["code"]
    places["code"] = code._replace(width=left)
    beside = {"memory": room.memory, "exits": lowest != "exits", "serial": room.serial}
    right = _shared(code.height, [name for name, wanted in beside.items() if wanted])
    return places | _stack(left + GAP, code.y, room.width - left - GAP, right, room)


def _shared(height: int, names: list[str]) -> list[tuple[str, int]]:
    """As many of the parts as have three lines or more, of the same height; the last the rest."""
    names = names[: max(1, height // 3)]
    each = height // max(1, len(names))
    return [(name, each) for name in names[:-1]] + [
        (name, height - each * (len(names) - 1)) for name in names[-1:]
    ]


def _slim(room: Room) -> dict[str, Place]:
    """One below the other; what would get less than three lines is left to its own view."""
    height = room.height - 1
    registers = room.registers_height(room.width, min(height, max(4, height // 2)))
    left = height - registers
    wanted = [
        ("serial", 5 if room.serial else 0),
        ("memory", 6 if room.memory else 0),
        ("screen", min(SCREEN_LINES, left * 2 // 5) if room.screen else 0),
        ("exits", left // 4 if room.screen else left * 2 // 5),
    ]
    heights: dict[str, int] = {"registers": registers}
    code = left
    for name, lines in reversed(wanted):
        taken = lines if lines >= 3 and code - lines >= 6 else 0
        heights[name] = taken
        code -= taken
    heights["code"] = code
    order = ("registers", "code", "exits", "memory", "screen", "serial")
    return _stack(0, 1, room.width, [(name, heights[name]) for name in order], room)


def borders(places: Mapping[str, Place]) -> list[Border]:
    """The borders that can be moved, between the parts in `places`."""
    parts = {n: place for n, place in places.items() if n in PARTS and n != "ending"}
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
