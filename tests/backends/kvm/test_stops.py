"""Stop points as a table, and as a question about a moment."""

from __future__ import annotations

import pytest

from kdash.backends.kvm.facts import Exit, ExitReason, IoExit, Registers, Segment, StopKind
from kdash.backends.kvm.moments import Moment
from kdash.backends.kvm.stop_events import Arrival
from kdash.backends.kvm.stop_requests import StopError, Wanted, again, exit_filter
from kdash.backends.kvm.stop_table import Change
from kdash.backends.kvm.stops import Stops
from kdash.backends.kvm.symbols import Symbols

BREAK, WATCH, ACCESS, EXIT = StopKind.BREAKPOINT, StopKind.WATCH, StopKind.ACCESS, StopKind.EXIT
OUT = Exit(0, 0, 0, ExitReason.IO, "IO", 0x1000, IoExit("out", 0x3F8, 1, 1, b"4"), "out 0x3f8")


def moment(memory: bytes = bytes(64), rip: int = 0, rax: int = 0) -> Moment:
    """Memory begins at 0x2000; code is 64-bit."""
    now = Registers(rip=rip, rax=rax, cr0=0x80000001, efer=0x500, cs=Segment(l=1))
    return Moment(now, lambda at, length: memory[max(at - 0x2000, 0) :][:length])


def made(*wanted: Wanted) -> Stops:
    stops = Stops(Symbols.of([("main", 0x1000), ("count", 0x2000)]))
    for one in wanted:
        stops.add(one)
    return stops


def test_places_are_told_by_symbols() -> None:
    stops = made(Wanted(BREAK, 0x1004), Wanted(WATCH, 0x2000, 4), Wanted(EXIT))
    assert [point.where for point in stops.points] == ["main+0x4", "count:4", "any exit"]


def test_asking_whether_a_moment_stops_counts_nothing() -> None:
    stops = made(Wanted(BREAK, 0x1000, condition="rax == 1", ignore=5))
    assert stops.would_stop(Arrival(moment(rip=0x1000, rax=1))) == (1,)
    assert stops.would_stop(Arrival(moment(rip=0x1000, rax=2))) == ()
    assert stops.would_stop(Arrival(moment(rip=0x1001, rax=1))) == ()
    assert (stops.points[0].hits, stops.points[0].ignore) == (0, 5)


def test_a_recorded_step_is_met_by_what_it_changed() -> None:
    stops = made(Wanted(WATCH, 0x2000, 4), Wanted(WATCH, 0x2010, 4))
    before, after = moment(bytes(64), rip=0x1000), moment(b"\0\5" + bytes(62), rip=0x1003)
    step = stops.of_step(before, after)
    assert stops.would_stop(step) == (1,)
    assert stops.judge(step).text == (
        "watchpoint 1: 0x2000, 4 bytes: 0x0 -> 0x500, by the instruction at 0x1000"
    )


def test_a_recorded_step_is_met_by_what_its_instruction_accessed() -> None:
    stops = made(Wanted(ACCESS, 0x2020, 4))
    code = bytes.fromhex("8b042520200000").ljust(64, b"\x90")  # mov eax,[0x2020]
    before, after = moment(code, rip=0x2000), moment(code, rip=0x2007)
    assert stops.would_stop(stops.of_step(before, after)) == (1,)
    assert stops.would_stop(stops.of_step(after, after)) == ()


def test_a_recorded_step_is_met_by_its_exits() -> None:
    stops = made(
        Wanted(EXIT, exits=exit_filter(port=0x3F8)), Wanted(EXIT, exits=exit_filter("HLT"))
    )
    assert stops.would_stop(stops.of_step(moment(), moment(), (OUT,))) == (1,)


def test_watched_memory_that_lies_in_two_pages_is_told_by_its_pieces() -> None:
    stops = made(Wanted(WATCH, 0x2FFE, 4))
    pieces = (Change(0x2FFE, b"\0\0", b"\0\1"), Change(0x3000, b"\2\0", b"\2\0"))
    assert stops.judge(Arrival(moment(), pieces)).text == (
        "watchpoint 1: 0x2ffe, 2 bytes: 0x0 -> 0x100"
    )


def test_several_stop_points_stop_at_once() -> None:
    stops = made(Wanted(BREAK, 0x1000), Wanted(BREAK, 0x1000, temporary=True))
    verdict = stops.judge(Arrival(moment(rip=0x1000)))
    assert verdict.numbers == (1, 2)
    assert verdict.text == "breakpoint 1 at main; temporary breakpoint 2 at main"
    assert [point.number for point in stops.points] == [1]


def test_numbers_are_not_given_twice() -> None:
    stops = made(Wanted(BREAK, 0x1000))
    stops.remove(1)
    assert stops.add(Wanted(BREAK, 0x1000)) == 2
    with pytest.raises(StopError, match="no stop point 1; there are: 2"):
        stops.remove(1)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(BREAK, 0x1000, condition="rax == 1", ignore=2),
        Wanted(BREAK, 0x1000, temporary=True),
        Wanted(WATCH, 0x2000, 8),
        Wanted(ACCESS, 0x2000, 8),
        Wanted(EXIT, exits=exit_filter("IO", 0x3F8), condition="al == 1"),
        Wanted(EXIT, exits=exit_filter("MMIO", address=0xD0000000)),
        Wanted(EXIT),
    ],
)
def test_a_stop_point_can_be_asked_for_again(wanted: Wanted) -> None:
    assert again(made(wanted).points[0]) == wanted
