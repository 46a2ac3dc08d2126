"""Completion of the command prompt of the VCPU pane: words, registers, files."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kdash.panes.vcpu_vocabulary import ALIASES, WORDS
from kdash.panes.vcpu_words import GENERAL, SETTABLE
from kdash.widgets.vcpu.arrangement import PARTS, STATE_VIEWS

MOST_PATHS = MOST_SYMBOLS = 50
TAKE_ADDRESSES = ("until", "break", "delete", "walk", "follow")
VIEWS = (*PARTS, *STATE_VIEWS)
_SPECIAL = re.compile(r"([\s\"'\\])")  # what the shell's rules give a meaning


def complete(line: str, symbols: Sequence[str] = ()) -> Sequence[str]:
    """Completions of a partly typed line: words, then registers and symbols where one can stand.

    Args:
        line: What has been typed.
        symbols: Names of the guest's addresses, sorted.
    """
    word, blank, rest = line.partition(" ")
    if not blank:
        return [known.word for known in WORDS if known.word.startswith(word)]
    names: Sequence[str] = ()
    addressed = False
    if word.removesuffix("!") in ("open", "save", "save-snapshot"):
        return [f"{word} {completed}" for completed in paths(rest)]
    if ALIASES.get(word, word) == "set":
        names = [f"{name}=" for name in SETTABLE]
    elif word.partition("/")[0] in ("x", "xp") or ALIASES.get(word, word) in TAKE_ADDRESSES:
        names, addressed = GENERAL, True
    elif word == "info":
        return [f"info {view}" for view in VIEWS if view.startswith(rest)]
    head, last = "", rest
    if found := re.search(r"^(.*[+-])([\w.]*)$", rest):
        head, last = found[1], found[2]
    if not last:
        return []
    fitting = [name for name in names if name.startswith(last)]
    if addressed:
        fitting += starting(symbols, last)
    return [f"{word} {head}{name}" for name in fitting]


def starting(names: Sequence[str], start: str) -> Sequence[str]:
    """The first of the sorted `names` that begin with `start`."""
    first = bisect_left(names, start)
    found = names[first : first + MOST_SYMBOLS]
    return [name for name in found if name.startswith(start)]


def paths(text: str) -> list[str]:
    """`text` with its last word completed to files and folders, the latter with a slash."""
    found = re.search(r"(?:[^\s\\]|\\.)*$", text)
    word = found[0] if found else ""
    head = text[: len(text) - len(word)]
    typed = re.sub(r"\\(.)", r"\1", word)
    folder, _, start = typed.rpartition("/")
    base = f"{folder}/" if "/" in typed else ""
    names: list[str] = []
    with suppress(OSError, ValueError), os.scandir(Path(base or ".").expanduser()) as entries:
        names = sorted(
            entry.name + ("/" if entry.is_dir() else "")
            for entry in entries
            if entry.name.startswith(start) and (start or not entry.name.startswith("."))
        )
    return [head + _SPECIAL.sub(r"\\\1", base + name) for name in names[:MOST_PATHS]]
