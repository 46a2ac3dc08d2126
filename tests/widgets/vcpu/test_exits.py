"""The list of exits: grows, follows, filters, tells one in full."""

from dataclasses import replace

from kdash.backends.kvm.facts import (
    Exit,
    ExitReason,
    MmioExit,
    OtherExit,
    Registers,
    RunState,
    VcpuBrief,
    VcpuState,
)
from kdash.widgets.vcpu.exits import FIELDS, LIVE, ExitList, exit_detail, exit_fields

from .made import PartApp, io_exit, snapshot


def table_text(part: ExitList) -> str:
    table = part.table
    table.render_lines(table.size.region)
    return "\n".join(table.render_line(y).text.rstrip() for y in range(table.size.height))


async def test_an_empty_list_says_how_it_fills() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(80, 10)):
        assert "no exits yet: s steps, space runs" in table_text(part)


async def test_a_guest_that_ended_without_an_exit_is_not_asked_to_step() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(80, 10)):
        part.show(snapshot(state=RunState.ENDED))
        assert "s steps" not in table_text(part)
        assert "the guest ended without an exit" in table_text(part)


async def test_exits_are_listed_with_their_meaning() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)) as pilot:
        meaning = "out 0x3f8, 1 byte: 0x34 '4' (serial, transmit)"
        part.show(snapshot(exits=(io_exit(0, meaning),), exits_total=1))
        await pilot.pause()
        row = table_text(part).splitlines()[1]
        assert row.split()[:5] == ["▸", "0", "3", "IO", "1007"]
        assert row.endswith(meaning)


async def test_only_new_exits_are_added() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)):
        part.show(snapshot(exits=(io_exit(0), io_exit(1)), exits_total=2))
        part.show(snapshot(exits=(io_exit(0), io_exit(1), io_exit(2)), exits_total=3))
        assert [row.index for row in part.table.shown_rows] == [0, 1, 2]


async def test_the_list_has_no_gaps() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)):
        part.show(snapshot(exits=(io_exit(0), io_exit(1)), exits_total=2))
        part.show(snapshot(exits=(io_exit(900), io_exit(901)), exits_total=902))
        assert [row.index for row in part.table.shown_rows] == [900, 901]
        assert "the last 2 of 902" in str(part.border_title)
        part.table.filter("kind:HLT")
        part.on_filter_bar_applied()
        assert "0 of 2 listed pass the filter" in str(part.border_title)
        assert "none of the 2 exits that are listed passes" in part.table.placeholder


async def test_the_cursor_follows_the_newest_exit_until_moved() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)):
        part.show(snapshot(exits=tuple(map(io_exit, range(5))), exits_total=5))
        assert part.table.cursor == 4
        part.table.cursor = 1
        part.show(snapshot(exits=tuple(map(io_exit, range(8))), exits_total=8))
        assert part.table.cursor == 1


async def test_exits_of_a_guest_that_runs_are_listed_a_little_later_all_of_them() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)) as pilot:
        for count in (1, 2, 3):
            exits = tuple(map(io_exit, range(count)))
            part.show(snapshot(state=RunState.RUNNING, exits=exits, exits_total=count))
        assert [row.index for row in part.table.shown_rows] == [0]
        await pilot.pause(2 * LIVE)
        assert [row.index for row in part.table.shown_rows] == [0, 1, 2]


async def test_a_guest_that_stops_shows_its_exits_at_once() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)) as pilot:
        part.show(snapshot(state=RunState.RUNNING, exits=(io_exit(0),), exits_total=1))
        exits = (io_exit(0), io_exit(1))
        part.show(snapshot(state=RunState.RUNNING, exits=exits, exits_total=2))
        part.show(snapshot(exits=(*exits, io_exit(2)), exits_total=3))
        assert part.table.row_count == 3
        await pilot.pause(2 * LIVE)
        assert part.table.row_count == 3


async def test_a_restart_empties_the_list() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)):
        part.show(snapshot(exits=(io_exit(0), io_exit(1)), exits_total=2))
        part.show(snapshot())
        assert part.table.total_count == 0
        assert str(part.border_title).strip() == "Exits"


