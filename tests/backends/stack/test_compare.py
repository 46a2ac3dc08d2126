"""Two runs compared: new, fixed, moved, the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack.compare import Comparison, changes, object_name
from kdash.backends.stack.facts import FileReport, Finding, Level

ONE = Finding("old/x.o", ".text", "f", 8, 8, "decode", Level.ERROR, "m", fingerprint="1")


def here(*findings: Finding) -> FileReport:
    return FileReport("new/x.o", tuple(replace(one, file="new/x.o") for one in findings))


def told(report: FileReport) -> list[tuple[str, str]]:
    return [(one.change, one.was) for one in report.findings]


def test_what_stands_at_the_same_place_is_the_same_whatever_the_folder() -> None:
    comparison = Comparison([ONE])
    assert told(comparison.classified(here(ONE))) == [("same", "")]
    assert comparison.fixed() == []


def test_what_the_older_run_does_not_have_is_new() -> None:
    assert told(Comparison([]).classified(here(ONE))) == [("new", "")]


def test_what_is_found_no_more_is_fixed() -> None:
    (report,) = Comparison([ONE]).fixed()
    assert (report.file, told(report)) == ("old/x.o", [("fixed", "")])


def test_a_finding_at_another_offset_or_function_moved_and_says_from_where() -> None:
    for moved in (replace(ONE, offset=9), replace(ONE, function="f.isra.0")):
        assert told(Comparison([ONE]).classified(here(moved))) == [("moved", "old/x.o: f+0x8")]


def test_what_went_to_another_file_is_known_once_all_files_are() -> None:
    comparison = Comparison([ONE])
    first = comparison.classified(FileReport("new/y.o", (replace(ONE, file="new/y.o"),)))
    assert told(first) == [("new", "")]
    assert told(comparison.settled_report(first)) == [("moved", "old/x.o: f+0x8")]
    assert comparison.fixed() == []


def test_one_that_stays_is_not_taken_for_one_that_went() -> None:
    stays, comes = ONE, replace(ONE, offset=2)
    assert told(Comparison([stays]).classified(here(comes, stays))) == [("new", ""), ("same", "")]


def test_of_files_with_the_same_name_the_one_in_the_same_folder_is_meant() -> None:
    first = replace(ONE, file="old/a/x.o", offset=1)
    second = replace(ONE, file="old/b/x.o", offset=2)
    report = FileReport("new/b/x.o", (replace(ONE, file="new/b/x.o", offset=7),))
    assert told(Comparison([first, second]).classified(report)) == [("moved", "old/b/x.o: f+0x2")]


def test_a_module_is_known_again_when_it_is_compressed() -> None:
    assert object_name("a/x.ko.xz") == object_name("b/x.ko") == "x.ko"


def test_files_that_were_not_looked_at_have_nothing_fixed() -> None:
    assert Comparison([ONE]).fixed({"y.o"}) == []
    assert len(Comparison([ONE]).fixed({"x.o"})) == 1


def test_where_no_offsets_are_known_the_function_is_the_place() -> None:
    accepted = replace(ONE, offset=0, placed=False)
    assert told(Comparison([accepted]).classified(here(ONE))) == [("same", "")]
    other = replace(accepted, function="g")
    assert told(Comparison([other]).classified(here(ONE))) == [("moved", "old/x.o: g")]


def test_without_a_fingerprint_kind_function_and_message_tell() -> None:
    bare = replace(ONE, fingerprint="")
    assert told(Comparison([bare]).classified(here(bare))) == [("same", "")]


FINDINGS = st.lists(
    st.builds(
        lambda file, function, offset, mark: replace(
            ONE, file=f"{file}.o", function=function, offset=offset, fingerprint=mark
        ),
        *(st.sampled_from("ab"), st.sampled_from("fg"), st.integers(0, 2), st.sampled_from("12")),
    ),
    max_size=8,
)


@given(FINDINGS, FINDINGS)
def test_every_finding_of_both_runs_is_told_exactly_once(
    older: list[Finding], newer: list[Finding]
) -> None:
    comparison = Comparison(older)
    files = {one.file for one in newer}
    reports = [FileReport(f, tuple(one for one in newer if one.file == f)) for f in sorted(files)]
    settled = [
        comparison.settled_report(one) for one in [comparison.classified(r) for r in reports]
    ]
    counts = changes([*settled, *comparison.fixed()])
    assert counts["new"] + counts["moved"] + counts["same"] == len(newer)
    assert counts["fixed"] + counts["moved"] + counts["same"] == len(older)
    marks = [Counter(one.fingerprint for one in run) for run in (older, newer)]
    assert counts["moved"] + counts["same"] == (marks[0] & marks[1]).total()


@given(FINDINGS)
def test_a_run_compared_with_itself_is_the_same(findings: list[Finding]) -> None:
    comparison = Comparison(findings)
    for file in {one.file for one in findings}:
        report = comparison.classified(
            FileReport(file, tuple(one for one in findings if one.file == file))
        )
        assert {one.change for one in report.findings} == {"same"}
    assert comparison.fixed() == []
