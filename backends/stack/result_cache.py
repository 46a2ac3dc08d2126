"""Reports of objects that were validated before, by their content: standard library only.

They lie in $XDG_CACHE_HOME/kdash/stack, a file each, for the user alone. A key is the digest of
an object's bytes, of the options and of the validator itself, so that nothing has to be thrown
away by hand. What can't be read, written or understood counts as not there.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from kdash.backends.private_folder import make_private
from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.backends.stack.wire import WireError, decode, encode, encode_request

#: Bytes and files kept; the oldest go first.
MOST_BYTES: Final = 64 << 20
MOST_FILES: Final = 20_000
_LARGEST: Final = 4 << 20  # bytes of one report that is worth keeping
_SUFFIX: Final = ".report"
#: A key that begins so makes its writer look whether there is too much: one of 32.
_TIDYING: Final = tuple("0123456789abcdef"[at] + last for at in range(2) for last in "0123")


def cache_folder() -> Path | None:
    """Where reports are kept, None where there is no place for them."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = os.environ.get("HOME", "")
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".cache")
    return Path(base) / "kdash" / "stack"


class ResultCache:
    """Reports by content, for one set of options.

    Args:
        options: how objects are validated.
        folder: where reports are kept; made when the first one is.
    """

    def __init__(self, options: CheckOptions, folder: Path) -> None:
        self._folder = folder
        self._salt = _validator() + encode_request("", options).encode()

    def key(self, data: bytes) -> str:
        """The name of what is known of an object."""
        import hashlib

        return hashlib.sha256(self._salt + hashlib.sha256(data).digest()).hexdigest()

    def find(self, key: str, path: str, *, sample: bool = False) -> FileReport | None:
        """The report on an object that now goes by this path, None if it isn't kept."""
        try:
            kept = (self._folder / (key + _SUFFIX)).read_bytes()
            report = decode(zlib.decompress(kept).decode("ascii"))
        except (OSError, zlib.error, UnicodeDecodeError, WireError):
            return None
        findings = tuple(replace(finding, file=path) for finding in report.findings)
        return replace(report, file=path, findings=findings, sample=sample)

    def keep(self, key: str, report: FileReport) -> None:
        """Keep a report; one about a file that can't be validated is not worth it."""
        if report.error:
            return
        data = zlib.compress(encode(report).encode("ascii"), 1)
        if len(data) > _LARGEST:
            return
        with suppress(OSError):
            self._write(key, data)
            if key.startswith(_TIDYING):
                tidy(self._folder)

    def _write(self, key: str, data: bytes) -> None:
        make_private(self._folder)
        number, name = tempfile.mkstemp(dir=self._folder, prefix=".new-")  # mode 0600
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
            os.replace(name, self._folder / (key + _SUFFIX))
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


def tidy(folder: Path, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
    """Take away the oldest reports until a quarter of the room is free, if there are too many."""
    kept = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                state = entry.stat(follow_symlinks=False)
                kept.append((state.st_mtime_ns, state.st_blocks * 512, entry.path))
    used = sum(size for _, size, _ in kept)
    if used <= most_bytes and len(kept) <= most_files:
        return
    left = len(kept)
    for _, size, path in sorted(kept):
        if used <= most_bytes * 3 // 4 and left <= most_files * 3 // 4:
            return
        with suppress(OSError):
            os.unlink(path)
        used -= size
        left -= 1


@lru_cache(maxsize=1)
def _validator() -> bytes:
    """What tells this validator from any other: version, and its modules' sizes and times."""
    import hashlib

    from kdash import __version__

    digest = hashlib.sha256(__version__.encode())
    with os.scandir(Path(__file__).parent) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.name.endswith(".py"):
                state = entry.stat()
                digest.update(f"{entry.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.digest()
