"""The parts of the detail, line by line."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kdash.backends.stack.facts import Finding, PathStep
from kdash.widgets.columns import tail
from kdash.widgets.printable import printable
from kdash.widgets.stack.advice import Advice
from kdash.widgets.stack.disassembly import Disassembly, brief
from kdash.widgets.stack.entry import Entry
from kdash.widgets.stack.head import Head
from kdash.widgets.stack.lines_view import LinesView
from kdash.widgets.stack.steps import Steps
from tests.widgets.stack.made import BROKEN, CODE, HOSTILE, RULE, UNREACHABLE, finding, report


def texts(view: LinesView, width: int = 76) -> list[str]:
    return ["".join(span.text for span in line.spans).rstrip() for line in view.lay_out(width)]


def disassembly(shown: Finding, step: tuple[int, str] | None = None) -> Disassembly:
    view = Disassembly()
    view._finding = shown
    view._path = frozenset((step.offset, step.text) for step in shown.path)
    view._step = step
    return view


def head(entry: Entry, note: str = "") -> Head:
    view = Head()
    view._entry, view._note = entry, note
    return view


def test_the_site_is_marked_and_has_its_state_beside_it() -> None:
    (site,) = [line for line in texts(disassembly(finding())) if line.startswith("▶")]
    assert site.split() == ["▶", "+d", "call", "kfree", "CFA=rsp+16,", "rbx@CFA-16"]


def test_instructions_on_the_path_are_marked() -> None:
    marked = [line.split()[1] for line in texts(disassembly(finding())) if line.startswith("│")]
    assert marked == ["+0", "+6"]


def test_the_step_looked_at_is_marked() -> None:
    (step,) = [
        line for line in texts(disassembly(finding(), (6, "je 0x3d"))) if line.startswith("»")
    ]
    assert "je 0x3d" in step


def test_offsets_count_from_the_symbol_above() -> None:
    lines = texts(disassembly(finding()))
    after = lines[lines.index("   x_remove:") + 1]
    assert after.split()[:2] == ["+0", "ret"]


def test_offsets_before_any_symbol_count_from_the_section() -> None:
    outside = replace(UNREACHABLE, address=0x31, offset=0x31, disassembly=CODE[1:3])
    assert [line.split()[0] for line in texts(disassembly(outside))] == ["31", "34"]


def test_instructions_that_are_never_reached_say_so() -> None:
    (nop,) = [line for line in texts(disassembly(finding())) if "nop" in line]
    assert nop.endswith("not reached")


def test_the_bytes_are_shown_when_there_is_room() -> None:
    assert not any("48 89 fb" in line for line in texts(disassembly(finding()), 76))
    assert any("48 89 fb" in line for line in texts(disassembly(finding()), 100))


def test_a_finding_without_disassembly_says_so() -> None:
    assert texts(disassembly(UNREACHABLE)) == ["  no disassembly for this one"]


def test_a_state_is_shortened_without_losing_its_numbers() -> None:
    assert brief("CFA is rbp+16, rbp saved at CFA-16") == "CFA=rbp+16, rbp@CFA-16"


def test_the_path_is_numbered_and_says_how_each_step_was_reached() -> None:
    view = Steps()
    view._finding, view.current = finding(), 1
    first, second, third = (line.split() for line in texts(view))
    assert first == ["1", "+0", "push", "rbx", "entry"]
    assert second == ["path", "2/3", "+6", "je", "0x3d", "next"]
    assert third == ["3", "+d", "call", "kfree", "jump", "taken"]


def test_an_alternative_names_its_feature() -> None:
    view = Steps()
    step = PathStep(4, "stac", "alternative", "X86_FEATURE_SMAP")
    view._finding = finding(path=(step,))
    assert texts(view)[0].endswith("alternative SMAP")


def test_a_finding_without_path_says_so() -> None:
    view = Steps()
    view._finding = UNREACHABLE
    assert "no path from a function's entry" in texts(view)[0]
    view._finding = replace(UNREACHABLE, origin="objtool", disassembly=())
    assert texts(view) == ["path      not known"]


def test_the_head_says_what_where_expected_and_found() -> None:
    one = finding()
    title, *lines = texts(head(Entry(report(one), one), "1 of 2"))
    assert title.startswith("E call-without-frame  x_probe+0xd")
    assert title.endswith("1 of 2")
    assert lines == [
        "what      call without frame pointer save/setup (callee kfree)",
        "expected  CFA is rbp+16, rbp saved at CFA-16",
        "found     CFA is rsp+16, rbx saved at CFA-16",
        "source    drivers/net/file.c:120  [drivers/net/file0.o  .text+0x3d]",
    ]


def test_source_and_object_that_do_not_fit_on_one_line_are_cut_at_their_beginning() -> None:
    one = finding(file="a/long/way/down/to/drivers/net/file0.o")
    assert texts(head(Entry(report(one), one)), 40)[-2:] == [
        "source    drivers/net/file.c:120",
        "object    …ivers/net/file0.o  .text+0x3d",
    ]


def test_a_sample_is_called_one() -> None:
    one = finding()
    assert texts(head(Entry(report(one, sample=True), one)))[-1] == (
        "source    drivers/net/file.c:120  [sample file0.o  .text+0x3d]"
    )


def test_the_head_of_a_file_that_can_not_be_read_gives_the_reason() -> None:
    assert texts(head(Entry(BROKEN)))[1] == "error     not an ELF file"


def test_the_rule_is_explained_with_its_related_sites() -> None:
    one = finding()
    view = Advice()
    view._entry = Entry(report(one, frame_pointer=True, frame_pointer_reason="on: 5 of 6"), one)
    view._rule = RULE
    assert texts(view) == [
        "protects  A stack trace through this function leaves out its caller.",
        "do        Put FRAME_BEGIN and FRAME_END around the body.",
        "related   unreachable at +40",
        "rules     frame pointer rules on: 5 of 6",
    ]


@pytest.mark.parametrize("width", [1, 10, 30, 51, 80, 200])
def test_every_part_can_be_laid_out_in_any_width(width: int) -> None:
    for one in (finding(), UNREACHABLE, HOSTILE):
        entry = Entry(report(one), one)
        steps, advice = Steps(), Advice()
        steps._finding, advice._entry, advice._rule = one, entry, RULE
        for view in (disassembly(one), head(entry, "1 of 2"), steps, advice):
            assert view.lay_out(width)


@given(st.text(max_size=30), st.integers(1, 20))
def test_a_tail_is_no_longer_than_wanted_and_ends_as_the_text(text: str, width: int) -> None:
    shown = printable(text)
    cut = tail(shown, width)
    assert cell_len(cut) <= width
    assert cut == shown or shown.endswith(cut[1:])


@given(st.text(max_size=20), st.text(max_size=20))
def test_names_from_the_file_never_change_the_columns(function: str, text: str) -> None:
    code = tuple(replace(line, text=text) for line in CODE)
    view = disassembly(finding(function=function, disassembly=code))
    rows = [line.spans for line in view.lay_out(76) if len(line.spans) == 4]
    assert len({sum(cell_len(span.text) for span in spans[:3]) for spans in rows}) == 1
