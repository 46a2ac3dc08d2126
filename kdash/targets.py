"""Which pane an argument of the dashboard belongs to, by what the file holds."""

from __future__ import annotations

from pathlib import Path

ET_REL = 1  # ELF: relocatable file (System V gABI, "ELF header")
STACK_SUFFIXES = (".o", ".ko", ".ko.gz", ".ko.xz", ".ko.zst", ".a")
ARCHIVES = (b"!<arch>\n", b"!<thin>\n")


def belongs_to_stack(path: Path) -> bool:
    """Whether `path` is something to validate: an object, an archive or a folder.

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
    return head[:4] == b"\x7fELF" and int.from_bytes(head[16:18], "little") == ET_REL
