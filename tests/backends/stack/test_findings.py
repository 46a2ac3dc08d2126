"""What a finding tells besides its place: states, path, lines around, causes, relatives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, FileReport, Level, Related

pytestmark = pytest.mark.gcc

Check = Callable[..., FileReport]


def test_a_call_without_a_frame_tells_what_was_expected_and_found(check: Check) -> None:
    (finding,) = check(
        "FUNC f\n push %rbx\n call ext\n pop %rbx\n ret\nEND f", frame_pointer="on"
    ).findings
    assert finding.expected == "CFA is rbp+16, rbp saved at CFA-16"
    assert finding.found == "CFA is rsp+16, rbx saved at CFA-16"
    assert finding.callee == "ext"
    assert finding.message == "call without frame pointer save/setup"


def test_the_path_names_every_jump_and_the_alternative(check: Check) -> None:
    text = """FUNC f
       test %edi, %edi
       je 5f
       ret
    5: nop
    1: nop
    2: ret
    END f
    .section .altinstr_replacement, "ax"
    3: call ext
    4:
    .section .altinstructions, "a"
    .long 1b - ., 3b - .
    .word 9 * 32 + 20
    .byte 2b - 1b, 4b - 3b
    """
    (finding,) = check(text, frame_pointer="on").findings
    assert (finding.section, finding.function) == (".altinstr_replacement", "")
    steps = [(step.offset, step.edge, step.feature) for step in finding.path]
    assert steps == [
        (0, "fallthrough", ""),
        (2, "fallthrough", ""),
        (5, "branch", ""),
        (6, "fallthrough", ""),
        (0, "alternative", "X86_FEATURE_SMAP"),
    ]
    assert finding.path[1].text == "je f+0x5"


def test_the_path_shows_what_changed_the_state(check: Check) -> None:
    text = "FUNC f\n push %rbp\n mov %rsp, %rbp\n mov %rdi, %rax\n jmp elsewhere\nEND f"
    (finding,) = check(text).findings
    assert [step.text for step in finding.path] == ["push rbp", "mov rbp, rsp", "jmp elsewhere"]


def test_an_indirect_jump_with_a_frame_tells_of_the_other_reading(check: Check) -> None:
    (finding,) = check("FUNC f\n push %rbx\n jmp *%rax\nEND f").findings
    assert [(one.kind, one.offset) for one in finding.related] == [("dynamic-jump", 1)]


def test_what_the_linker_left_of_a_dropped_function_is_no_finding(check: Check) -> None:
    dropped = '.file "a.c"\nFUNC f\n ret\nEND f\n push %rbx\n ret\nFUNC g\n ret\nEND g'
    assert [one.kind for one in check(dropped).findings] == ["return-outside"]
    assert check(dropped + '\n.file "b.c"').findings == ()
    named = dropped.replace("push", "label: push") + '\n.file "b.c"'
    assert [one.kind for one in check(named).findings] == ["return-outside"]


def test_the_path_of_a_mismatch_is_that_of_the_second_way(check: Check) -> None:
    text = "FUNC f\n test %edi, %edi\n je 1f\n push %rbx\n1: nop\n ud2\nEND f"
    (finding,) = check(text).findings
    assert finding.expected == "CFA is rsp+16, rbx saved at CFA-16"
    assert finding.found == "CFA is rsp+8"
    assert [(step.offset, step.edge) for step in finding.path] == [
        (0, "fallthrough"),
        (2, "fallthrough"),
        (5, "branch"),
    ]


def test_the_lines_around_a_site_carry_states_and_symbols(check: Check) -> None:
    (finding,) = check("FUNC f\n push %rbx\n nop\n ret\n mov %rsp, %rax\nEND f").findings[:1]
    lines = finding.disassembly
    assert [line.text for line in lines] == ["push rbx", "nop", "ret", "mov rax, rsp"]
    assert [line.site for line in lines] == [False, False, True, False]
    assert lines[0].symbol == "f"
    assert lines[0].state == "CFA is rsp+8"
    assert lines[1].state == lines[2].state == "CFA is rsp+16, rbx saved at CFA-16"
    assert lines[3].state == ""
    assert lines[2].code == b"\xc3"


def test_about_twelve_lines_on_each_side_are_shown(check: Check) -> None:
    nops = " mov %rsi, %rdi\n" * 30
    (finding,) = check(f"FUNC f\n push %rbx\n{nops} ret\n{nops}END f").findings[:1]
    assert len(finding.disassembly) == 25


def test_a_return_outside_explains_the_code_around_it(check: Check) -> None:
    (finding,) = check(".globl f\nf: xor %eax, %eax\n ret").findings
    assert finding.related == (Related("not-callable", 0), Related("unreachable", 0))
    assert finding.function == ""


def test_findings_of_one_cause_share_their_digest(check: Check) -> None:
    text = """FUNC f
       call ext
       call other
       ret
    END f
    FUNC g
       call ext
       ret
    END g
    """
    first, second, third = check(text, frame_pointer="on").findings
    assert first.cause == second.cause != third.cause


def test_what_one_missing_noreturn_causes_has_one_digest(check: Check) -> None:
    text = "FUNC f\n call stop\nEND f\nFUNC g\n nop\n call stop\nEND g\nFUNC h\n ret\nEND h"
    first, second = check(text).findings
    assert (first.kind, second.kind) == ("fallthrough", "fallthrough")
    assert first.cause == second.cause


def test_a_rule_can_be_a_warning_or_off(assemble: Callable[..., Path]) -> None:
    path = str(assemble("FUNC f\n push %rbx\n ret\n nop\n mov %rax, %rdi\nEND f"))
    options = CheckOptions("off", (), (("return-modified", "warning"), ("unreachable", "off")))
    (finding,) = Checker(options).check(path).findings
    assert (finding.kind, finding.level) == ("return-modified", Level.WARNING)


def test_frame_pointer_rules_are_decided_by_the_prologues(check: Check) -> None:
    framed = "FUNC f\n push %rbp\n mov %rsp, %rbp\n call ext\n pop %rbp\n ret\nEND f\n"
    bare = "FUNC {0}\n call ext\n ret\nEND {0}\n"
    one = check(framed + bare.format("g"), frame_pointer="auto")
    assert one.frame_pointer
    assert one.frame_pointer_reason == ("on: 1 function with a prologue, 2 functions that call")
    two = check(framed + bare.format("g") + bare.format("h"), frame_pointer="auto")
    assert not two.frame_pointer
    assert two.frame_pointer_reason.startswith("off: 1 function ")


def test_an_object_with_orc_tables_has_no_frame_pointers(check: Check) -> None:
    text = 'FUNC f\n call ext\n ret\nEND f\n.section .orc_unwind, "a"\n.long 0'
    report = check(text, frame_pointer="auto")
    assert (report.frame_pointer, report.findings) == (False, ())
    assert report.frame_pointer_reason == "off: the object has .orc_unwind"


@pytest.mark.parametrize("version", [4, 5])
def test_source_lines_come_from_each_section_of_its_own(
    version: int, compile_c: Callable[..., Path]
) -> None:
    text = """
    void first(void)
    {
        asm volatile("push %rbx");
    }
    __attribute__((section(".init.text"))) void second(void)
    {
        asm volatile("push %r12");
    }
    """
    path = compile_c(
        text, f"-gdwarf-{version}", "-O1", "-fomit-frame-pointer", "-fcf-protection=none"
    )
    found = Checker(CheckOptions("off")).check(str(path)).findings
    lines = [(f.function, f.source.line if f.source else 0) for f in found]
    assert lines == [("first", 5), ("second", 9)]
    assert {f.source.file for f in found if f.source} == {"unit.c"}


def test_names_with_escape_sequences_are_shown_escaped(assemble: Callable[..., Path]) -> None:
    path = assemble("FUNC fXY31m\n push %rbx\n ret\nEND fXY31m")
    path.write_bytes(path.read_bytes().replace(b"fXY31m", b"f\x1b[31m"))
    (finding,) = Checker(CheckOptions("off")).check(str(path)).findings
    assert finding.function == "f\x1b[31m"
    assert finding.disassembly[0].symbol == "f\\x1b[31m"


def test_a_label_in_front_of_padding_is_that_of_the_code_behind_it(check: Check) -> None:
    text = ".globl x\nx: pause\n mov %rdi, %rax\n ret\nFUNC f\n call x\n ret\nEND f"
    kinds = [(one.kind, [site.kind for site in one.related]) for one in check(text).findings]
    assert kinds == [("return-outside", ["not-callable", "unreachable"])]


def test_two_unrelated_runs_of_one_function_have_two_causes(check: Check) -> None:
    text = "FUNC f\n test %eax, %eax\n je 1f\n ret\n xor %eax, %eax\n ret\n1: ret\n inc %eax\nEND f"
    first, second = check(text).findings
    assert (first.kind, second.kind) == ("unreachable", "unreachable")
    assert first.cause != second.cause


def test_equal_names_in_two_files_share_no_cause(assemble: Callable[..., Path]) -> None:
    text = "FUNC init_module\n push %rbx\n ret\nEND init_module"
    checker = Checker(CheckOptions())
    reports = [checker.check(str(assemble(text, name))) for name in ("one", "two")]
    (one,), (two,) = (report.findings for report in reports)
    assert one.cause != two.cause
    assert one.fingerprint == two.fingerprint


def test_one_lost_register_at_two_returns_has_one_cause(check: Check) -> None:
    text = "FUNC f\n push %rbx\n test %eax, %eax\n je 1f\n ret\n1: ret\nEND f"
    first, second = check(text).findings
    assert first.cause == second.cause


def test_what_runs_off_into_padding_is_told_at_the_call(check: Check) -> None:
    text = "FUNC f\n push %rbp\n mov %rsp, %rbp\n call strange_stop\nEND f\n .p2align 4, 0xcc"
    (finding,) = check(text).findings
    assert (finding.kind, finding.place, finding.callee) == (
        *("end-of-section", "f+0x4"),
        "strange_stop",
    )
    assert finding.path[-1].text.startswith("call")


def test_a_source_line_knows_the_folder_it_was_compiled_in(
    assemble: Callable[..., Path],
) -> None:
    path = assemble("FUNC f\n push %rbx\n ret\nEND f", "object", "-g")
    (finding,) = Checker(CheckOptions()).check(str(path)).findings
    assert finding.source is not None
    assert (finding.source.file, finding.source.directory) == ("object.S", str(path.parent))
