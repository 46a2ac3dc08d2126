"""What the dashboard remembers from one start to the next, a JSON file a thing.

The files are in the program's state folder, written whole or not at all. None is needed:
where one can't be read or written, what it holds is forgotten.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

from kdash.backends.private_folder import make_private
from kdash.state_folder import state_folder

#: Bytes; larger files are not ours.
_LARGEST: Final = 1 << 20


def state_file(name: str) -> Path:
    """Where `name` is kept; nothing is created."""
    return state_folder() / name


def read_state(name: str) -> Any:
    """What was kept as `name`; None where that can't be read."""
    try:
        with os.fdopen(_opened(state_file(name)), encoding="utf-8") as file:
            text = file.read(_LARGEST)
        import json  # where nothing is kept, the first picture does without

        return json.loads(text)
    except (OSError, ValueError, RuntimeError, RecursionError):
        return None


def _opened(path: Path) -> int:
    """Open a file; what is none, such as a pipe that nobody writes to, is refused without waiting.

    Raises:
        OSError: It can't be opened, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def write_state(name: str, data: Any) -> bool:
    """Keep `data`, of what JSON can hold, as `name`; tells whether it could be."""
    import json

    with contextlib.suppress(OSError, RuntimeError, UnicodeEncodeError):
        file = state_file(name)
        make_private(file.parent)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as written:
                json.dump(data, written)  # file names that are no UTF-8 as escapes
            Path(temporary).replace(file)
        except BaseException:
            Path(temporary).unlink()
            raise
        return True
    return False
