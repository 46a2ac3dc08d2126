"""Root causes as digests: equal for findings that one change would remove."""

from __future__ import annotations


def cause_of(*parts: str) -> str:
    """The digest of what names a cause: 16 hexadecimal digits."""
    import hashlib

    text = "\0".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:16]


def noreturn_cause(callee: str) -> str:
    """The cause of findings behind a call that may be wrong about returning."""
    return cause_of("noreturn", callee)
