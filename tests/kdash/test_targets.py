from __future__ import annotations

import os
from pathlib import Path

import pytest

from kdash.commands.dashboard import settings_for
from kdash.targets import belongs_to_stack


def elf(path: Path, kind: int) -> Path:
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + kind.to_bytes(2, "little") + bytes(46))
    return path


def test_a_relocatable_elf_file_of_any_name_belongs_to_the_stack_pane(tmp_path: Path) -> None:
    assert belongs_to_stack(elf(tmp_path / "vmlinux-part", kind=1))


def test_an_executable_elf_file_is_a_guest(tmp_path: Path) -> None:
    assert not belongs_to_stack(elf(tmp_path / "kernel", kind=2))


def test_an_archive_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "built-in"
    path.write_bytes(b"!<arch>\n")
    assert belongs_to_stack(path)


@pytest.mark.parametrize("content", [b"", b"\x7f", b"\xf4" * 512])
def test_anything_else_is_a_guest(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "guest.bin"
    path.write_bytes(content)
    assert not belongs_to_stack(path)


def test_a_folder_opens_the_stack_pane(tmp_path: Path) -> None:
    settings = settings_for([tmp_path])
    assert (settings.objects, settings.guest, settings.pane) == ((tmp_path,), None, 1)


def test_a_guest_opens_the_vcpu_pane_and_objects_go_beside_it(tmp_path: Path) -> None:
    guest = tmp_path / "guest.bin"
    guest.write_bytes(b"\xf4")
    settings = settings_for([tmp_path, guest])
    assert (settings.guest, settings.objects, settings.pane) == (guest, (tmp_path,), 0)


def test_two_guests_are_refused(tmp_path: Path) -> None:
    guests = [tmp_path / name for name in ("a", "b")]
    for guest in guests:
        guest.write_bytes(b"\xf4")
    with pytest.raises(ValueError, match="one guest at a time"):
        settings_for(guests)


def test_a_pipe_is_refused_without_being_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        settings_for([pipe])
