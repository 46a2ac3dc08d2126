"""Which guests were opened lately: kept in $XDG_STATE_HOME/kdash for the file dialog."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kdash.settings import Settings
from kdash.state_folder import state_folder
from kdash.widgets.file_dialog import RECENT, Entry

MOST: Final = 10
#: Larger files are not ours.
_LARGEST: Final = 1 << 20


def state_file() -> Path:
    """Where they are kept; nothing is created."""
    return state_folder() / "recent-guests.json"


def recent_guests() -> Sequence[Entry]:
    """Those that are still there, newest first; none where the list can't be read."""
    return [
        Entry(Path(path).name, path, note=RECENT, options=options)
        for path, options in _read()
        if Path(path).is_file()
    ]


def remember(settings: Settings) -> None:
    """Put the guest of some settings first; where that can't be written it is forgotten."""
    if settings.guest is None:
        return
    path = str(Path(settings.guest).absolute())
    words = list(settings.words)
    for target in getattr(settings.options, "targets", ()):
        with contextlib.suppress(ValueError):
            words.remove(target)
    options = shlex.join(words)
    kept = [(path, options), *(one for one in _read() if one[0] != path)][:MOST]
    file = state_file()
    with contextlib.suppress(OSError, RuntimeError, UnicodeEncodeError):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as written:
                json.dump(kept, written)  # file names that are no UTF-8 as escapes
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink()
            raise


def _read() -> list[tuple[str, str]]:
    try:
        with state_file().open(encoding="utf-8") as file:
            found = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RuntimeError, RecursionError):
        return []
    if not isinstance(found, list):
        return []
    return [
        (one[0], one[1])
        for one in found[:MOST]
        if isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one)
    ]
