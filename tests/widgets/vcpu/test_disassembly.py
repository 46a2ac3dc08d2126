"""The code view: current instruction, breakpoints, targets, cursor, notes."""

from dataclasses import replace

from kdash.backends.kvm.facts import Instruction, Registers, RunState, Segment, SourceLine
from kdash.widgets.vcpu.disassembly import DisassemblyView

from .made import PartApp, drawn, listing, snapshot


def at(rip: int, **changes: object) -> Registers:
    return replace(Registers(rax=2, rbx=2, rdx=0x3F8), rip=rip, **changes)  # type: ignore[arg-type]


async def test_the_current_instruction_has_an_arrow_and_tells_what_it_reads() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot(registers=at(0x1003)))
        assert drawn(view).splitlines()[1].split() == [
            *("▶", "1003", "00", "d8", "add", "al,bl"),
            *(";", "al=2", "bl=2"),
        ]


async def test_the_instruction_just_executed_tells_what_it_changed() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        before = snapshot(registers=at(0x1003))
        view.show(before)
        view.show(snapshot(registers=at(0x1005, rax=4)), before)
        assert drawn(view).splitlines()[1].endswith("add al,bl ; rax 2→4")


async def test_a_note_that_does_not_fit_loses_whole_words_never_digits() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(44, 12)) as pilot:
        for width in range(34, 60):
            await pilot.resize_terminal(width, 12)
            view.show(snapshot(registers=at(0x1007, rax=0x34)))
            await pilot.pause()
            line = drawn(view).splitlines()[3]
            note = line.partition("; ")[2].split()
            assert note in ([], ["dx=3f8", "…"], ["dx=3f8", "al=34"])


async def test_breakpoints_have_a_dot() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot(breakpoints=frozenset({0x1008})))
        assert drawn(view).splitlines()[4].startswith("●")


async def test_a_branch_shows_whether_it_is_taken_and_marks_its_target() -> None:
    code = (
        Instruction(0x1000, 0x1000, b"\x49", "dec cx"),
        Instruction(0x1001, 0x1001, b"\x75\xfd", "jne 0x1000", True, target=0x1000),
    )
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot(registers=at(0x1001), disassembly=code))
        first, second = drawn(view).splitlines()
        assert first.startswith(" » 1000")
        assert second.endswith("jne 0x1000 ↑ ; taken")


async def test_the_cursor_goes_with_the_current_instruction_until_moved() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)) as pilot:
        view.show(snapshot())
        view.show(snapshot(registers=at(0x1003)))
        assert view.cursor == 0x1003
        view.focus()
        await pilot.press("j", "j")
        assert view.cursor == 0x1007
        assert drawn(view).splitlines()[3].startswith("  ▸1007")
        view.show(snapshot(registers=at(0x1005)))
        assert view.cursor == 0x1007
        assert not view.on_current


async def test_enter_follows_a_branch_and_comes_back() -> None:
    code = (
        Instruction(0x1000, 0x1000, b"\xeb\x01", "jmp 0x1003", True, target=0x1003),
        Instruction(0x1002, 0x1002, b"\x90", "nop"),
        Instruction(0x1003, 0x1003, b"\xf4", "hlt"),
    )
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)) as pilot:
        view.show(snapshot(disassembly=code))
        view.focus()
        await pilot.press("enter")
        assert view.cursor == 0x1003
        await pilot.press("enter")
        assert view.cursor == 0x1000


async def test_a_click_sets_the_cursor_and_a_double_click_asks_for_a_breakpoint() -> None:
    view = DisassemblyView()
    app = PartApp(view)
    async with app.run_test(size=(70, 12)) as pilot:
        view.show(snapshot())
        await pilot.click(view, offset=(10, 3))
        assert view.cursor == 0x1007
        assert not app.heard
        await pilot.click(view, offset=(10, 4), times=2)
        await pilot.pause()
        assert app.heard == [0x1008]


async def test_home_end_and_gg_reach_the_ends() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)) as pilot:
        view.show(snapshot())
        view.focus()
        await pilot.press("G")
        assert view.cursor == 0x100B
        await pilot.press("g", "g")
        assert view.cursor == 0x1000


