"""What this host has for guests, for `kdash doctor`."""

from __future__ import annotations

import psutil

from kdash.backends.kvm.facts import Probe

_LITTLE = 512 << 20  # bytes; a Linux guest takes 256 MiB, and the host wants some too


def probe_host() -> Probe:
    """The CPUs VCPUs can run on, and the memory guests can have."""
    free = psutil.virtual_memory().available
    detail = f"{psutil.cpu_count()} CPUs, {free / (1 << 30):.1f} GiB of memory available"
    if free < _LITTLE:
        return Probe("host", "warning", detail, "give guests less with --memory, or free some")
    return Probe("host", "ok", detail)
