"""What a worker of a cluster does: one object's bytes and options in, one report out."""

from __future__ import annotations

import hashlib
import threading
from functools import lru_cache

from kdash import __version__
from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, ObjectError
from kdash.backends.stack.reading import read_object
from kdash.backends.stack.wire import decode_request, encode

ELSEWHERE = ""  # the answer of a worker that can't see the object


def digest_of(data: bytes) -> str:
    """What tells an object from another one of the same path."""
    return hashlib.sha256(data).hexdigest()


def validate_task(request: str, digest: str, data: bytes | None = None) -> tuple[str, str]:
    """Validate one object on whatever machine this runs.

    Args:
        request: path and options (`wire.encode_request`).
        digest: of the bytes that are meant.
        data: the bytes, where they were shipped; else the path is tried.

    Returns:
        The version of the validator, and the report as a line, `ELSEWHERE` where the path leads
        to nothing or to other bytes.
    """
    path, options, sample = decode_request(request)
    if data is None:
        try:
            data = read_object(path)
        except ObjectError:
            return __version__, ELSEWHERE
        if digest_of(data) != digest:
            return __version__, ELSEWHERE
    checker = _checker(threading.get_ident(), options)
    return __version__, encode(checker.check_bytes(path, data, sample=sample))


@lru_cache(maxsize=32)
def _checker(_thread: int, options: CheckOptions) -> Checker:
    """A checker for each thread: what it learns of stack states is kept between objects."""
    return Checker(options)
