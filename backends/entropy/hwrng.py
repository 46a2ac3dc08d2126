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
    folder = _folder(root)
    current = root.text(f"{folder}/rng_current").strip()[:_NAME_LENGTH]
    return HardwareSource(
        current=current or NONE,
        available=_available(root, folder),
        quality=_quality(root),
    )


def hwrng_quality(root: Root) -> int:
    """What the kernel credits for the source in use: bits of entropy per 1024 bits of input.

    Raises:
        Unavailable: The kernel does not tell, or tells nonsense.
    """
    quality = root.integer(f"{_folder(root)}/rng_quality")
    if not 0 <= quality <= _MOST_QUALITY:
        raise Unavailable(f"holds no number from 0 to {_MOST_QUALITY}")
    return quality


def is_lost(before: HardwareSource | None, now: HardwareSource | None) -> bool:
    """Whether a source that fed the kernel is gone."""
    if before is None or before.current == NONE:
        return False
    return now is None or now.current == NONE


def _folder(root: Root) -> str:
    return next((name for name in FOLDERS if root.exists(name)), FOLDERS[0])


def _available(root: Root, folder: str) -> tuple[str, ...]:
    try:
        names = root.text(f"{folder}/rng_available").split()
    except Unavailable:
        return ()
    return tuple(name[:_NAME_LENGTH] for name in names if name != NONE)


def _quality(root: Root) -> int | None:
    try:
        return hwrng_quality(root)
    except Unavailable:
        return None
