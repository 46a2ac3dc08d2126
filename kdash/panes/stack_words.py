"""The words of the Stack pane's command prompt: what they take, and their completion."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from kdash.backends.stack.facts import VERDICTS
from kdash.widgets.command_words import CommandError, CommandWord, meant
from kdash.widgets.stack.entry import GROUPINGS, ORDERS

FRAME_POINTER = ("auto", "on", "off")
ON_OFF = ("on", "off")
WORDS = (
    CommandWord("check", "check PATH...", "validate these files and folders"),
    CommandWord("open", "open FILE... [--build-dir DIR]", "a build log, SARIF, results or objects"),
    CommandWord("filter", "filter [TEXT]", "show the findings that pass; without TEXT all"),
    CommandWord("sort", "sort FIELD", f"order by {', '.join(ORDERS)}"),
    CommandWord("group", "group [FIELD...]",
                f"a tree by {', '.join(GROUPINGS)}, also several; without FIELD flat"),
    CommandWord("compare", "compare [OLD]",
                "check again: what is new, fixed, moved since OLD (a folder, results, a baseline)"),
    CommandWord("baseline", "baseline [write] FILE",
                "only what FILE does not accept, and what is fixed; write: accept what is there"),
    CommandWord("verdict", "verdict VERDICT [until DAY|Nd] [NOTE]",
                f"decide about the finding: {', '.join(VERDICTS)}, none"),
    CommandWord("goto", "goto FUNCTION", "the first finding in this function"),
    CommandWord("watch", "watch [on|off]", "check a file again when it changes on disk"),
    CommandWord("export", "export FILE [text|json|sarif|annotations]",
                "write the findings shown; annotations: what silences them in the kernel"),
    CommandWord("livepatch", "livepatch [FUNCTION]",
                "are traces through it reliable, and which tasks are inside of it now"),
    CommandWord("frame-pointer", "frame-pointer auto|on|off", "check again with these rules"),
    CommandWord("noreturn", "noreturn NAME...", "check again; these functions never return"),
)  # fmt: skip
TEACH = """\
:check PATH...          check other objects (.o, .ko) or folders
:open BUILD.LOG         warnings of a build, SARIF or an earlier run
:frame-pointer on       check again with the frame pointer rules on
kdash stack check PATH  the same without a screen"""
ENOUGH = 50  # completions


def nothing_in(subject: str, *, results: bool) -> str:
    """What stands in place of the list when there was no file to report on."""
    if results:
        return f"No warning of objtool or stacktool in {subject}."
    return f"Nothing to check in {subject}."


def split(line: str) -> tuple[str, str]:
    """The word of a command line and the rest.

    Raises:
        CommandError: The word is unknown.
    """
    word, _, rest = line.strip().partition(" ")
    return meant(word, WORDS).word, rest.strip()


def one_of(word: str, value: str, choices: Iterable[str]) -> str:
    """`value`, if it is one of the choices.

    Raises:
        CommandError: It is not.
    """
    names = tuple(choices)
    if value not in names:
        raise CommandError(f"{word}: {value!r} is not one of {', '.join(names)}")
    return value


def with_build_dir(words: Sequence[str], before: str) -> tuple[list[str], str]:
    """The words without `--build-dir DIR`, and that folder, or `before` where there is none.

    Raises:
        CommandError: There is no such folder.
    """
    rest = list(words)
    if "--build-dir" not in rest:
        return rest, before
    at = rest.index("--build-dir")
    folder = Path(rest[at + 1]).expanduser() if at + 1 < len(rest) else None
    if folder is None or not folder.is_dir():
        raise CommandError(f"--build-dir: {folder or 'give a folder'}: no such folder")
    return rest[:at] + rest[at + 2 :], str(folder)


def existing_paths(word: str, words: Sequence[str]) -> tuple[Path, ...]:
    """The files and folders named.

    Raises:
        CommandError: There are none, or one does not exist.
    """
    if not words:
        example = {"open": "build.log"}.get(word, "drivers/net")
        raise CommandError(f"{word}: give files or folders, for example: {word} {example}")
    paths = tuple(Path(word).expanduser() for word in words)
    for path in paths:
        try:
            path.stat()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            raise CommandError(f"{word}: {path}: {reason}") from None
    return paths


def path_completions(stem: str) -> list[str]:
    """Paths that begin with `stem`, folders with a slash behind them."""
    folder, name = os.path.split(stem)
    try:
        with os.scandir(Path(folder or ".").expanduser()) as found:
            entries = sorted((entry.name, entry.is_dir()) for entry in found)
    except (OSError, ValueError):
        return []
    hits = [
        stem[: len(stem) - len(name)] + found_name + ("/" if is_folder else "")
        for found_name, is_folder in entries
        if found_name.startswith(name) and (name or not found_name.startswith("."))
    ]
    return hits[:ENOUGH]


def complete_last(line: str, choices: Iterable[str]) -> list[str]:
    """Lines in which the last word is one of the choices that begin as it does."""
    head, blank, stem = line.rpartition(" ")
    hits = [f"{head}{blank}{choice}" for choice in choices if choice.startswith(stem)]
    return hits[:ENOUGH] if stem else []
