"""Where files of ours may be written: never over what is no file of that kind."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from kdash.backends.kvm.facts import GuestError, GuestFileError


def writable_place(path: str | os.PathLike[str], kept: Iterable[str] = ()) -> Path:
    """The file to write or replace, links followed.

    Args:
        path: as given.
        kept: files that this must not be.

    Raises:
        GuestError: it is one of `kept`, or there is something that is no regular file.
        GuestFileError: its folder is not there, or nothing can be written in it.
    """
    place = Path(path)
    for other in kept:
        if place.exists() and os.path.exists(other) and os.path.samefile(place, other):
            raise GuestError(f"{path}: that is {other} itself, which would be lost; name another")
    if place.is_symlink():
        place = Path(os.path.realpath(place))
    if place.exists() and not place.is_file():
        kind = "a folder" if place.is_dir() else "no regular file"
        raise GuestError(f"{path}: {kind} is there; name a file")
    folder = place.parent
    if not folder.is_dir():
        raise GuestFileError(f"{path}: no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise GuestFileError(f"{path}: nothing can be written in {folder}")
    return place
