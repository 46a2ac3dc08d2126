"""Rows of the findings list."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack.facts import Finding, Level, Line
from kdash.widgets.filter import predicate
from kdash.widgets.stack.entry import ORDERS, Entry, entries, fields, last_called
from tests.widgets.stack.made import BROKEN, UNREACHABLE, finding, mixed, report


def passes(text: str, entry: Entry) -> bool:
    return predicate(text, fields(entry))(fields(entry))


def test_a_clean_file_has_no_row() -> None:
    assert entries(report()) == ()


def test_a_file_that_can_not_be_read_has_a_row_of_its_own() -> None:
    (entry,) = entries(BROKEN)
    assert (entry.letter, entry.kind, entry.message) == ("!", "unreadable", "not an ELF file")


def test_levels_are_letters() -> None:
    assert [entry.letter for entry in entries(report(finding(), UNREACHABLE))] == ["E", "W"]


def test_the_place_is_the_section_outside_functions() -> None:
    assert [entry.place for entry in entries(report(finding(), UNREACHABLE))] == [
        "x_probe+0xd",
        ".init.text+0x12",
    ]


def test_filters_find_findings_by_any_field() -> None:
    (entry,) = entries(report(finding()))
    for text in ("kind:call", "file:net/file0", "function:^x_probe$", "level:error", "callee:kfree",
                 "source:file.c:120", "cause:5f1c", "section:text", "message:pointer"):  # fmt: skip
        assert passes(text, entry), text
        assert not passes(f"!{text}", entry), text


def test_filters_find_unreadable_files() -> None:
    (entry,) = entries(BROKEN)
    assert passes("kind:unreadable", entry)
    assert not passes("level:error", entry)


FINDINGS = st.builds(
    finding,
    st.integers(0, 5),
    function=st.text(max_size=5),
    kind=st.sampled_from(["unreachable", "decode"]),
    level=st.sampled_from(Level),
)


@given(st.lists(FINDINGS))
def test_every_order_can_compare_all_rows(found: list[Finding]) -> None:
    rows = [row for one in (*mixed(), report(*found)) for row in entries(one)]
    for key in ORDERS.values():
        if key is not None:
            assert len(sorted(rows, key=key)) == len(rows)


@given(FINDINGS)
def test_all_rows_have_the_same_fields_in_the_same_order(one: Finding) -> None:
    assert list(fields(Entry(report(one), one))) == list(fields(Entry(BROKEN)))


def test_where_code_runs_on_the_function_called_last_is_in_doubt() -> None:
    last = Line(0x30, b"\xe8\0\0\0\0", "call stop", site=True)
    runs_on = finding(kind="fallthrough", callee="next_function", disassembly=(last,))
    assert last_called(runs_on) == "stop"
    assert last_called(replace(runs_on, disassembly=())) == ""
