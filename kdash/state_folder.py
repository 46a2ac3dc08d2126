"""Where what a user decided or did is kept; nothing is made here by asking."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """The program's folder below $XDG_STATE_HOME, else below ~/.local/state.

    A relative $XDG_STATE_HOME does not count (XDG Base Directory Specification 0.8).
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if named.startswith("/") else Path("~/.local/state").expanduser()
    return base / "kdash"


def history_path() -> Path:
    """The file of the Entropy pane's history."""
    return state_folder() / "entropy-history"
