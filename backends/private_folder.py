"""Folders of a user's own."""

from __future__ import annotations

from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone.

    The XDG base directory specification (0.8) asks for mode 0700; `mkdir -p` would leave the
    folders above to the umask.

    Raises:
        OSError: It can't be made, or something else has its name.
    """
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)  # what has its name but is no folder is refused
