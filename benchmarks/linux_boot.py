"""How soon a real Linux kernel prints its banner and its memory map.

    python benchmarks/linux_boot.py [VMLINUX | BZIMAGE] [--append TEXT]

Without a file: the newest /boot/vmlinuz-*, else Debian's cloud kernel, fetched by apt-get
download into the cache folder. Not part of `make bench`: it takes a minute.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from debian import cache_folder, output, unpacked
from measurement import Measurement, MissingError, tell

from kdash.backends.kvm.images import Options, load_file
from kdash.backends.kvm.run import Listeners, Request, run_guest

META_PACKAGE = "linux-image-cloud-amd64"
MILESTONES = {
    "banner": b"Linux version ",
    "memory map": b"BIOS-e820: [mem ",
    "memory ready": b"] Memory: ",
    "user space": b"Run /",
}
LIMIT = 60.0  # seconds a boot may take


def fetched_kernel() -> Path:
    """Debian's kernel, downloaded once."""
    cache = cache_folder() / "kernel"
    if not (known := sorted(cache.glob("boot/vmlinuz-*"))):
        depends = output(["apt-cache", "depends", META_PACKAGE]).split()
        named = [word for word in depends if word.startswith("linux-image-6")]
        if not named:
            raise MissingError(f"no package {META_PACKAGE}; try apt-get update")
        unpacked(named[0], cache, cache)
        known = sorted(cache.glob("boot/vmlinuz-*"))
    return known[-1]


def booted(kernel: Path, append: str | None, timeout: float) -> Iterator[Measurement]:
    """How long each milestone took."""
    began = time.perf_counter()
    guest = load_file(kernel, Options(command_line=append))
    yield Measurement(f"{kernel.name}: loaded", (time.perf_counter() - began,), "s")
    text, reached = bytearray(), dict[str, float]()
    began = time.perf_counter()

    def take(data: bytes) -> None:
        text.extend(data)
        for name, sign in MILESTONES.items():
            if name not in reached and sign in text:
                reached[name] = time.perf_counter() - began

    report = run_guest(Request(guest, timeout=timeout), Listeners(serial=take))
    for name in MILESTONES:
        subject = f"{kernel.name}: {name}"
        if name in reached:
            yield Measurement(subject, (reached[name],), "s")
        else:
            yield Measurement(subject, missing=f"{report.outcome.value}: {report.detail}")


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """Debian's kernel, or the newest of this machine."""
    local = sorted(Path("/boot").glob("vmlinuz-*"))
    yield from booted(local[-1] if local else fetched_kernel(), None, LIMIT)


def main() -> None:
    """Boot the kernel given, or the one there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernel", nargs="?", type=Path)
    parser.add_argument("--append")
    parser.add_argument("--timeout", type=float, default=LIMIT)
    given = parser.parse_args()
    if given.kernel:
        tell(booted(given.kernel, given.append, given.timeout))
    else:
        tell(measure())


if __name__ == "__main__":
    main()
