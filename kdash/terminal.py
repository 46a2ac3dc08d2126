"""The terminal this process has: whether a dashboard can be drawn on it, and in what colours."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def unfit_reason() -> str:
    """Say in one line why no dashboard can be drawn here; empty when one can.

    The interface is written to standard error, or to standard output where errors go elsewhere,
    and read from standard input.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        return "standard input is not a terminal"
    if not sys.stdout.isatty():
        return "standard output is not a terminal"
    term = os.environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        return f"TERM is {term or 'not set'}: the terminal can't move its cursor"
    return ""


def is_ascii_alone(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user's locale is said to be C, or to have another character set than UTF-8.

    Where no locale is set at all, as in containers, terminals know UTF-8 nevertheless. Python has
    set LC_CTYPE itself where it runs in UTF-8 mode for LANG=C (PEP 538).
    """
    names = ("LC_ALL", "LANG") if sys.flags.utf8_mode else ("LC_ALL", "LC_CTYPE", "LANG")
    locale = next((environment[name] for name in names if environment.get(name)), "C.UTF-8")
    return "utf8" not in locale.lower().replace("-", "")


def colour_count() -> int:
    """How many colours the terminal says it has: 16, 256 or 16,777,216."""
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return 1 << 24
    term = os.environ.get("TERM", "")
    if term.endswith("-direct") or any(name in term for name in ("kitty", "alacritty", "ghostty")):
        return 1 << 24
    return 256 if "256" in term else 16
