"""Rules of hardened builds: on by option alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, Finding
from kdash.backends.stack.wire import decode_request, encode_request

pytestmark = pytest.mark.gcc

Assemble = Callable[..., Path]


def found(path: Path, *builds: str) -> list[tuple[str, str, int]]:
    return [(one.kind, one.function, one.offset) for one in findings(path, *builds)]


def findings(path: Path, *builds: str) -> tuple[Finding, ...]:
    report = Checker(CheckOptions("off", builds=builds)).check(str(path))
    assert not report.error
    return report.findings


INDIRECT = """
FUNC caller
    call *%rax
    jmp *%rdx
END caller
"""


def test_indirect_branches_are_fine_without_the_option(assemble: Assemble) -> None:
    assert found(assemble(INDIRECT)) == []


def test_naked_indirect_branches_are_found_in_a_retpoline_build(assemble: Assemble) -> None:
    assert found(assemble(INDIRECT), "retpoline") == [
        ("retpoline", "caller", 0), ("retpoline", "caller", 2),
    ]  # fmt: skip


def test_branches_by_a_thunk_are_retpolines(assemble: Assemble) -> None:
    path = assemble("""
FUNC caller
    call __x86_indirect_thunk_rax
    jmp __x86_indirect_thunk_rdx
END caller
""")
    assert found(path, "retpoline") == []


def test_a_branch_that_is_declared_safe_is_no_finding(assemble: Assemble) -> None:
    path = assemble("""
FUNC caller
1:  call *%rax
    jmp *%rdx
END caller
.section .discard.retpoline_safe
    .quad 1b
""")
    assert found(path, "retpoline") == [("retpoline", "caller", 2)]


def test_a_safe_branch_in_the_notes_of_newer_kernels_is_no_finding(assemble: Assemble) -> None:
    path = assemble("""
FUNC caller
1:  call *%rax
    ret
END caller
.section .discard.annotate_insn,"M",@progbits,8
    .long 1b - .
    .long 2
""")
    assert found(path, "retpoline") == []


def test_a_naked_return_is_found_in_a_rethunk_build_and_a_thunk_is_not(assemble: Assemble) -> None:
    path = assemble("FUNC a\n ret\nEND a\nFUNC b\n jmp __x86_return_thunk\nEND b\n")
    assert found(path, "rethunk") == [("rethunk", "a", 0)]


def test_returns_and_indirect_jumps_need_an_int3_behind_them(assemble: Assemble) -> None:
    path = assemble("""
FUNC good
    ret
    int3
END good
FUNC bad
    ret
END bad
FUNC jumps
    jmp *%rax
    nop
END jumps
""")
    assert found(path, "sls") == [("sls", "bad", 0), ("sls", "jumps", 0)]


def test_the_int3_of_another_section_protects_nothing(assemble: Assemble) -> None:
    path = assemble("""
FUNC last
    ret
END last
.section .text.other,"ax"
FUNC first
    int3
END first
""")
    assert ("sls", "last", 0) in found(path, "sls")


ADDRESSES = """
FUNC target
    ret
END target
FUNC marked
    endbr64
    ret
END marked
FUNC user
    lea target(%rip), %rax
    lea marked(%rip), %rdx
    mov $target, %rcx
    call target
    ret
END user
"""


def test_the_address_of_code_without_endbr_is_found(assemble: Assemble) -> None:
    path = assemble(ADDRESSES)
    assert found(path, "ibt") == [("ibt", "user", 0), ("ibt", "user", 0xE)]
    assert findings(path, "ibt")[0].message == "relocation to !ENDBR: target+0x0"


def test_an_address_of_the_function_itself_is_no_branch_target(assemble: Assemble) -> None:
    path = assemble("FUNC self\n lea 1f(%rip), %rax\n.globl here\nhere:\n1: ret\nEND self\n")
    assert found(path, "ibt") == []


def test_a_table_of_functions_is_looked_at_and_tables_of_the_kernel_are_not(
    assemble: Assemble,
) -> None:
    path = assemble(
        ADDRESSES.partition("FUNC user")[0]
        + '.section .rodata,"a"\n .quad 0\n .quad target\n .quad marked\n'
        + '.section __mcount_loc,"a"\n .quad target\n'
        + ".section .debug_thing\n .quad target\n"
    )
    (one,) = findings(path, "ibt")
    assert (one.section, one.offset) == (".rodata", 8)
    assert one.message == "data relocation to !ENDBR: target+0x0"


def test_code_that_is_noted_needs_no_endbr(assemble: Assemble) -> None:
    path = assemble(ADDRESSES + ".section .discard.noendbr\n .quad target\n")
    assert found(path, "ibt") == []


def test_workers_are_told_of_the_options() -> None:
    options = CheckOptions(builds=("sls", "ibt"))
    assert decode_request(encode_request("x.o", options))[1] == options


def test_code_of_the_kernel_that_is_run_at_boot_needs_no_retpoline(assemble: Assemble) -> None:
    text = '.section .init.text, "ax"\n' + INDIRECT
    assert found(assemble(text, "kernel"), "retpoline") == []
    module = text + '\n.section .gnu.linkonce.this_module, "aw"\n .zero 64\n'
    assert len(found(assemble(module, "module"), "retpoline")) > 0
