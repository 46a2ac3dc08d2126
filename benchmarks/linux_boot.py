"""How soon a real Linux kernel prints its banner and its memory map.

    python benchmarks/linux_boot.py [VMLINUX | BZIMAGE] [--append TEXT]

Without a file: the newest /boot/vmlinuz-*, else Debian's cloud kernel, fetched by apt-get
download into the user's cache folder. Not part of `make bench`: it takes a minute.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from pathlib import Path

from kdash.backends.kvm.images import Options, load_file
from kdash.backends.kvm.run import Listeners, Request, run_guest

META_PACKAGE = "linux-image-cloud-amd64"
MILESTONES = {
    "banner": b"Linux version ",
    "memory map": b"BIOS-e820: [mem ",
    "memory ready": b"] Memory: ",
    "user space": b"Run /",
}


def fetched_kernel() -> Path:
    """Debian's kernel, downloaded once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kdash" / "kernel"
    cache.mkdir(parents=True, exist_ok=True)
    if not (known := sorted(cache.glob("boot/vmlinuz-*"))):
        depends = subprocess.run(
            ["apt-cache", "depends", META_PACKAGE], check=True, capture_output=True, text=True
        )
        name = next(word for word in depends.stdout.split() if word.startswith("linux-image-6"))
        subprocess.run(["apt-get", "download", "-q", name], check=True, cwd=cache)
        (package,) = cache.glob("linux-image-6*.deb")
        subprocess.run(["dpkg-deb", "-x", package, cache], check=True)
        package.unlink()
        known = sorted(cache.glob("boot/vmlinuz-*"))
    return known[-1]


def main() -> None:
    """Boot and print when each milestone was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernel", nargs="?", type=Path)
    parser.add_argument("--append")
    parser.add_argument("--timeout", type=float, default=60.0)
    arguments = parser.parse_args()
    local = sorted(Path("/boot").glob("vmlinuz-*"))
    kernel = arguments.kernel or (local[-1] if local else fetched_kernel())
    began = time.perf_counter()
    guest = load_file(kernel, Options(command_line=arguments.append))
    print(f"{kernel.name}: loaded in {time.perf_counter() - began:.2f} s")
    text, reached = bytearray(), dict[str, float]()
    began = time.perf_counter()

    def take(data: bytes) -> None:
        text.extend(data)
        for name, sign in MILESTONES.items():
            if name not in reached and sign in text:
                reached[name] = time.perf_counter() - began
                print(f"{name}: {reached[name]:.2f} s", flush=True)

    report = run_guest(Request(guest, timeout=arguments.timeout), Listeners(serial=take))
    print(f"{report.outcome.value}: {report.detail}")
    print(f"{sum(report.exits.values())} exits in {report.seconds:.1f} s")


if __name__ == "__main__":
    main()
