"""Unwind hints and notes of assembly, in the layouts of all kernels that had them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from kdash.backends.stack.facts import FileReport
from kdash.backends.stack.hints import Hint, HintKind, read_hints
from kdash.backends.stack.state import NO_BASE, RSP

pytestmark = pytest.mark.gcc

Sites = Callable[..., list[tuple[str, str, int]]]
_SP = 5  # ORC_REG_SP


class Era(NamedTuple):
    """The numbers of one range of kernels; `end` is the bytes behind the type of an empty hint."""

    empty: tuple[int, str]
    call: int
    registers: tuple[int, str]
    function: int
    save: int
    restore: int
    tail: str


ERAS = {
    "4.14": Era((0, ""), 0, (1, ""), 3, 3, 4, ""),
    "5.0": Era((0, "1, 0, 0, 0"), 0, (1, "0, 0, 0, 0"), 3, 3, 4, "0, 0, 0, 0"),
    "6.1": Era((0, "1, 0, 0, 0"), 0, (1, "0, 0, 0, 0"), 3, 5, 6, "0, 0, 0, 0"),
    "6.3": Era((0, "0, 1, 0, 0"), 0, (1, "1, 0, 0, 0"), 3, 5, 6, "0, 0, 0, 0"),
    "6.4": Era((1, "0, 0, 0, 0"), 2, (3, "1, 0, 0, 0"), 5, 6, 7, "0, 0, 0, 0"),
}


def _hints(*entries: tuple[str, int, int, int, str]) -> str:
    lines = ['.section .discard.unwind_hints, ""']
    for label, offset, register, kind, tail in entries:
        lines += [f".long {label} - .", f".short {offset}", f".byte {register}, {kind}"]
        lines += [f".byte {tail}"] if tail else []
    return "\n".join([*lines, ""])


@pytest.mark.parametrize("era", ERAS.values(), ids=ERAS)
def test_behind_a_hint_the_state_is_what_it_says(era: Era, sites: Sites) -> None:
    text = "FUNC f\n push %rbx\n1: nop\n ret\nEND f\nFUNC g\n2: ud2\nEND g\n"
    empty = ("2b", 0, 0, *era.empty)
    assert sites(text) == [("return-modified", "f", 2)]
    assert sites(text + _hints(("1b", 8, _SP, era.call, era.tail), empty)) == []
    wrong = sites(text + _hints(("1b", 16, _SP, era.call, era.tail), empty))
    assert ("return-modified", "f", 2) in wrong


@pytest.mark.parametrize("era", ERAS.values(), ids=ERAS)
def test_code_that_no_function_holds_is_walked_from_its_hint(era: Era, sites: Sites) -> None:
    text = "entry:\n nop\n1: swapgs\n pop %rax\n iretq\n.size entry, . - entry\n"
    assert sites(text) == [("unreachable", ".text", 1)]
    kind, tail = era.registers
    # The first NOP needs no reason to be there.
    assert sites(text + _hints(("1b", 0, _SP, kind, tail))) == []


@pytest.mark.parametrize("era", ERAS.values(), ids=ERAS)
def test_a_saved_state_is_restored(era: Era, sites: Sites) -> None:
    text = """FUNC f
    1: push %rbx
       mov %rdi, %rsp
    2: pop %rbx
       ret
    END f
    FUNC g
    3: ud2
    END g
    """
    save, restore = ("1b", 0, 0, era.save, era.tail), ("2b", 0, 0, era.restore, era.tail)
    assert ("undefined-state", "f", 1) in sites(text)
    found = sites(text + _hints(save, restore, ("3b", 0, 0, *era.empty)))
    # Restored is the state before the push, so that one is popped too much.
    assert found == [("return-modified", "f", 5)]


def test_a_hint_takes_every_state_that_comes(sites: Sites) -> None:
    text = "FUNC f\n test %edi, %edi\n je 1f\n push %rbx\n1: nop\n ret\nEND f\n"
    assert ("state-mismatch", "f", 5) in sites(text)
    assert sites(text + _hints(("1b", 8, _SP, 3, "0, 0, 0, 0"))) == []


def test_an_operation_where_nobody_knows_the_stack_is_reported(
    check: Callable[..., FileReport],
) -> None:
    text = "FUNC f\n1: push %rbx\n pop %rbx\n ud2\nEND f\n" + _hints(("1b", 0, 0, 0, "1, 0, 0, 0"))
    first = check(text).findings[0]
    assert (first.kind, first.offset, first.found) == ("undefined-state", 0, "CFA is undefined")


def test_leaving_the_kernel_is_fine_where_a_hint_follows(sites: Sites) -> None:
    text = "FUNC f\n sysretq\n1: ret\nEND f\n"
    assert sites(text)[0] == ("entry-insn", "f", 0)
    assert sites(text + _hints(("1b", 8, _SP, 3, "0, 0, 0, 0"))) == []


def test_the_state_of_an_interrupted_context_is_told_in_words(
    check: Callable[..., FileReport],
) -> None:
    text = "FUNC f\n1: push %rax\n je 2f\n pop %rax\n2: nop\n ud2\nEND f\n"
    report = check(text + _hints(("1b", 0, _SP, 1, "0, 0, 0, 0")))
    (finding,) = report.findings
    assert finding.kind == "state-mismatch"
    assert {finding.expected, finding.found} == {
        "registers are stored at rsp+0",
        "registers are stored at rsp+8",
    }


def test_a_return_address_below_others_may_be_returned_to() -> None:
    entry = bytes.fromhex("00000000 0800 00 03 00000000")
    assert read_hints(entry, [0]) == [Hint(HintKind.FUNCTION, NO_BASE, 8)]


def test_cut_off_entries_are_read_as_far_as_they_go() -> None:
    assert read_hints(b"\0\0\0\0\x08\0\x05", [0]) == [Hint(HintKind.CALL, RSP, 8)]


def test_a_noted_call_inside_leaves_its_return_address_on_the_stack(sites: Sites) -> None:
    note = '.section .discard.intra_function_calls, ""\n.quad 2b\n.text\n'
    text = "FUNC f\n2: call 1f\n int3\n1: nop\n ret\nEND f\n"
    assert sites(text + note) == [("return-modified", "f", 7)]


_CONFLICT = """FUNC f
1: push %rbx
   nop
   pop %rbx
