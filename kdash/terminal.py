"""Whether this process has a terminal that the dashboard can be drawn on."""

from __future__ import annotations

import os
import sys


def unfit_reason() -> str:
    """Say in one line why no dashboard can be drawn here; empty when one can.

    The interface is written to standard error, so both it and standard input count.
    """
    if not sys.stdin.isatty():
        return "standard input is not a terminal"
    if not sys.stderr.isatty():
        return "standard error is not a terminal (the dashboard is drawn there)"
    if not sys.stdout.isatty():
        return "standard output is not a terminal"
    term = os.environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        return f"TERM is {term or 'not set'}: the terminal can't move its cursor"
    return ""


def few_colours() -> bool:
    """Whether the terminal has 16 colours or fewer."""
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return False
    term = os.environ.get("TERM", "")
    return not ("256" in term or "direct" in term or "kitty" in term or "alacritty" in term)
