"""User memory open to the kernel: stac, clac, and what may happen between."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from kdash.backends.stack.facts import FileReport
from kdash.backends.stack.uaccess import is_uaccess_safe

pytestmark = pytest.mark.gcc

Check = Callable[..., FileReport]


@pytest.fixture
def told(check: Check) -> Callable[[str], list[tuple[int, str]]]:
    """Offsets and messages of findings, with stac and clac followed."""

    def run(text: str) -> list[tuple[int, str]]:
        findings = partial(check, uaccess=True)(text).findings
        assert {f.kind for f in findings} <= {"uaccess"}
        return [(f.offset, f.message) for f in findings]

    return run


Told = Callable[[str], list[tuple[int, str]]]


def test_paired_instructions_are_clean(told: Told) -> None:
    assert told("FUNC f\n stac\n mov (%rdi), %rax\n clac\n call ext\n ret\nEND f") == []


def test_nothing_is_said_unless_asked(check: Check) -> None:
    assert check("FUNC f\n stac\n call ext\n ret\nEND f").findings == ()


def test_a_call_between_is_reported_with_its_callee(check: Check) -> None:
    text = "FUNC f\n stac\n call ext\n clac\n ret\nEND f"
    (finding,) = check(text, uaccess=True).findings
    assert finding.message == "call to ext() with UACCESS enabled"
    assert (finding.callee, finding.offset) == ("ext", 3)
    assert finding.found == "CFA is rsp+8, user access open"


def test_a_call_by_pointer_between_is_reported(told: Told) -> None:
    text = "FUNC f\n stac\n call *%rax\n clac\n ret\nEND f"
    assert told(text) == [(3, "call to {dynamic}() with UACCESS enabled")]


def test_a_sibling_call_between_is_reported(told: Told) -> None:
    assert told("FUNC f\n stac\n jmp ext\nEND f") == [(3, "call to ext() with UACCESS enabled")]


def test_hooks_of_sanitizers_may_be_called(told: Told) -> None:
    assert told("FUNC f\n stac\n call __asan_load8_noabort\n clac\n ret\nEND f") == []


def test_returning_with_it_open_is_reported(told: Told) -> None:
    assert told("FUNC f\n stac\n ret\nEND f") == [(3, "return with UACCESS enabled")]


def test_opening_twice_and_closing_twice_are_reported(told: Told) -> None:
    assert told("FUNC f\n stac\n stac\n clac\n clac\n ret\nEND f") == [
        (3, "recursive UACCESS enable"),
        (9, "redundant UACCESS disable"),
    ]


def test_each_way_is_followed_with_what_it_opened(told: Told) -> None:
    text = "FUNC f\n test %edi, %edi\n je 1f\n stac\n1: nop\n ret\nEND f"
    assert told(text) == [(8, "return with UACCESS enabled")]
    text = "FUNC f\n test %edi, %edi\n jne 1f\n stac\n jmp 2f\n1: nop\n2: clac\n ret\nEND f"
    assert told(text) == [(10, "redundant UACCESS disable")]


_ALTERNATIVE = """
{label}: .byte 0x0f, 0x1f, 0x00
.pushsection .altinstr_replacement, "ax"
9: {instruction}
.popsection
.pushsection .altinstructions, "a"
.long {label}b - ., 9b - .
.word 9 * 32 + 20
.byte 3, 3
.popsection
"""


def test_alternatives_for_smap_are_taken_all_or_none(told: Told) -> None:
    opened = _ALTERNATIVE.format(label=1, instruction="stac")
    closed = _ALTERNATIVE.format(label=2, instruction="clac")
    assert told(f"FUNC f\n{opened} nop\n{closed} ret\nEND f") == []
    assert told(f"FUNC f\n{opened} nop\n ret\nEND f") == [(4, "return with UACCESS enabled")]


def test_a_function_that_runs_with_it_open_must_leave_it_so(told: Told) -> None:
    assert told("FUNC copy_mc_fragile\n mov (%rdi), %rax\n ret\nEND copy_mc_fragile") == []
    assert told("FUNC copy_mc_fragile\n clac\n ret\nEND copy_mc_fragile") == [
        (0, "UACCESS-safe disables UACCESS"),
        (3, "return with UACCESS disabled from a UACCESS-safe function"),
    ]


def test_flags_pushed_in_an_alternative_bring_it_back(told: Told) -> None:
    alternative = """
    .pushsection .altinstr_replacement, "ax"
    {label}1: {code}
    {label}2:
    .popsection
    .pushsection .altinstructions, "a"
    .long {label}b - ., {label}1b - .
    .word 9 * 32 + 20
    .byte 8, {label}2b - {label}1b
    .popsection
    """
    save = alternative.format(label=1, code="pushf; pop %rax; clac")
    restore = alternative.format(label=2, code="push %rax; popf")
    pad = ".byte 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0"
    text = f"FUNC copy_mc_fragile\n1: {pad}\n{save} call ext\n2: {pad}\n{restore} ret\n"
    assert told(text + "END copy_mc_fragile") == []


@pytest.mark.parametrize(
    "name", ["__tsan_read_write8", "__sanitizer_cov_trace_const_cmp4", "kasan_report"]
)
def test_names_of_hooks_are_known(name: str) -> None:
    assert is_uaccess_safe(name)


@pytest.mark.parametrize("name", ["", "memcpy", "kasan_report_x", "__tsan_read3"])
def test_other_names_are_not(name: str) -> None:
    assert not is_uaccess_safe(name)
