"""Threads that users' devices left behind: the interpreter would wait for them for ever."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Final

#: Seconds that they have to end by themselves.
PATIENCE: Final = 0.5


def end_despite_threads(status: int) -> None:
    """End the program with `status` if threads live that it would wait for; names them on stderr.

    Daemon threads hold nothing up, and where there are no others this returns.
    """
    own = threading.current_thread()
    deadline = time.monotonic() + PATIENCE
    living = []
    for thread in threading.enumerate():
        if thread is own or thread.daemon:
            continue
        thread.join(max(deadline - time.monotonic(), 0))
        if thread.is_alive():
            living.append(thread.name)
    if not living:
        return
    from kdash.widgets.printable import one_line

    names = one_line(", ".join(living))
    sys.stderr.write(
        f"kdash: ended although a device's thread still runs: {names} (daemon=True avoids this)\n"
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
