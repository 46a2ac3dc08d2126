"""How long gdb takes for stepi on our server, beside the same gdb on QEMU's."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measurement import Measurement, tell

ROOT = Path(__file__).resolve().parents[1]
QEMU = "qemu-system-x86_64"
STEPS = 100
#: A boot sector that counts in AX for ever.
BOOT = b"\x40\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa"
SCRIPT = f"""
import time
gdb.execute("stepi", to_string=True)
begin = time.perf_counter()
for _ in range({STEPS}):
    gdb.execute("stepi", to_string=True)
print("seconds", time.perf_counter() - begin)
"""


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def server(*command: str, port: int) -> Iterator[None]:
    """A server that listens on `port` until the block is left."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 20
        listening = f":{port:04X} 00000000:0000 0A"
        while listening not in Path("/proc/net/tcp").read_text():
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError(f"{command[0]} does not listen on port {port}")
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def stepping(port: int) -> float:
    """Seconds for STEPS times stepi."""
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-ex", f"target remote :{port}",
         "-ex", f"python exec({SCRIPT!r})"],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "DEBUGINFOD_URLS": ""},
    )  # fmt: skip
    found = re.search(r"^seconds (\S+)$", done.stdout, re.MULTILINE)
    if not found:
        raise RuntimeError(f"gdb: {done.stderr.strip()}")
    return float(found[1])


def ours(boot: str) -> float:
    """On a VCPU of /dev/kvm."""
    port = free_port()
    command = (sys.executable, "-m", "kdash", "vcpu", "run", boot, "--gdb", str(port))
    with server(*command, port=port):
        return stepping(port)


def qemu(boot: str) -> float:
    """On QEMU's own emulator, with its gdb stub."""
    port = free_port()
    command = (
        QEMU, "-accel", "tcg", "-display", "none", "-S", "-gdb", f"tcp:127.0.0.1:{port}",
        "-drive", f"format=raw,file={boot},snapshot=on",
    )  # fmt: skip
    with server(*command, port=port):
        return stepping(port)


def measure(*, full: bool = False) -> Iterator[Measurement]:
    """Rounds of both servers in turn."""
    subject = f"{STEPS} times stepi by gdb"
    if not shutil.which("gdb"):
        yield Measurement(subject, missing="gdb is not installed (Debian package gdb)")
        return
    peer = shutil.which(QEMU) is not None
    mine, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        boot = Path(folder) / "boot.img"
        boot.write_bytes(BOOT)
        for _ in range(15 if full else 5):
            mine.append(1000 * ours(str(boot)))
            if peer:
                theirs.append(1000 * qemu(str(boot)))
    yield Measurement(subject, tuple(mine), "ms", "QEMU (TCG)", tuple(theirs))
    if not peer:
        missing = f"{QEMU} is not installed (Debian package qemu-system-x86)"
        yield Measurement(f"{subject} on QEMU", missing=missing)


if __name__ == "__main__":
    tell(measure())
