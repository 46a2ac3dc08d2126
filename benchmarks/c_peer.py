"""The C programs that figures are compared with, built where they are measured."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measurement import MissingError

FOLDER = Path(__file__).resolve().parent


@contextmanager
def built(name: str) -> Iterator[str]:
    """The program of benchmarks/NAME.c, until the block is left.

    Raises:
        MissingError: there is no compiler.
    """
    if shutil.which("gcc") is None:
        raise MissingError("gcc is not installed (Debian package gcc)")
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / name)
        source = str(FOLDER / f"{name}.c")
        subprocess.run(["gcc", "-O2", "-std=gnu11", "-o", program, source], check=True)
        yield program
