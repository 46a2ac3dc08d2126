"""Findings of a log beside our own: agreement, enrichment, and objects that are not at hand."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kdash.backends.stack.facts import FileReport, Finding
from kdash.backends.stack.formats import json_line, text_line
from kdash.backends.stack.import_results import beside_ours
from kdash.backends.stack.log_findings import log_findings
from kdash.backends.stack.places import Places

pytestmark = pytest.mark.gcc

Assemble = Callable[..., Path]

# Calls without a frame at +1, and returns with a changed stack at +7.
BAD = """
FUNC broken
    nop
    call elsewhere
    push %rbx
    ret
END broken
FUNC fine
    ret
END fine
"""


def imported(build: Path, *lines: str) -> tuple[FileReport, Finding]:
    (report,) = beside_ours(log_findings(lines), Places(str(build)))
    (finding,) = report.findings
    return report, finding


@pytest.fixture
def build(assemble: Assemble) -> Path:
    return assemble(BAD, "unit", "-g").parent


def test_where_the_validator_agrees_the_finding_has_its_state_and_disassembly(build: Path) -> None:
    _, finding = imported(
        build, "unit.o: warning: objtool: broken()+0x7: return with modified stack frame"
    )
    assert (finding.origin, finding.agrees, finding.verdict) == ("objtool", True, "")
    assert (finding.expected, finding.found) == (
        "CFA is rsp+8",
        "CFA is rsp+16, rbx saved at CFA-16",
    )
    assert finding.path
    assert finding.source
    assert any(line.site and line.text == "ret" for line in finding.disassembly)


def test_the_message_and_level_are_those_of_the_log(build: Path) -> None:
    _, finding = imported(
        build, "unit.o: error: objtool: broken+0x7: return without frame pointer restore"
    )
    assert finding.message == "return without frame pointer restore"
    assert finding.level.value == "error"


def test_a_frame_pointer_warning_turns_the_frame_pointer_rules_on(build: Path) -> None:
    report, finding = imported(
        build, "unit.o: warning: objtool: broken()+0x1: call without frame pointer save/setup"
    )
    assert report.frame_pointer
    assert finding.agrees is True


def test_what_the_validator_does_not_find_is_said_beside_the_code(build: Path) -> None:
    _, finding = imported(build, "unit.o: warning: objtool: fine()+0x0: undefined stack state")
    assert finding.agrees is False
    assert finding.verdict == "kdash finds nothing in this function"
    assert any(line.site for line in finding.disassembly)


def test_another_finding_of_ours_in_the_function_is_named(build: Path) -> None:
    _, finding = imported(build, "unit.o: warning: objtool: broken()+0x1: undefined stack state")
    assert finding.agrees is False
    assert "return-modified at +0x7" in finding.verdict


def test_a_function_the_object_does_not_have_is_said(build: Path) -> None:
    _, finding = imported(build, "unit.o: warning: objtool: gone()+0x1: undefined stack state")
    assert finding.agrees is None
    assert finding.verdict == "the object has no gone: not the one of these results"


def test_an_object_is_found_below_the_build_folder_by_the_end_of_its_path(build: Path) -> None:
    deeper = build / "drivers" / "net"
    deeper.mkdir(parents=True)
    (build / "unit.o").rename(deeper / "unit.o")
    _, finding = imported(build, "net/unit.o: warning: objtool: fine()+0x0: undefined stack state")
    assert finding.agrees is False


def test_an_object_that_is_there_twice_is_not_guessed(build: Path) -> None:
    for name in ("a", "b"):
        (build / name).mkdir()
        (build / name / "twin.o").write_bytes((build / "unit.o").read_bytes())
    _, finding = imported(build, "twin.o: warning: objtool: fine()+0x0: undefined stack state")
    assert finding.verdict == f"2 files below {build} are called twin.o"


def test_an_object_that_is_missing_is_named(tmp_path: Path) -> None:
    _, finding = imported(tmp_path, "x.o: warning: objtool: f()+0x0: undefined stack state")
    assert (finding.verdict, finding.agrees) == (f"no x.o below {tmp_path}", None)


def test_a_damaged_object_costs_only_its_details(tmp_path: Path) -> None:
    (tmp_path / "x.o").write_bytes(b"\x7fELF")
    report, finding = imported(tmp_path, "x.o: warning: objtool: f()+0x0: undefined stack state")
    assert not report.error
    assert str(tmp_path / "x.o") in finding.verdict


def test_findings_of_one_object_stand_together(build: Path) -> None:
    lines = [
        "unit.o: warning: objtool: fine()+0x0: undefined stack state",
        "other.o: warning: objtool: f()+0x0: undefined stack state",
        "unit.o: warning: objtool: broken()+0x7: return with modified stack frame",
    ]
    reports = list(beside_ours(log_findings(lines), Places(str(build))))
    assert [(report.file, len(report.findings)) for report in reports] == [
        ("unit.o", 2), ("other.o", 1),
    ]  # fmt: skip


def test_where_the_log_names_no_instruction_ours_tells_the_place(build: Path) -> None:
    _, finding = imported(
        build, "unit.o: warning: objtool: broken(): return with modified stack frame"
    )
    assert (finding.agrees, finding.placed, finding.offset) == (True, True, 7)


def test_a_place_that_is_not_known_is_not_invented(build: Path) -> None:
    _, finding = imported(
        build, "unit.o: warning: objtool: fine() falls through to next function g()"
    )
    assert (finding.agrees, finding.placed, finding.place) == (False, False, "fine")
    assert finding.disassembly
    assert not any(line.site for line in finding.disassembly)
    assert "offset" not in json.loads(json_line(finding))
    assert ": fine: warning: fallthrough: " in text_line(finding)
    _, section = imported(build, "x.o: warning: objtool: .text: unexpected end of section")
    assert section.place == ".text"


def test_a_place_where_only_the_log_finds_something_has_state_and_path_too(build: Path) -> None:
    _, finding = imported(build, "unit.o: warning: objtool: broken()+0x7: undefined stack state")
    assert finding.agrees is False
    assert finding.found == "CFA is rsp+16, rbx saved at CFA-16"
    assert [step.text for step in finding.path] == ["nop", "push rbx", "ret"]


def test_what_stands_behind_a_warning_is_explained(assemble: Assemble) -> None:
    text = (
        "FUNC f\n1: ud2\n xor %eax, %eax\n ret\nEND f\n"
        '.section __bug_table, "aw"\n .long 1b - ., 0\n .word 7, 1\n'
    )
    build = assemble(text, "unit").parent
    _, finding = imported(build, "unit.o: warning: objtool: f()+0x2: unreachable instruction")
    assert finding.verdict == (
        "kdash finds nothing in this function: it stands behind a WARN(), which returns"
    )


def test_what_is_about_no_place_is_not_called_missing(build: Path) -> None:
    _, finding = imported(build, "unit.o: warning: objtool: file already has .orc_unwind section")
    assert (finding.agrees, finding.verdict) == (None, "about the object as a whole")


def test_a_wording_that_is_no_rule_is_neither_agreed_with_nor_denied(build: Path) -> None:
    for said in ("call to x() leaves .noinstr.text section", "a wording of tomorrow"):
        _, finding = imported(build, f"unit.o: warning: objtool: broken+0x1: {said}")
        assert (finding.agrees, finding.address) == (None, 1)
        assert "agrees" not in json_line(finding)


def test_an_object_that_is_not_here_gets_no_place_that_the_log_lacks(tmp_path: Path) -> None:
    _, finding = imported(tmp_path, "warning: objtool: broken()+0x7: undefined stack state")
    told = json.loads(json_line(finding))
    assert told["offset"] == 7
    assert not {"section", "address", "file"} & set(told)


def test_several_processes_give_the_same_in_the_same_order(build: Path) -> None:
    said = "warning: objtool: broken+0x7: return with modified stack frame"
    lines = [f"{name}.o: {said}" for name in ("gone", "unit", "lost")]
    places = Places(str(build))
    reports = [list(beside_ours(log_findings(lines), places, jobs=jobs)) for jobs in (1, 2)]
    one, other = ([replace(report, seconds=0) for report in run] for run in reports)
    assert one == other


def test_a_member_of_an_archive_is_at_hand_where_the_archive_is(build: Path) -> None:
    subprocess.run(["ar", "rc", "all.a", "unit.o"], cwd=build, check=True)
    said = "all.a(unit.o): warning: objtool: broken+0x7: return with modified stack frame"
    assert imported(build, said)[1].agrees is True


OTHER_PLACES = """
FUNC ends
    xor %eax, %eax
