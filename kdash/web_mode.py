"""What a dashboard may not do that somebody in a browser operates.

Whoever has the address of `kdash web` operates a program that runs as its user. So that a browser
never becomes a shell, such a dashboard changes no file and starts no program but its own workers:
the interpreter itself refuses, whatever part of the program asks.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

#: What makes a dashboard one of a browser: the value of TEXTUAL_DRIVER, given by `kdash web`.
DRIVER: Final = "kdash.web_driver:EndingWebDriver"
VARIABLE: Final = "TEXTUAL_DRIVER"
REFUSED: Final = "off in a browser"

_DEVICES: Final = ("/dev/kvm", os.devnull)  # opened for writing, yet no files
_CHANGING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: Events of Python's auditing (docs: "Audit events table") that tell a change of the file system.
_CHANGES: Final = frozenset(
    ("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.removexattr", "os.rename",
     "os.rmdir", "os.setxattr", "os.symlink", "os.truncate", "os.utime")
)  # fmt: skip
#: Those that tell the start of a program, whichever.
_STARTS: Final = frozenset(("os.exec", "os.spawn", "os.system", "pty.spawn"))
#: Those whose first argument is the program; from Python 3.13 on a worker raises both of them.
_STARTS_OF: Final = frozenset(("subprocess.Popen", "os.posix_spawn"))


class NotFromBrowserError(PermissionError):
    """Refused because a browser asks for it."""


def in_browser(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process draws for a browser."""
    return environment.get(VARIABLE) == DRIVER


def forbid_changes() -> None:
    """From now on this process changes no file and starts no program but Python itself.

    Not to be undone. What is refused raises NotFromBrowserError, an OSError like that of a
    read-only file system, which every caller has an answer for.
    """
    sys.dont_write_bytecode = True
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        # A number is a descriptor that is open already, such as a worker's pipe.
        if isinstance(path, int) or not flags & _CHANGING or os.fsdecode(path) in _DEVICES:
            return
        raise NotFromBrowserError(errno.EACCES, f"writing files is {REFUSED}", path)
    if event in _CHANGES:
        raise NotFromBrowserError(errno.EACCES, f"writing files is {REFUSED}", arguments[0])
    started = event in _STARTS_OF and os.fsdecode(arguments[0]) != sys.executable
    if started or event in _STARTS:
        raise NotFromBrowserError(errno.EACCES, f"starting programs is {REFUSED}")
