"""Where the parts stand: nothing overlaps, nothing leaves the room, the important is there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.widgets.vcpu.arrangement import PARTS, Place, Room, arrange, borders
from kdash.widgets.vcpu.splits import COLUMN, border_of


def lines(width: int, full: bool) -> int:
    return 14 if full else max(6, 500 // width)


def room(width: int, height: int, memory: bool = False) -> Room:
    return Room(width, height, memory, lines)


def cells(place: Place) -> set[tuple[int, int]]:
    return {
        (x, y)
        for x in range(place.x, place.x + place.width)
        for y in range(place.y, place.y + place.height)
    }


@given(
    width=st.integers(20, 200),
    height=st.integers(4, 60),
    memory=st.booleans(),
    timeline=st.booleans(),
    view=st.sampled_from(["", *PARTS]),
    moved=st.dictionaries(st.sampled_from([COLUMN, *PARTS]), st.integers(-80, 80)),
    outputs=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_parts_neither_overlap_nor_leave_the_room(
    width: int,
    height: int,
    memory: bool,
    timeline: bool,
    view: str,
    moved: dict[str, int],
    outputs: tuple[bool, bool, bool],
) -> None:
    taken: set[tuple[int, int]] = set()
    shared = room(width, height, memory)._replace(
        timeline=timeline, moved=moved, screen=outputs[0], serial=outputs[1], sourced=outputs[2]
    )
    for place in arrange(shared, view).values():
        own = cells(place)
        assert not own & taken
        assert all(0 <= x < width and 0 <= y < height for x, y in own)
        taken |= own


@pytest.mark.parametrize("size", [(78, 22), (118, 38), (49, 44), (156, 44), (60, 22)])
def test_registers_and_code_are_always_there(size: tuple[int, int]) -> None:
    assert {"status", "registers", "code"} <= set(arrange(room(*size), ""))


@pytest.mark.parametrize("size", [(78, 22), (118, 38), (49, 44), (156, 44)])
def test_exits_and_serial_are_there_at_the_usual_sizes(size: tuple[int, int]) -> None:
    assert {"exits", "serial"} <= set(arrange(room(*size), ""))


@pytest.mark.parametrize("size", [(78, 22), (118, 38), (49, 44), (156, 44), (63, 56)])
@pytest.mark.parametrize("serial", [False, True])
def test_the_text_screen_stands_beside_the_others_once_written(
    size: tuple[int, int], serial: bool
) -> None:
    places = arrange(room(*size)._replace(screen=True, serial=serial), "")
    assert {"registers", "code", "exits", "screen"} <= set(places)
    assert places["screen"].height >= 7
    assert places["code"].height >= 6


@pytest.mark.parametrize(("width", "more"), [(115, False), (118, True), (158, True)])
def test_code_whose_source_is_known_gets_more_of_a_wide_room(width: int, more: bool) -> None:
    known, unknown = (
        arrange(room(width, 38)._replace(sourced=sourced), "")["code"].width
        for sourced in (True, False)
    )
    assert (known > unknown) is more


def test_a_wide_room_shows_every_column_of_the_text_screen() -> None:
    assert arrange(room(156, 44)._replace(screen=True), "")["screen"].width > 80
    assert arrange(room(78, 22)._replace(screen=True), "")["screen"].width == 78


def test_a_serial_port_that_sent_nothing_makes_room_for_the_text_screen() -> None:
    for size in ((78, 22), (118, 38), (156, 44)):
        shown = room(*size)._replace(screen=True, serial=False)
        assert "serial" not in arrange(shown, "")
        assert "serial" in arrange(shown._replace(serial=True), "")


def test_a_part_beside_another_moves_the_border_below_them_both() -> None:
    places = arrange(room(78, 22), "")
    serial = places["serial"]
    found = border_of(
        borders(places), "serial", (serial.x, serial.y + serial.height), sideways=False
    )
    assert found is not None
    assert (found.name, found.below) == ("code", "exits")


def test_the_smallest_usual_terminal_shows_every_instruction_of_the_first_guest() -> None:
    places = arrange(room(78, 22), "")
    assert places["code"].height >= 8  # a title and seven instructions
    assert places["exits"].height >= 4  # a title, a header, two exits


def test_a_view_of_one_part_has_all_the_room_below_the_status() -> None:
    assert arrange(room(78, 22), "exits") == {
        "status": Place(0, 0, 78, 1),
        "exits": Place(0, 1, 78, 21),
    }


def test_memory_stands_beside_the_others_once_asked_for() -> None:
    assert "memory" not in arrange(room(49, 44), "")
    assert "memory" in arrange(room(49, 44, memory=True), "")
    assert "memory" in arrange(room(156, 44), "")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 48)])
def test_every_border_between_two_parts_can_be_moved(size: tuple[int, int]) -> None:
    before = arrange(room(*size, memory=True), "")
    found = borders(before)
    assert COLUMN in {one.name for one in found}
    for border in found:
        after = arrange(room(*size, memory=True)._replace(moved={border.name: -1}), "")
        if border.name == COLUMN:
            assert after["code"] != before["code"]
        else:
            assert after[border.below].y == before[border.below].y - 1


def test_no_part_is_pushed_out_by_its_neighbour() -> None:
    places = arrange(room(120, 40)._replace(moved={"registers": 99, COLUMN: -99}), "")
    assert places["exits"].height == 2
    assert places["registers"].width == 20