async def test_the_current_instruction_stays_in_view_in_a_low_window() -> None:
    rows = tuple(Instruction(ip, ip, b"\x90", "nop") for ip in range(40))
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 6)) as pilot:
        for rip in (0, 3, 4, 5, 20, 39, 2):
            code = tuple(replace(row, current=row.ip == rip) for row in rows)
            view.show(snapshot(registers=at(rip), disassembly=code))
            await pilot.pause()
            assert f"▶ {rip:04x}" in drawn(view)


async def test_an_ended_guest_foretells_nothing() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot(registers=at(0x1003), state=RunState.ENDED))
        assert ";" not in drawn(view)


async def test_unreadable_code_is_said_to_be_so() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot(disassembly=()))
        assert drawn(view) == "nothing readable at CS:IP"


async def test_y_copies_the_line_under_the_cursor() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot())
        assert view.copy_text().endswith("mov dx,0x3f8")


async def test_a_narrow_view_leaves_the_bytes_out() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(30, 12)):
        view.show(snapshot(disassembly=listing()))
        assert "baf803" not in drawn(view)
        assert "mov dx,0x3f8" in drawn(view)


async def test_a_code_segment_with_a_base_says_how_to_get_the_linear_address() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        reset = Registers(rip=0xFFF0, cs=Segment(selector=0xF000, base=0xF0000))
        view.show(snapshot(registers=reset, disassembly=()))
        assert "real mode, cs f000, linear = ip + f0000" in str(view.border_title)


FOR = SourceLine("src/a.c", 7, "\tfor (;;)")
SUM = SourceLine("src/a.c", 8, "\t\tsum += \x1b[31m1;")
COMPILED = (
    Instruction(0x1000, 0x1000, b"\x90", "nop", False, None, "main", FOR),
    Instruction(0x1001, 0x1001, b"\x90", "nop", False, None, "main+0x1", SUM),
    Instruction(0x1002, 0x1002, b"\xe8" * 5, "call 0x1010", True, 0x1010, "main+0x2", SUM,
                target_symbol="f"),
    Instruction(0x1007, 0x1007, b"\xeb\xf7", "jmp 0x1000", False, 0x1000, "main+0x7", SUM,
                target_symbol="main"),
    Instruction(0x1010, 0x1010, b"\xc3", "ret", False, None, "f"),
)  # fmt: skip


async def test_functions_are_labelled_and_source_stands_above_its_code() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot(registers=at(0x1002), disassembly=COMPILED))
        lines = drawn(view).splitlines()
        assert lines[0] == "main:"
        assert lines[1] == "   src/a.c:7 for (;;)"
        assert lines[3] == r"   src/a.c:8 sum += \x1b[31m1;"
        assert lines[4].endswith("nop")
        assert lines[7] == "f:"
        assert [line.split()[0] for line in lines[4:8]] == ["1001", "▶", "1007", "f:"]


async def test_with_room_source_has_a_column_of_its_own() -> None:
    view = DisassemblyView()
    view.source_beside = True
    async with PartApp(view).run_test(size=(80, 12)) as pilot:
        view.show(snapshot(registers=at(0x1002), disassembly=COMPILED))
        lines = drawn(view).splitlines()
        assert lines[0].split() == ["main:", "│"]
        assert lines[1].endswith("│ 7 for (;;)")
        assert [line.split()[0] for line in lines[1:5]] == ["1000", "1001", "▶", "1007"]
        assert lines[3].endswith("│")
        columns = {line.index("│") for line in lines if "│" in line}
        assert len(columns) == 1
        await pilot.resize_terminal(60, 12)
        await pilot.pause()
        assert "   src/a.c:7 for (;;)" in drawn(view).splitlines()


async def test_a_source_line_that_is_too_long_is_cut_and_other_files_are_named() -> None:
    other = SourceLine("include/inline.h", 120, "return " + "x" * 100)
    code = (*COMPILED[:-1], replace(COMPILED[-1], source=other))
    view = DisassemblyView()
    view.source_beside = True
    async with PartApp(view).run_test(size=(80, 12)):
        view.show(snapshot(registers=at(0x1002), disassembly=code))
        lines = drawn(view).splitlines()
        assert all(len(line) <= 80 for line in lines)
        assert any("│ inline.h:120 return xxx" in line and line.endswith("…") for line in lines)


async def test_calls_and_jumps_name_what_they_go_to() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot(registers=at(0x1002), disassembly=COMPILED))
        assert "call 0x1010 <f> ↓" in drawn(view)
        assert "jmp 0x1000 <main> ↑" in drawn(view)


