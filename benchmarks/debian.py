"""Debian's packages that figures are compared on: downloaded and unpacked, nothing is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from measurement import MissingError


def cache_folder() -> Path:
    """Where they are kept: $KDASH_BENCHMARK_CACHE, else kdash/benchmarks in the user's cache."""
    given = os.environ.get("KDASH_BENCHMARK_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kdash" / "benchmarks"


def output(command: list[str], folder: Path | None = None) -> str:
    """What a command prints.

    Raises:
        MissingError: it is not there, or fails; with the last line it said.
    """
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise MissingError(f"{command[0]} is not installed") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise MissingError(f"{' '.join(command[:3])}: {lines[-1]}")
    return done.stdout


def unpacked(name: str, downloads: Path, root: Path) -> None:
    """Download the package `name` and unpack it below `root`."""
    downloads.mkdir(parents=True, exist_ok=True)
    output(["apt-get", "-qq", "download", name], downloads)
    (archive,) = downloads.glob(f"{name}_*.deb")
    output(["dpkg", "-x", str(archive), str(root)])
    archive.unlink()
