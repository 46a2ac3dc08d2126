"""Which pane an argument of the dashboard belongs to, by what the file holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

ET_REL = 1  # ELF: relocatable file (System V gABI, "ELF header")
STACK_SUFFIXES = (".o", ".ko", ".ko.gz", ".ko.xz", ".ko.zst", ".a")
ARCHIVES = (b"!<arch>\n", b"!<thin>\n")


def belongs_to_stack(path: Path) -> bool:
    """Whether `path` is for the stack pane: an object, archive or folder, results, a build log.

    Everything else is a guest. A path that can't be read goes by its name alone, so that the
    pane concerned can say what is wrong with it.
    """
    if path.is_dir() or path.name.endswith(STACK_SUFFIXES):
        return True
    if not path.is_file():  # a pipe or a device would make us wait
        return False
    try:
        with path.open("rb") as file:
            head = file.read(18)
    except OSError:
        return False
    if head[:8] in ARCHIVES:
        return True
    if head[:4] == b"\x7fELF":
        return int.from_bytes(head[16:18], "little") == ET_REL
    return is_results(path)


def is_results(path: Path) -> bool:
    """Whether `path` holds results of a validation, a baseline or the log of a build."""
    from kdash.backends.stack.result_kinds import holds_results

    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return holds_results(path.name, file)
    except OSError:
        return False


def covers(older: Path, newer: Sequence[Path]) -> bool:
    """Whether a newer run looks at all that an older one did: what it has no report on is gone.

    Results tell no clean files; of folders the newer one stands for the older one.
    """
    if any(is_results(path) for path in newer):
        return True
    return older.is_dir() and any(path.is_dir() for path in newer)