async def test_in_a_narrow_view_source_is_read_and_calls_keep_the_name() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(25, 12)):
        view.show(snapshot(registers=at(0x1002), disassembly=COMPILED))
        lines = drawn(view).splitlines()
        assert "   a.c:7 for (;;)" in lines
        assert "call <f> ↓" in drawn(view)
        assert "jmp 0x1000 ↑" in drawn(view)
        assert all(len(line) <= 25 for line in lines)


async def test_the_title_names_function_and_source_line_that_run_next() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot(registers=at(0x1002), disassembly=COMPILED))
        assert r"16-bit, main, a.c:8 sum += \x1b[31m1;" in str(view.border_title)


async def test_a_click_on_a_source_line_chooses_the_code_below_it() -> None:
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)) as pilot:
        view.show(snapshot(registers=at(0x1002), disassembly=COMPILED))
        await pilot.click(view, offset=(10, 3))
        assert view.cursor == 0x1001
        await pilot.click(view, offset=(10, 7))
        assert view.cursor == 0x1010
        assert view.copy_text().endswith("ret")


async def test_the_current_instruction_stays_in_view_between_lines_of_source() -> None:
    rows = tuple(
        Instruction(ip, ip, b"\x90", "nop", source=SourceLine("a.c", ip)) for ip in range(40)
    )
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 6)) as pilot:
        for rip in (0, 3, 4, 20, 39, 2):
            view.show(snapshot(registers=at(rip), disassembly=rows))
            await pilot.pause()
            assert f"   a.c:{rip}\n ▶ {rip:04x}" in drawn(view)


async def test_names_of_functions_are_data() -> None:
    rows = (replace(COMPILED[0], symbol="[b]main\x1b+0x3", source=None),)
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(snapshot(registers=at(0x1000), disassembly=rows))
        assert drawn(view).splitlines()[0] == "[b]main\\x1b+0x3:"


async def test_before_it_is_known_how_much_room_there_is_nothing_is_said() -> None:
    view = DisassemblyView()
    view.lay_out()
    assert view.lines == ()


async def test_enter_asks_for_the_target_of_a_call_that_is_not_listed() -> None:
    far = replace(COMPILED[2], target=0x5000, target_symbol="[far]")
    view = DisassemblyView()
    asked: list[tuple[int, bool]] = []

    class AskedApp(PartApp):
        def on_disassembly_view_wanted(self, event: DisassemblyView.Wanted) -> None:
            asked.append((event.ip, event.onward))

    async with AskedApp(view).run_test(size=(70, 12)) as pilot:
        view.show(snapshot(registers=at(0x1000), disassembly=(COMPILED[0], COMPILED[1], far)))
        view.focus()
        await pilot.press("G", "enter", "j")
        await pilot.pause()
        assert asked == [(0x5000, False), (0x1002 + len(far.code), True)]


async def test_code_listed_elsewhere_stays_while_the_guest_stands() -> None:
    view = DisassemblyView()
    stands = snapshot(registers=at(0x1000), disassembly=COMPILED)
    elsewhere = tuple(replace(one, ip=one.ip + 0x4000) for one in COMPILED)
    async with PartApp(view).run_test(size=(70, 12)):
        view.show(stands)
        view.list_code(elsewhere, onward=False)
        view.show(replace(stands, breakpoints=frozenset({elsewhere[0].ip})))
        assert view.cursor == elsewhere[0].ip
        assert any("●" in line.text for line in view.lines)
        view.show(snapshot(registers=at(0x1001), disassembly=COMPILED))
        assert view.cursor == 0x1001


async def test_an_operand_that_does_not_fit_is_cut_with_a_mark_never_to_another_number() -> None:
    store = Instruction(0x1000, 0x1000, bytes.fromhex("c7430434120000"), "mov [rbx+4],0x1234")
    view = DisassemblyView()
    async with PartApp(view).run_test(size=(60, 6)) as pilot:
        for width in range(24, 60):
            await pilot.resize_terminal(width, 6)
            view.show(snapshot(registers=at(0x1000), disassembly=(store,)))
            await pilot.pause()
            line = drawn(view).splitlines()[0].rstrip()
            assert "0x1234" in line or line.endswith("…")
