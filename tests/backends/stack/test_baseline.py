"""Baselines: what is accepted stays known over rebuilds, and is never lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack.baseline import (
    Accepted,
    Baseline,
    BaselineError,
    accept,
    read_baseline,
    write_baseline,
)
from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, FileReport, Finding, Level
from kdash.backends.stack.fingerprints import base_function, fingerprint, normalised

Assemble = Callable[..., Path]

LEAK = """
FUNC leak
    push %rbx
    mov $1, %eax
    call elsewhere
    ret
END leak
"""
# The same with another constant, and further down in the section.
REBUILT = "FUNC first\n nop\n nop\n ret\nEND first\n" + LEAK.replace("$1", "$2")


def finding(name: str = "f", kind: str = "unreachable", print_: str = "0123") -> Finding:
    return Finding(
        f"drivers/{name}.o", ".text", name, 0, 0, kind, Level.ERROR, "text", fingerprint=print_
    )


def report_on(path: Path) -> FileReport:
    return Checker(CheckOptions(frame_pointer="off")).check(str(path))


def test_what_is_accepted_is_read_back(tmp_path: Path) -> None:
    path = str(tmp_path / "base")
    write_baseline(path, accept([finding("b"), finding("a")]))
    assert [one.file for one in read_baseline(path).accepted] == ["a.o", "b.o"]


@pytest.mark.gcc
def test_a_rebuild_with_other_addresses_and_constants_is_covered(assemble: Assemble) -> None:
    before = report_on(assemble(LEAK, "before"))
    after = report_on(assemble(REBUILT, "after"))
    assert before.findings[0].offset == after.findings[0].offset
    assert before.findings[0].address != after.findings[0].address
    assert accept(before.findings).new_in(after) == ()


@pytest.mark.gcc
def test_another_instruction_before_the_site_is_a_new_finding(assemble: Assemble) -> None:
    before = report_on(assemble(LEAK, "before"))
    after = report_on(assemble(LEAK.replace("call elsewhere", "cpuid"), "after"))
    assert len(accept(before.findings).new_in(after)) == 1


def test_each_acceptance_covers_one_finding() -> None:
    baseline = accept([finding()])
    assert baseline.covers(finding())
    assert not baseline.covers(finding())


def test_what_was_not_met_is_fixed() -> None:
    baseline = accept([finding("a", print_="1"), finding("b", print_="2")])
    baseline.covers(finding("a", print_="1"))
    assert [one.function for one in baseline.fixed] == ["b"]


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "base"
    write_baseline(str(path), accept([]))
    path.chmod(0o640)
    write_baseline(str(path), accept([finding()]))
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["base"]


def test_a_folder_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_baseline(str(tmp_path / "gone" / "base"), accept([]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a baseline"),
        ("{}\n", "not a baseline"),
        ("[1]\n", "not a baseline"),
        ('{"kdash": "stack baseline", "version": 2, "findings": 0}\n', "version 2"),
        ('{"kdash": "stack baseline", "version": 1}\n', "line 1"),
        ('{"kdash": "stack baseline", "version": 1, "findings": 1}\n', "1 findings announced"),
        ('{"kdash": "stack baseline", "version": 1, "findings": 1}\n{"file": 1}\n', "line 2"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_and_kept(
    tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "base"
    path.write_text(text)
    with pytest.raises(BaselineError, match=says):
        read_baseline(str(path))
    assert path.read_text() == text


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random-baseline"
    path.write_bytes(data)
    with pytest.raises(BaselineError):
        read_baseline(str(path))


TEXT = st.text(max_size=20)


@given(st.lists(st.builds(Accepted, TEXT, TEXT, TEXT, TEXT, TEXT), max_size=5))
def test_any_names_survive_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, accepted: list[Accepted]
) -> None:
    path = str(tmp_path_factory.getbasetemp() / "names-baseline")
    write_baseline(path, Baseline(tuple(accepted)))
    assert read_baseline(path).accepted == tuple(accepted)


def test_a_function_keeps_its_name_when_the_compiler_copies_or_splits_it() -> None:
    assert base_function("probe.constprop.0.isra.1") == "probe"
    assert base_function("probe.cold") == "probe"


def test_an_instruction_is_compared_without_its_numbers() -> None:
    assert normalised("mov eax, 0x10") == normalised("mov eax, 0x20")
    assert normalised("jne probe+0x10") == normalised("jne probe+0x44")
    assert normalised("mov eax, ebx") != normalised("mov eax, ecx")
    assert normalised("lea rdi, [rip]  # .rodata+0x10") == normalised("lea rdi, [rip]")


def test_the_kind_and_the_function_are_part_of_a_fingerprint() -> None:
    assert fingerprint("a", "f", ("ret",)) != fingerprint("b", "f", ("ret",))
    assert fingerprint("a", "f", ("ret",)) != fingerprint("a", "g", ("ret",))


def test_what_is_no_baseline_is_never_replaced_and_a_link_stays_one(tmp_path: Path) -> None:
    precious, link = tmp_path / "precious.o", tmp_path / "link"
    precious.write_bytes(b"\x7fELF")
    with pytest.raises(BaselineError, match="so it is not replaced"):
        write_baseline(str(precious), accept([]))
    assert precious.read_bytes() == b"\x7fELF"
    with pytest.raises(BaselineError):
        write_baseline("/dev/null", accept([]))
    link.symlink_to(tmp_path / "base")
    for _ in range(2):
        write_baseline(str(link), accept([]))
    assert link.is_symlink()
    assert (tmp_path / "base").is_file()
