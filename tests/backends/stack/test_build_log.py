"""The warnings of objtool and stacktool, out of the log of a kernel build."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack.build_log import LogWarning, read_log
from kdash.backends.stack.facts import Level
from kdash.backends.stack.log_messages import meaning
from kdash.backends.stack.rules import RULES


def only(*lines: str) -> LogWarning:
    (warning,) = read_log(lines)
    return warning


def test_a_warning_is_taken_apart_into_object_function_offset_and_kind() -> None:
    warning = only("mm/workingset.o: warning: objtool: count_shadow_nodes()+0x12f: unreachable"
                   " instruction")  # fmt: skip
    assert (warning.file, warning.function, warning.offset) == (
        "mm/workingset.o", "count_shadow_nodes", 0x12F,
    )  # fmt: skip
    assert (warning.meaning.kind, warning.level) == ("unreachable", Level.WARNING)


@pytest.mark.parametrize(
    ("prefix", "suffix"),
    [(">> ", ""), ("   ", ""), ("2024-05-01T10:00:00Z ", ""), ("\x1b[1m", "\x1b[0m"), ("", "\r")],
)
def test_prefixes_of_bots_times_and_colours_are_ignored(prefix: str, suffix: str) -> None:
    warning = only(f"{prefix}fs/x.o: warning: objtool: f+0x9: undefined stack state{suffix}")
    assert (warning.file, warning.message) == ("fs/x.o", "undefined stack state")


def test_a_line_that_a_mailer_folded_is_put_together() -> None:
    warning = only("fs/x.o: warning: objtool: f()+0x82:", "unreachable instruction", "  CC  fs/y.o")
    assert (warning.offset, warning.meaning.kind) == (0x82, "unreachable")


def test_the_line_behind_an_unknown_message_is_not_swallowed() -> None:
    first, second = read_log([
        "a.o: warning: objtool: f+0x1: something new",
        "a.o: warning: objtool: g+0x2: undefined stack state",
    ])  # fmt: skip
    assert (first.meaning.kind, first.message) == ("other", "something new")
    assert second.function == "g"


def test_an_error_keeps_its_level() -> None:
    line = "spl.o: error: objtool: f+0x1: panic() missing __noreturn in .c/.h or NORETURN() in"
    warning = only(f"{line} noreturns.h")
    assert (warning.level, warning.meaning.kind) == (Level.ERROR, "missing-noreturn")
    assert warning.meaning.callee == "panic"


def test_the_wording_of_the_first_patches_is_known() -> None:
    warning = only("stacktool: a/b.o: f()+0x1d: call without frame pointer save/setup")
    assert (warning.file, warning.meaning.kind) == ("a/b.o", "call-without-frame")


def test_a_place_in_a_section_has_no_function() -> None:
    warning = only("e.o: warning: objtool: .entry.text+0xaa0: unreachable instruction")
    assert (warning.function, warning.section, warning.address) == ("", ".entry.text", 0xAA0)


def test_the_section_address_of_sec_address_is_taken() -> None:
    warning = only("v.o: warning: objtool: f+0x12 (.init.text+0xb2): undefined stack state")
    assert (warning.section, warning.address, warning.offset) == (".init.text", 0xB2, 0x12)


def test_a_fallthrough_names_both_functions() -> None:
    warning = only("x.o: warning: objtool: a() falls through to next function b()")
    assert (warning.function, warning.meaning.callee, warning.offset) == ("a", "b", None)


def test_a_message_without_an_object_is_kept() -> None:
    warning = only("warning: objtool: a() falls through to next function b()")
    assert (warning.file, warning.function) == ("", "a")


def test_a_backtrace_becomes_the_path_of_the_warning_before_it() -> None:
    warning = only(
        "x.o: warning: objtool: f+0x30: stack state mismatch: cfa1=7+8 cfa2=7+16",
        "x.o: warning: objtool:   f+0x10: (branch)",
        "x.o: warning: objtool:   f+0x8: (alt)",
        "x.o: warning: objtool:   f+0x0: <=== (func)",
    )
    assert [(step.offset, step.edge) for step in warning.path] == [
        (0, "fallthrough"), (8, "alternative"), (0x10, "branch"),
    ]  # fmt: skip


def test_the_same_line_twice_is_one_warning() -> None:
    line = "x.o: warning: objtool: f+0x1: undefined stack state"
    assert only(line, "  CC y.o", line).line == 1


def test_states_are_told_by_the_names_of_registers() -> None:
    found = meaning("stack state mismatch: cfa1=6+16 cfa2=7+8")
    assert (found.expected, found.found) == ("CFA is rbp+16", "CFA is rsp+8")
    found = meaning("stack state mismatch: reg1[3]=-2-16 reg2[3]=-1+0")
    assert (found.expected, found.found) == ("rbx saved at CFA-16", "rbx not saved")


def test_registers_are_named_by_the_numbers_of_either_age_of_objtool() -> None:
    found = meaning("stack state mismatch: cfa1=4+8 cfa2=5+16")
    assert (found.expected, found.found) == ("CFA is rsp+8", "CFA is rbp+16")
    for register in (5, 6):
        found = meaning(f"stack state mismatch: reg1[{register}]=-1+0 reg2[{register}]=-2-16")
        assert (found.expected, found.found) == ("rbp not saved", "rbp saved at CFA-16")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("return with modified stack frame", "return-modified"),
        ("return without frame pointer restore", "return-modified"),
        ("duplicate frame pointer save", "duplicate-save"),
        ("duplicate frame pointer setup", "duplicate-setup"),
        ("frame pointer state mismatch", "state-mismatch"),
        ("sibling call from callable instruction with changed frame pointer", "sibling-modified"),
        ("sibling call from callable instruction with modified stack frame", "sibling-modified"),
        ("function has unreachable instruction", "unreachable"),
        ("return instruction outside of a callable function", "return-outside"),
        ("f() is missing an ELF size annotation", "not-callable"),
        ("unsupported instruction in callable function", "entry-insn"),
        ("kernel entry/exit from callable instruction", "entry-insn"),
        ("can't find switch jump table", "dynamic-jump"),
        ("can't find jump dest instruction at .text+0x7", "no-jump-dest"),
        ("can't find call dest symbol at offset 0x7", "no-call-dest"),
        ("unannotated intra-function call", "no-call-dest"),
        ("can't find starting instruction", "no-start"),
        ("can't decode instruction at .text:0x7", "decode"),
        ("unexpected end of section", "end-of-section"),
        ("don't know how to handle branch to middle of alternative instruction group",
         "alternatives"),
        ("stack layout conflict in alternatives", "alternatives"),
        ("special: can't find orig instruction", "alternatives"),
        ("unsupported instruction at jump label", "alternatives"),
        ("BP used as a scratch register", "bp-scratch"),
        ("unsupported stack pointer realignment", "stack-realign"),
        ("unknown CFA base reg -1", "stack-modify"),
        ("call to memset() with UACCESS enabled", "uaccess"),
        ("redundant UACCESS disable", "uaccess"),
        ("call to f() with DF set", "direction-flag"),
        ("recursive STD", "direction-flag"),
        ("indirect call found in RETPOLINE build", "retpoline"),
        ("indirect jump found in MITIGATION_RETPOLINE build", "retpoline"),
        ("'naked' return found in MITIGATION_RETHUNK build", "rethunk"),
        ("missing int3 after ret", "sls"),
        ("data relocation to !ENDBR: f+0x4", "ibt"),
    ],
)  # fmt: skip
def test_every_wording_has_the_kind_of_the_catalogue(text: str, kind: str) -> None:
    assert meaning(text).kind == kind
    assert kind in RULES


@given(st.lists(st.text(max_size=60), max_size=8))
def test_any_text_is_read_without_an_error(texts: list[str]) -> None:
    lines = [f"x.o: warning: objtool: {text}" for text in texts]
    assert all(warning.file == "x.o" for warning in read_log(lines))


def test_a_line_of_any_length_is_bounded() -> None:
    line = "x.o: warning: objtool: f+0x1: undefined stack state" + " x" * 1_000_000
    assert len(only(line).message) < 20_000
