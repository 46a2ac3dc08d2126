"""The file system as the file dialog sees it: folders, and one line on a file."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdash.widgets.file_dialog import Entry, Listing


@dataclass(frozen=True, slots=True)
class Folders:
    """Lists folders; what a file is, is told by `kind`."""

    kind: Callable[[str], str]  # raises OSError
    take: Callable[[str, str], str]  # path and options; what is wrong with them
    lately: Callable[[], Sequence[Entry]] = tuple

    def listing(self, folder: str) -> Listing:
        """What is in a folder, folders first, or why that can't be told."""
        entries: list[Entry] = []
        problem = ""
        try:
            with os.scandir(folder) as found:
                entries = [_entry(one, folder) for one in found]
        except OSError as error:
            problem = f"{folder}: {error.strerror}"
        except ValueError as error:  # a null byte
            problem = f"{folder}: {error}"
        entries.sort(key=lambda entry: (not entry.folder, entry.name.lower()))
        return Listing(folder, tuple(entries), problem)

    def recent(self) -> Sequence[Entry]:
        """What was opened lately."""
        return self.lately()

    def choose(self, path: str, options: str) -> str:
        """Take what was chosen; what is wrong with it."""
        return self.take(path, options)

    def place(self, folder: str, typed: str) -> str:
        """The folder that was typed: absolute, at home, or from `folder` on."""
        try:
            wanted = Path(typed).expanduser()
        except RuntimeError:  # a user that is not there
            wanted = Path(typed)
        return os.path.normpath(Path(folder) / wanted)

    def about(self, path: str) -> str:
        """What a file is, its size and age; what is wrong where that can't be told."""
        from kdash.backends.kvm.sizes import size_text

        try:
            file = Path(path)
            if file.is_symlink() and not file.exists():
                return f"a link to {file.readlink()}, which is not there"
            found = file.stat()
            written = _time(found.st_mtime)
            if stat.S_ISDIR(found.st_mode):
                return f"folder, of {written}"
            return f"{self.kind(path)}, {size_text(found.st_size)}, of {written}"
        except OSError as error:
            return error.strerror or "it can't be looked at"
        except ValueError as error:
            return str(error)


def _entry(found: os.DirEntry[str], folder: str) -> Entry:
    try:
        is_folder = found.is_dir()
    except OSError:  # a link that leads in circles
        is_folder = False
    name = found.name + ("/" if is_folder else "")
    return Entry(name, str(Path(folder) / found.name), is_folder)


def _time(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OSError, ValueError, OverflowError):
        return "an impossible date"
