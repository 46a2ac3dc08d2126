"""Completion of the command prompt of the VCPU pane: words, registers, files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kdash.panes.vcpu_vocabulary import ALIASES, WORDS
from kdash.panes.vcpu_words import GENERAL, SETTABLE
from kdash.widgets.vcpu.arrangement import PARTS, STATE_VIEWS

MOST_PATHS = 50
TAKE_ADDRESSES = ("until", "break", "delete", "walk", "follow")
VIEWS = (*PARTS, *STATE_VIEWS)
_SPECIAL = re.compile(r"([\s\"'\\])")  # what the shell's rules give a meaning


def complete(line: str) -> Sequence[str]:
    """Completions of a partly typed line: words, then register names where one can stand."""
    word, blank, rest = line.partition(" ")
    if not blank:
        return [known.word for known in WORDS if known.word.startswith(word)]
    names: Sequence[str] = ()
    if word == "open":
        return [f"{word} {completed}" for completed in paths(rest)]
    if ALIASES.get(word, word) == "set":
        names = [f"{name}=" for name in SETTABLE]
    elif word.partition("/")[0] in ("x", "xp") or ALIASES.get(word, word) in TAKE_ADDRESSES:
        names = GENERAL
    elif word == "info":
        return [f"info {view}" for view in VIEWS if view.startswith(rest)]
    head, last = "", rest
    if found := re.search(r"^(.*[+-])(\w*)$", rest):
        head, last = found[1], found[2]
    return [f"{word} {head}{name}" for name in names if last and name.startswith(last)]


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
