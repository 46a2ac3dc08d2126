"""What the kernel's build left beside an object: `.x.o.cmd` says how it was made.

The file is written by scripts/Kbuild.include (Linux 2.6 to 6.19): its first line is
`cmd_PATH := COMMAND`, since 6.3 `savedcmd_PATH := COMMAND`.
"""

from __future__ import annotations

import os
from typing import Final

_LONGEST: Final = 1 << 16  # bytes of the first line that are looked at
_ASSIGNMENTS: Final = (b"cmd_", b"savedcmd_")


def is_part_of_another(path: str) -> bool:
    """Whether the build made `path` from objects that stand beside it, or for the host.

    Those are no inputs of their own: composite objects and modules are linked from objects that
    are validated singly, with all the annotations the link drops; programs of the host are no
    kernel code.
    """
    folder, name = os.path.split(path)
    if name.endswith(".mod.o"):
        return True
    command = _command(os.path.join(folder, f".{name}.cmd"))
    if not command:
        return False
    if name.endswith(".ko"):
        return os.path.isfile(path.removesuffix(".ko") + ".o")
    words = command.split()
    if b"-r" in words and b"-c" not in words:
        return True
    return b"-c" in words and b"-D__KERNEL__" not in words


def _command(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            line = file.readline(_LONGEST)
    except OSError:
        return b""
    name, assigned, command = line.partition(b" := ")
    return command if assigned and name.startswith(_ASSIGNMENTS) else b""
