"""Which object file a function of the running kernel came from: standard library only.

A module lies below /lib/modules/RELEASE and may be compressed (kmod, modules.dep(5)); of the
kernel itself only its parts before the link can be validated, and only the user knows where they
are.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Final

from kdash.backends.stack.fingerprints import base_function

_SUFFIXES: Final = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")


def modules_of(functions: Collection[str], root: str = "/") -> dict[str, str]:
    """The module of each function that kallsyms has: "" for the kernel itself.

    Args:
        functions: their names in the source.
        root: folder that holds proc.
    """
    wanted = {base_function(name): name for name in functions}
    found: dict[str, str] = {}
    try:
        with open(os.path.join(root, "proc/kallsyms"), encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.split()
                if len(fields) >= 3 and (name := wanted.get(base_function(fields[2]))):
                    found.setdefault(name, fields[3].strip("[]") if len(fields) > 3 else "")
    except OSError:
        return found
    return found


def module_file(module: str, root: str = "/") -> str:
    """The file of a module of the running kernel; "" where it is not to be found.

    Args:
        module: as `lsmod` tells it.
        root: folder that holds proc and lib.
    """
    try:
        with open(os.path.join(root, "proc/sys/kernel/osrelease"), encoding="utf-8") as file:
            release = file.read().strip()
    except (OSError, ValueError):
        return ""
    for folder, _, files in os.walk(os.path.join(root, "lib/modules", release)):
        for name in files:
            stem, dot, _ = name.partition(".ko")
            if dot and name.endswith(_SUFFIXES) and stem.replace("-", "_") == module:
                return os.path.join(folder, name)
    return ""
