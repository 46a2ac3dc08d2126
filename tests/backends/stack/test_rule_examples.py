"""The examples of rules: each bad one breaks its rule and each good one keeps it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import MITIGATIONS, CheckOptions
from kdash.backends.stack.rule_examples import BAD_AND_GOOD

pytestmark = pytest.mark.gcc

Assemble = Callable[..., Path]

# What the kernel's macros stand for here; the assembler takes names of macros in any case.
WORDS = (
    (r"SYM_FUNC_START\((\w+)\)", r"FUNC \1"),
    (r"SYM_FUNC_END\((\w+)\)", r"END \1"),
    (r"SYM_CODE_START\((\w+)\)", r".globl \1\n\1:"),
    (r"SYM_CODE_END\(\w+\)", ""),
    (r"UNWIND_HINT_\w+", ""),
    (r"\bRET\b", "jmp __x86_return_thunk"),
    (r"CALL_NOSPEC (\w+)", r"call __x86_indirect_thunk_\1"),
    (r"FRAME_BEGIN", r"push %rbp\n mov %rsp, %rbp"),
    (r"FRAME_END", "pop %rbp"),
)
ALTERNATIVE = """
.macro ALTERNATIVE old, new, feature
661: \\old
 .nops 6
662:
.pushsection .altinstr_replacement, "ax"
663: \\new
664:
.popsection
.pushsection .altinstructions, "a"
 .long 661b - ., 663b - .
 .word \\feature
 .byte 662b - 661b, 664b - 663b
.popsection
.endm
"""
FRAME_POINTER = ("call-without-frame", "bp-scratch", "duplicate-save", "duplicate-setup")


def kinds_in(assemble: Assemble, example: str, kind: str) -> set[str]:
    for pattern, replacement in WORDS:
        example = re.sub(pattern, replacement, example)
    options = CheckOptions(
        "on" if kind in FRAME_POINTER else "off",
        builds=(kind,) if kind in MITIGATIONS else (),
        uaccess=kind == "uaccess",
    )
    report = Checker(options).check(str(assemble(ALTERNATIVE + example + "\n")))
    assert not report.error
    return {finding.kind for finding in report.findings}


@pytest.mark.parametrize("kind", sorted(BAD_AND_GOOD))
def test_the_bad_example_breaks_the_rule(kind: str, assemble: Assemble) -> None:
    assert kind in kinds_in(assemble, BAD_AND_GOOD[kind][0], kind)


@pytest.mark.parametrize("kind", sorted(set(BAD_AND_GOOD) - {"missing-noreturn"}))
def test_the_good_example_breaks_no_rule(kind: str, assemble: Assemble) -> None:
    allowed = {"not-callable", "undefined-state", "return-outside", "unreachable"}
    hinted = kind in ("entry-insn", "undefined-state")  # whose hints are left out here
    found = kinds_in(assemble, BAD_AND_GOOD[kind][1], kind)
    assert not found - (allowed - {kind} if hinted else set())
