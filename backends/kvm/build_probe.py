"""What the native module was built with, for `kdash doctor`."""

from __future__ import annotations

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.facts import Probe


def probe_build() -> Probe:
    """The compiler, and the release of the kernel headers that gave the structures."""
    compiler = ffi.string(lib.kdash_compiler()).decode("ascii", "replace")
    code = lib.LINUX_VERSION_CODE  # KERNEL_VERSION of <linux/version.h>
    release = f"{code >> 16}.{code >> 8 & 0xFF}.{code & 0xFF}"
    return Probe("native module", "ok", f"built by {compiler} with the headers of Linux {release}")
