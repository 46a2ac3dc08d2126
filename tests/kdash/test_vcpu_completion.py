"""Completion of the VCPU pane's prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdash.panes.vcpu_completion import complete


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("st", "step"),
        ("rest", "restart"),
        ("set ra", "set rax="),
        ("x/16b rs", "x/16b rsi"),
        ("until rip+r", "until rip+rax"),
        ("p dword [rs", "p dword [rsi"),
        ("b 0x1000 if ra", "b 0x1000 if rax"),
        ("catch HL", "catch HLT"),
        ("set rax=rb", "set rax=rbx"),
        ("inf st", "inf stops"),
    ],
)
def test_words_and_registers_are_completed(line: str, first: str) -> None:
    assert complete(line)[0] == first


@pytest.mark.parametrize("line", ["frob", "step ", "restart r"])
def test_nothing_is_offered_where_nothing_fits(line: str) -> None:
    assert not complete(line)


def test_files_and_folders_are_completed_for_open(tmp_path: Path) -> None:
    (tmp_path / "boot.bin").touch()
    (tmp_path / "bootloader").mkdir()
    assert complete(f"open {tmp_path}/bo") == [
        f"open {tmp_path}/boot.bin",
        f"open {tmp_path}/bootloader/",
    ]
    assert complete(f"open --mode long {tmp_path}/boot.") == [
        f"open --mode long {tmp_path}/boot.bin"
    ]


def test_a_blank_in_a_file_name_is_escaped_as_in_a_shell(tmp_path: Path) -> None:
    (tmp_path / "my guest.bin").touch()
    completed = f"open {tmp_path}/my\\ guest.bin"
    assert complete(f"open {tmp_path}/my") == [completed]
    assert complete(completed[:-4]) == [completed]


def test_a_folder_that_is_not_there_completes_to_nothing() -> None:
    assert complete("open /no/such/folder/x") == []


def test_symbols_are_completed_where_an_address_stands() -> None:
    symbols = sorted(("main", "main.cold", "memcpy", "start"))
    assert complete("break ma", symbols) == ["break main", "break main.cold"]
    assert complete("x/16b rsp+mem", symbols) == ["x/16b rsp+memcpy"]
    assert complete("break main.c", symbols) == ["break main.cold"]
    assert complete("step ma", symbols) == []
