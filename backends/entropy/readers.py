"""Tasks asleep in the generator, waiting for entropy.

Source: proc(5), /proc/PID/wchan; the functions are those of Linux drivers/char/random.c up to 5.5
in which a reader sleeps.
"""

from __future__ import annotations

import os

from kdash.backends.entropy.procfs import Root, Unavailable, reason

_SLEEPS_IN = ("random_read", "_random_read", "wait_for_random_bytes", "urandom_read")


def count_blocked_readers(root: Root) -> int:
    """How many processes sleep in the generator, as far as this user may see.

    Raises:
        Unavailable: /proc can't be listed, or the kernel hides where processes sleep.
    """
    try:
        processes = [name for name in os.listdir(root.path("proc")) if name.isdigit()]
    except OSError as error:
        raise Unavailable(reason(error)) from None
    blocked = seen = 0
    for process in processes:
        try:
            symbol = root.text(f"proc/{process}/wchan").strip()
        except Unavailable:
            continue  # it has ended, or belongs to someone else
        seen += symbol not in ("", "0")
        blocked += symbol.startswith(_SLEEPS_IN)
    if processes and not seen:
        raise Unavailable("needs root")
    return blocked