2: ret
END f
.section .altinstr_replacement, "ax"
3: nop
   push %rbx
   pop %rbx
4:
.section .altinstructions, "a"
.long 1b - ., 3b - .
.word 0x75
.byte 2b - 1b, 4b - 3b
"""


def test_alternatives_must_have_one_stack_layout(check: Callable[..., FileReport]) -> None:
    (finding,) = check(_CONFLICT).findings
    assert (finding.kind, finding.message) == (
        "alternatives",
        "stack layout conflict in alternatives",
    )
    assert (finding.expected, finding.found) == (
        "CFA is rsp+16, rbx saved at CFA-16",
        "CFA is rsp+8",
    )


@pytest.mark.parametrize(
    "note",
    [
        '.section .discard.ignore_alts, ""\n.long 1b - .\n',
        '.section .discard.annotate_insn, ""\n.long 1b - ., 6\n',
    ],
    ids=["up to 6.12", "since 6.13"],
)
def test_an_alternative_noted_as_ignored_is_not_followed(note: str, sites: Sites) -> None:
    assert sites(_CONFLICT + note) == []


def test_a_hint_stands_in_front_of_alternatives_at_the_same_place(sites: Sites) -> None:
    text = """entry:
    1: push %rax
       jne 2f
       push %rax
    2: .byte 0x0f, 0x1f, 0x00
       pop %rax
       pop %rax
       iretq
    .section .altinstr_replacement, "ax"
    3: push %rcx
       pop %rcx
    .section .altinstructions, "a"
    .long 2b - ., 3b - .
    .word 0x75
    .byte 3, 2
    """
    first, second = ("1b", 0, _SP, 1, "0, 0, 0, 0"), ("2b", 16, _SP, 1, "0, 0, 0, 0")
    assert sites(text + _hints(first, second)) == []


def test_a_label_in_hinted_code_needs_no_size(sites: Sites) -> None:
    text = "FUNC f\n jmp label\nEND f\n.globl label\nlabel:\n1: nop\n ret\n"
    assert sites(text) == [("not-callable", ".text", 2)]
    assert sites(text + _hints(("1b", 8, _SP, 3, "0, 0, 0, 0"))) == []
