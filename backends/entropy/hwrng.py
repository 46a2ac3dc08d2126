"""The hardware generator behind the kernel's, from the attributes of the hw_random core.

Source: Documentation/admin-guide/hw_random.rst; drivers/char/hw_random/core.c.
"""

from __future__ import annotations

from kdash.backends.entropy.facts import HardwareSource
from kdash.backends.entropy.procfs import Root, Unavailable

FOLDERS = ("sys/devices/virtual/misc/hw_random", "sys/class/misc/hw_random")
NONE = "none"
_MOST_QUALITY = 1024  # entropy per 1024 bits of input
_NAME_LENGTH = 64


def read_hwrng(root: Root) -> HardwareSource:
    """The hardware source in use, "none" where the core has none.

    Raises:
        Unavailable: The kernel has no hw_random core, or it shows nothing.
    """
    folder = next((name for name in FOLDERS if root.exists(name)), FOLDERS[0])
    current = root.text(f"{folder}/rng_current").strip()[:_NAME_LENGTH]
    return HardwareSource(
        current=current or NONE,
        available=_available(root, folder),
        quality=_quality(root, folder),
    )


def is_lost(before: HardwareSource | None, now: HardwareSource | None) -> bool:
    """Whether a source that fed the kernel is gone."""
    if before is None or before.current == NONE:
        return False
    return now is None or now.current == NONE


def _available(root: Root, folder: str) -> tuple[str, ...]:
    try:
        names = root.text(f"{folder}/rng_available").split()
    except Unavailable:
        return ()
    return tuple(name[:_NAME_LENGTH] for name in names if name != NONE)


def _quality(root: Root, folder: str) -> int | None:
    try:
        quality = root.integer(f"{folder}/rng_quality")
    except Unavailable:
        return None
    return quality if 0 <= quality <= _MOST_QUALITY else None
