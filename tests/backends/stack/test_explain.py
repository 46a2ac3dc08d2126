"""Functions explained: states, findings, source lines, cold parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kdash.backends.stack.explain import Explained
from kdash.backends.stack.explain_text import json_of, text_of, text_of_functions
from kdash.backends.stack.facts import CheckOptions, ObjectError
from kdash.backends.stack.object_files import sample_paths

SAMPLE = next(path for path in sample_paths() if path.endswith("idle_enter.o"))
Assemble = Callable[..., Path]


def test_a_function_is_explained_with_states_findings_and_source_lines() -> None:
    text = text_of(Explained(SAMPLE).parts("idle_enter"))
    for part in ("CFA is rbp+16, rbp saved at CFA-16, rbx saved at CFA-24", "jne idle_cancel",
                 "^ error: sibling-modified: ", "  expected CFA is rsp+8", "idle_enter.S:15",
                 "idle_enter in .text, 32 bytes"):  # fmt: skip
        assert part in text, part


def test_findings_are_those_of_a_check_with_the_same_options() -> None:
    options = CheckOptions(levels=(("sibling-modified", "off"),))
    assert "sibling-modified" not in text_of(Explained(SAMPLE, options).parts("idle_enter"))


def test_the_json_has_an_object_an_instruction() -> None:
    (line,) = json_of(Explained(SAMPLE).parts("idle_enter")).splitlines()
    data = json.loads(line)
    assert (data["function"], data["section"], data["bytes"]) == ("idle_enter", ".text", 32)
    first = data["instructions"][0]
    assert first["text"] == "push rbp"
    assert (first["offset"], first["code"], first["state"]) == (0, "55", "CFA is rsp+8")
    kinds = [one["kind"] for step in data["instructions"] for one in step.get("findings", [])]
    assert kinds == ["sibling-modified"]


@pytest.mark.gcc
def test_cold_parts_stand_behind_their_function(assemble: Assemble) -> None:
    path = assemble(
        'FUNC f\n test %edi, %edi\n jz f.cold\n ret\nEND f\n.section .text.unlikely,"ax"\n'
        "FUNC f.cold\n nop\n ud2\nEND f.cold\n"
    )
    assert [part.name for part in Explained(str(path)).parts("f")] == ["f", "f.cold"]


@pytest.mark.gcc
def test_what_no_path_reaches_says_so(assemble: Assemble) -> None:
    path = assemble("FUNC f\n ret\n mov %eax, %ecx\nEND f\n")
    assert "never reached" in text_of(Explained(str(path)).parts("f"))


def test_all_functions_are_listed_with_size_and_findings() -> None:
    lines = text_of_functions(Explained(SAMPLE).functions()).splitlines()
    assert lines[1].split() == ["32", "1", "idle_enter"]


def test_a_function_that_is_not_there_is_named_with_those_like_it() -> None:
    with pytest.raises(LookupError, match=r"no function 'idle_entre' in .*; there is idle_enter"):
        Explained(SAMPLE).parts("idle_entre")


def test_an_object_that_cant_be_validated_says_why() -> None:
    with pytest.raises(ObjectError, match="no such file"):
        Explained("/nonexistent.o")


@pytest.mark.gcc
def test_an_address_relative_to_rip_is_that_of_its_relocation(assemble: Assemble) -> None:
    path = assemble("FUNC f\n lea there+8(%rip), %rax\n lea f(%rip), %rcx\n ret\nEND f")
    (part,) = Explained(str(path)).parts("f")
    texts = [step.line.text for step in part.steps[:2]]
    assert texts == ["lea rax, [rip]  # there+0x8", "lea rcx, [rip]  # f"]
