"""Where what a user decided or did is kept; nothing is made here by asking."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """The program's folder below $XDG_STATE_HOME, else below ~/.local/state.

    A relative $XDG_STATE_HOME does not count (XDG Base Directory Specification 0.8).

    Raises:
        RuntimeError: there is no home directory.
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return base / "kdash"


def history_path() -> Path | None:
    """The file of the generator's history; None for a user who has no home directory."""
    try:
        return state_folder() / "entropy-history"
    except RuntimeError:
        return None


def verdict_path() -> str:
    """The file of verdicts on the stack pane's findings; one that can't be made without a home."""
    try:
        return str(state_folder() / "stack-verdicts")
    except RuntimeError:
        return "/nonexistent/kdash/stack-verdicts"
