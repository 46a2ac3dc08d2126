"""Which files a list of paths means; standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

SUFFIXES = (".o", ".ko")
_SAMPLES = Path(__file__).parent / "samples"


def object_files(paths: Iterable[str]) -> Iterator[str]:
    """The files that paths mean: folders stand for the *.o and *.ko below them, sorted.

    A file that is named is taken whatever its name, and also when it isn't there: to say so is
    the validator's part. Each file comes once.
    """
    seen: set[str] = set()
    for path in paths:
        found = _below(path) if os.path.isdir(path) else iter((path,))
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


def _below(folder: str) -> Iterator[str]:
    closed: list[str] = []

    def note(error: OSError) -> None:
        closed.append(str(error.filename))

    for root, folders, files in os.walk(folder, onerror=note):
        folders.sort()
        for name in sorted(files):
            if name.endswith(SUFFIXES):
                yield os.path.join(root, name)
        # A folder that can't be listed goes on as a path, for the validator to say why.
        yield from closed
        closed.clear()
    yield from closed


def sample_paths() -> tuple[str, ...]:
    """The bundled objects, each with known findings."""
    return tuple(sorted(str(path) for path in _SAMPLES.glob("*.o")))
