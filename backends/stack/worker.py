"""A worker process: requests as lines on stdin, reports as lines on stdout (`wire.py`).

Run as `python -m kdash.backends.stack.worker [--no-cache]`. It ends with its parent: at the end
of stdin, and by the kernel's parent-death signal while it is busy.
"""

from __future__ import annotations

import ctypes
import signal
import sys

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions
from kdash.backends.stack.result_cache import cache_folder
from kdash.backends.stack.wire import NO_CACHE, decode_request, encode

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h


def main() -> int:
    """Serve requests until stdin ends."""
    end_with_parent()
    cache = None if NO_CACHE in sys.argv[1:] else cache_folder()
    checker = Checker(CheckOptions(), cache)
    for line in sys.stdin:
        path, options, sample = decode_request(line)
        if options != checker.options:
            checker = Checker(options, cache)
        report = checker.check(path, sample=sample)
        try:
            sys.stdout.write(encode(report) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            return 0
    return 0


def end_with_parent() -> None:
    """Leave ctrl+c to the parent, and be ended by the kernel when it ends."""
    # ctrl+c is for the parent: it decides what happens to its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        return  # the end of stdin still ends it


if __name__ == "__main__":
    sys.exit(main())
