"""Where files of ours may be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kdash.backends.kvm.facts import GuestError, GuestFileError
from kdash.backends.kvm.places import writable_place


def test_a_file_that_is_not_there_yet_may_be_written(tmp_path: Path) -> None:
    assert writable_place(tmp_path / "new") == tmp_path / "new"


def test_a_link_leads_to_its_file_and_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    assert writable_place(tmp_path / "link") == tmp_path / "file"


def test_a_file_that_is_read_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "guest").write_bytes(b"")
    (tmp_path / "same").symlink_to("guest")
    for name in ("guest", "same"):
        with pytest.raises(GuestError, match="which would be lost"):
            writable_place(tmp_path / name, [str(tmp_path / "guest")])


def test_a_device_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, what in (("/dev/null", "no regular file"), (tmp_path, "a folder"),
                        (tmp_path / "pipe", "no regular file")):  # fmt: skip
        with pytest.raises(GuestError, match=what):
            writable_place(place)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(GuestFileError, match=f"no folder {tmp_path / 'gone'}"):
        writable_place(tmp_path / "gone" / "file")
