"""Debian's kernel packages for the comparisons with objtool: downloaded, unpacked, kept.

They take about 2 GB.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from debian import cache_folder, output, unpacked
from measurement import MissingError

SERIES = "6.1"
#: What of the kernel's source is needed to assemble its .S files.
_SOURCES = ("arch/x86", "include", "lib", "kernel", "drivers", "scripts", "tools/arch/x86")


@dataclass(frozen=True)
class Packages:
    """The unpacked packages."""

    root: Path
    release: str  # "6.1.0-56-amd64"
    version: str  # of the packages: "6.1.192-2"

    @property
    def peer(self) -> str:
        """What the figures beside ours are of."""
        return f"objtool {self.version}"

    @property
    def objtool(self) -> Path:
        """The peer."""
        return self.root / f"usr/lib/linux-kbuild-{SERIES}/tools/objtool/objtool"

    @cached_property
    def modules(self) -> list[Path]:
        """All modules of the image, sorted."""
        return sorted((self.root / "lib/modules" / self.release).rglob("*.ko"))

    @property
    def headers(self) -> tuple[Path, Path]:
        """The headers of this architecture and those of all."""
        common = self.release.removesuffix("amd64") + "common"
        base = self.root / "usr/src"
        return base / f"linux-headers-{self.release}", base / f"linux-headers-{common}"

    @cached_property
    def source(self) -> Path:
        """The kernel's source, unpacked when it is asked for."""
        name = f"linux-source-{SERIES}"
        folder = self.root / name
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            wanted = [f"{name}/{part}" for part in _SOURCES]
            archive = self.root / "usr/src" / f"{name}.tar.xz"
            output(["tar", "-xJf", str(archive), "-C", str(self.root), *wanted])
            (folder / ".complete").touch()
        return folder


def fetch() -> Packages:
    """The newest signed image of the series, with objtool, headers and source.

    Raises:
        MissingError: there is no apt-get, or it can't get one of them.
    """
    if shutil.which("apt-get") is None:
        raise MissingError("the comparison with objtool needs apt-get (Debian 12)")
    release = _newest_release()
    version = _candidate(f"linux-image-{release}")
    root = cache_folder() / f"linux-{version}"
    packages = Packages(root, release, version)
    if (root / ".complete").exists():
        return packages
    common = release.removesuffix("amd64") + "common"
    names = [f"linux-image-{release}", f"linux-kbuild-{SERIES}", f"linux-source-{SERIES}"]
    names += [f"linux-headers-{release}", f"linux-headers-{common}"]
    downloads = root / "packages"
    for name in names:
        unpacked(name, downloads, root)
    (root / ".complete").touch()
    return packages


def _newest_release() -> str:
    pattern = rf"^linux-image-{re.escape(SERIES)}\.0-[0-9]+-amd64$"
    found = output(["apt-cache", "search", "--names-only", pattern])
    numbers = [int(number) for number in re.findall(r"\.0-(\d+)-amd64", found)]
    if not numbers:
        raise MissingError(f"no package linux-image-{SERIES}.0-*-amd64; try apt-get update")
    return f"{SERIES}.0-{max(numbers)}-amd64"


def _candidate(name: str) -> str:
    found = re.search(r"Candidate: (\S+)", output(["apt-cache", "policy", name]))
    if found is None:
        raise MissingError(f"no version of {name}; try apt-get update")
    return found[1]
