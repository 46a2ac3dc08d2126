"""The vDSO of this process, read as a file: the ELF image the kernel maps into every process.

Source: vdso(7); getauxval(3); proc(5), /proc/PID/auxv and /proc/PID/mem.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass

GETRANDOM_SYMBOL = "__vdso_getrandom"
_AT_SYSINFO_EHDR = 33  # include/uapi/linux/auxvec.h
_LARGEST_IMAGE = 1 << 20


@dataclass(frozen=True, slots=True)
class VdsoImage:
    """Where the vDSO is mapped, and its bytes."""

    base: int  # address
    data: bytes


@functools.cache
def read_vdso() -> VdsoImage | None:
    """The image, None where the kernel maps none or does not show it."""
    try:
        base = _auxv_entry(_AT_SYSINFO_EHDR)
        size = _mapping_size(base)
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            memory.seek(base)
            data = memory.read(size)
    except (OSError, ValueError, LookupError):
        return None
    return VdsoImage(base, data) if data[:4] == b"\x7fELF" else None


def has_getrandom() -> bool:
    """Whether the vDSO exports getrandom (Linux 6.11 on)."""
    image = read_vdso()
    return image is not None and b"\0" + GETRANDOM_SYMBOL.encode() + b"\0" in image.data


def _auxv_entry(wanted: int) -> int:
    """A value of the auxiliary vector.

    Raises:
        LookupError: It is not there.
    """
    with open("/proc/self/auxv", "rb") as file:
        entries = file.read()
    for key, value in struct.iter_unpack("@LL", entries):
        if key == wanted:
            return int(value)
    raise LookupError(wanted)


def _mapping_size(base: int) -> int:
    """Bytes of the mapping that starts at `base`.

    Raises:
        LookupError: None starts there.
    """
    with open("/proc/self/maps", encoding="latin-1") as file:
        for line in file:
            start, _, end = line.split(None, 1)[0].partition("-")
            if int(start, 16) == base:
                return min(int(end, 16) - base, _LARGEST_IMAGE)
    raise LookupError(base)