END ends
.section .other, "ax"
FUNC caller
    call inner
    ret
END caller
inner:
    nop
    ret
FUNC patched
661: push %rax
    nop
    pop %rax
663:
    ret
END patched
.globl sizeless
.type sizeless, @function
sizeless:
    nop
    ret
.section .altinstructions, "a"
.long 661b - .
.long 664f - .
.word 128
.byte 663b - 661b
.byte 665f - 664f
.section .altinstr_replacement, "ax"
664: nop
    push %rax
    pop %rax
665:
.section .bad, "ax"
FUNC broken_bytes
    .byte 0x06
END broken_bytes
"""


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (".text: unexpected end of section", ""),
        ("can't decode instruction at .bad:0x0", ""),
        (
            "caller+0x0: unannotated intra-function call",
            "kdash finds it as return-outside at .other+0x7",
        ),
        (
            "patched+0x1: stack layout conflict in alternatives",
            "kdash finds it at .altinstr_replacement+0x1",
        ),
        (
            "sizeless() is missing an ELF size annotation",
            "kdash finds it as return-outside at .other+0xd",
        ),
        (".other+0x7: unreachable instruction", "kdash finds it as return-outside"),
    ],
)
def test_what_we_report_elsewhere_or_as_another_kind_agrees(
    assemble: Assemble, line: str, verdict: str
) -> None:
    build = assemble(OTHER_PLACES, "unit").parent
    _, finding = imported(build, f"unit.o: warning: objtool: {line}")
    assert (finding.agrees, finding.verdict) == (True, verdict)
