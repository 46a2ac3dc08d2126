"""Which guests were opened lately: kept in $XDG_STATE_HOME/kdash for the file dialog."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kdash.panes import kept_state
from kdash.panes.kept_state import read_state, write_state
from kdash.settings import Settings
from kdash.widgets.file_dialog import RECENT, Entry

MOST: Final = 10
FILE: Final = "recent-guests.json"


def state_file() -> Path:
    """Where they are kept; nothing is created."""
    return kept_state.state_file(FILE)


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
    write_state(FILE, kept)


def _read() -> list[tuple[str, str]]:
    found = read_state(FILE)
    if not isinstance(found, list):
        return []
    return [
        (one[0], one[1])
        for one in found[:MOST]
        if isinstance(one, list) and len(one) == 2 and all(isinstance(text, str) for text in one)
    ]