async def test_a_filter_finds_ports_and_leaves_out_what_is_marked() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)) as pilot:
        halt = Exit(2, 5, 0, ExitReason.HLT, "HLT", 0x100B, OtherExit(), "hlt: the guest halted")
        part.show(snapshot(exits=(io_exit(0), io_exit(1), halt), exits_total=3))
        part.open_filter("!")
        await pilot.press(*"kind:IO")
        assert [row.name for row in part.table.shown_rows] == ["HLT"]
        await pilot.press("escape")
        part.open_filter()
        await pilot.press(*"port:0x3f8")
        assert [row.index for row in part.table.shown_rows] == [0, 1]
        assert "2 of 3 listed pass the filter" in str(part.border_title)
        await pilot.press(*"0")
        assert "no exit passes the filter" in table_text(part)


async def test_enter_tells_an_exit_in_full_and_escape_puts_it_away() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 14)) as pilot:
        part.show(snapshot(exits=(io_exit(0, data=b"4"),), exits_total=1))
        part.table.focus()
        await pilot.press("enter")
        assert part.has_class("-detail")
        await pilot.press("escape")
        assert not part.has_class("-detail")


def test_the_detail_of_an_exit_names_reason_place_and_bytes() -> None:
    told = exit_detail(io_exit(7, "out 0x3f8", b"\x1b["))
    assert told.splitlines() == [
        "exit 7, KVM_EXIT_IO (2), VCPU 0, in step 3, ip 0x1007",
        "out 0x3f8",
        "data 1b 5b",
    ]


def test_an_exit_at_full_speed_has_no_step() -> None:
    assert "at full speed" in exit_detail(replace(io_exit(0), step=None))


def test_an_mmio_exit_can_be_found_by_address() -> None:
    detail = MmioExit(True, 0xFEE0_00B0, b"\0\0\0\0")
    row = Exit(0, 1, 0, ExitReason.MMIO, "MMIO", 0x1000, detail, "mmio write")
    assert exit_fields(row)["address"] == "0xfee000b0"
    assert exit_fields(row)["direction"] == "write"


async def test_markup_and_escapes_in_a_meaning_are_shown_as_they_are() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 14)) as pilot:
        part.show(snapshot(exits=(io_exit(0, "[bold]x[/] \x1b[31m"),), exits_total=1))
        part.table.focus()
        await pilot.press("enter")
        assert r"[bold]x[/] \x1b[31m" in table_text(part)


TWO = tuple(VcpuBrief(index, VcpuState.RUNNABLE, Registers()) for index in range(2))


async def test_exits_of_a_machine_with_several_vcpus_name_theirs() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(60, 10)) as pilot:
        exits = (io_exit(0), replace(io_exit(1), vcpu=1))
        part.show(snapshot(exits=exits, exits_total=2, vcpus=TWO))
        await pilot.pause()
        head, first, second, *_ = table_text(part).splitlines()
        assert head.split()[:3] == ["step", "vcpu", "kind"]
        assert first.split()[:3] == ["3", "0", "IO"]
        assert second.split()[:4] == ["▸", "3", "1", "IO"]


async def test_exits_of_one_vcpu_leave_its_number_out() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)) as pilot:
        part.show(snapshot(exits=(io_exit(0),), exits_total=1))
        await pilot.pause()
        assert "vcpu" not in table_text(part)


async def test_a_filter_leaves_the_exits_of_one_vcpu() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(100, 10)) as pilot:
        part.open_filter()  # before the first exit
        await pilot.press(*"vcpu:1")
        exits = (io_exit(0), replace(io_exit(1), vcpu=1), io_exit(2))
        part.show(snapshot(exits=exits, exits_total=3, vcpus=TWO))
        assert [row.index for row in part.table.shown_rows] == [1]


def test_the_names_of_fields_are_those_of_every_exit() -> None:
    assert tuple(exit_fields(io_exit(0))) == FIELDS
