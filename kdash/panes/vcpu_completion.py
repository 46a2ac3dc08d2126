"""Completion of the command prompt of the VCPU pane: words, registers, files."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kdash.backends.kvm.stop_requests import EXIT_NAMES
from kdash.panes.vcpu_vocabulary import WORDS
from kdash.panes.vcpu_words import GENERAL, SETTABLE, VIEWS
from kdash.widgets.command_words import CommandError, meant

MOST_PATHS = MOST_SYMBOLS = 50
TAKE_ADDRESSES = frozenset({
    "until", "break", "tbreak", "watch", "awatch", "delete", "walk", "follow", "print", "x", "xp",
})  # fmt: skip
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
    try:
        means = meant(word.partition("/")[0].removesuffix("!"), WORDS).word
    except CommandError:
        return []
    if means in ("open", "save", "save-snapshot"):
        return [f"{word} {completed}" for completed in paths(rest)]
    if means == "set" and ("=" in rest or "}" in rest):
        names, addressed = GENERAL, True
    elif means == "set":
        names = [f"{name}=" for name in SETTABLE]
    elif means in TAKE_ADDRESSES:
        names, addressed = GENERAL, True
    elif means == "catch" or (means == "until" and rest.startswith("exit ")):
        names = sorted(EXIT_NAMES)
    elif means == "info":
        return [f"{word} {view}" for view in VIEWS if view.startswith(rest)]
    head, last = "", rest
    if found := re.search(r"^(.*[^\w.])([\w.]*)$", rest):
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
