"""A worker process that answers one question: the control flow around a finding.

Run as `python -m kdash.backends.stack.flow_worker SECTION ADDRESS KIND` with a request of
`wire.py` on stdin; the answer is one line of JSON.
"""

from __future__ import annotations

import os
import sys

from kdash.backends.stack.facts import ObjectError
from kdash.backends.stack.flow import flow_around
from kdash.backends.stack.flow_wire import encode_error, encode_flow
from kdash.backends.stack.wire import decode_request
from kdash.backends.stack.worker import end_with_parent


def main() -> int:
    """Answer."""
    end_with_parent()
    section, address, kind = sys.argv[1:]
    path, options, _ = decode_request(sys.stdin.readline())
    try:
        answer = encode_flow(flow_around(path, options, section, int(address), kind))
    except ObjectError as error:
        answer = encode_error(str(error))
    sys.stdout.write(answer + "\n")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
