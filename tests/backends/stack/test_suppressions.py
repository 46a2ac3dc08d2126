"""Findings silenced by the kernel's own annotations."""

from __future__ import annotations

from kdash.backends.stack.facts import Finding, Level, SourceLine
from kdash.backends.stack.suppressions import annotations_for


def finding(**changes: object) -> Finding:
    facts: dict[str, object] = {
        "file": "drivers/x.o", "section": ".text", "function": "x_probe.isra.0", "offset": 0x1D,
        "address": 0x4D, "kind": "return-modified", "level": Level.ERROR, "message": "m",
        "source": SourceLine("drivers/x.c", 12), "fingerprint": "f1",
    }  # fmt: skip
    return Finding(**(facts | changes))  # type: ignore[arg-type]


def body(*findings: Finding, **notes: str) -> list[str]:
    return [
        line
        for line in annotations_for(findings, notes).splitlines()
        if line and not line.startswith("#")
    ]


def test_a_function_is_hidden_once_with_the_reason_of_the_verdict() -> None:
    second = finding(kind="state-mismatch", offset=0x20, fingerprint="f2")
    assert body(finding(), second, f1="firmware\n*/ call") == [
        "--- drivers/x.c, needs #include <linux/objtool.h>",
        "STACK_FRAME_NON_STANDARD(x_probe);  // return-modified at +0x1d: firmware */ call;"
        " state-mismatch at +0x20",
    ]


def test_assembly_takes_the_macro_without_brackets() -> None:
    assert body(finding(source=SourceLine("arch/x.S", 3)))[1].startswith(
        "STACK_FRAME_NON_STANDARD x_probe  //"
    )


def test_an_object_is_hidden_where_no_function_is_to_be_named() -> None:
    assert body(finding(function="", source=None, kind="return-outside")) == [
        "--- drivers/Makefile",
        "OBJECT_FILES_NON_STANDARD_x.o := y  # return-outside at .text+0x1d",
    ]


def test_one_instruction_is_annotated_where_there_is_a_macro_for_it() -> None:
    assert body(finding(kind="retpoline")) == [
        "--- drivers/x.c:12, before the instruction",
        "asm volatile(ANNOTATE_RETPOLINE_SAFE);  // retpoline at +0x1d",
    ]


def test_a_function_that_never_returns_is_named_to_objtool() -> None:
    assert body(finding(kind="missing-noreturn", callee="x_die")) == [
        "--- tools/objtool/noreturns.h",
        "NORETURN(x_die)  # missing-noreturn at +0x1d",
    ]


def test_the_head_warns_and_counts() -> None:
    text = annotations_for([finding()])
    assert text.startswith("# 1 finding, silenced")
    assert "no unwind data" in text
