"""The terminal this process has: whether a dashboard can be drawn on it, and in what colours."""

from __future__ import annotations

import os
import sys


def unfit_reason() -> str:
    """Say in one line why no dashboard can be drawn here; empty when one can.

    The interface is written to standard error and read from standard input.
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


def colour_count() -> int:
    """How many colours the terminal says it has: 16, 256 or 16,777,216."""
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return 1 << 24
    term = os.environ.get("TERM", "")
    if term.endswith("-direct") or any(name in term for name in ("kitty", "alacritty", "ghostty")):
        return 1 << 24
    return 256 if "256" in term else 16
