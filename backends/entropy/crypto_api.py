"""The random-number generators of the kernel's crypto API: DRBGs and the CPU-jitter generator.

Source: proc(5), /proc/crypto; Linux crypto/drbg.c, crypto/jitterentropy-kcapi.c (4.2 on).
"""

from __future__ import annotations

from collections.abc import Callable

from kdash.backends.entropy.pacing import Pacing
from kdash.backends.entropy.procfs import Root, Unavailable

CRYPTO = "proc/crypto"
MOST_GENERATORS = 16
_MOST_BYTES = 1 << 20
_NAME_LENGTH = 64
_SHARE = 0.001  # of one CPU, the most that looking may take
_LEAST_PAUSE = 60.0  # seconds; they change when a module is loaded


class GeneratorMeter:
    """Looks at the list now and then, whether there is one or not."""

    def __init__(self, root: Root, monotonic: Callable[[], float]) -> None:
        """Prepare.

        Args:
            root: The folder that holds /proc.
            monotonic: The clock, seconds.
        """
        self._root = root
        self._pacing = Pacing(monotonic, _SHARE, _LEAST_PAUSE)
        self._found: tuple[str, ...] = ()
        self._missing = ""

    def generators(self) -> tuple[str, ...]:
        """The generators as of the last look.

        Raises:
            Unavailable: There was no list, or it listed none.
        """
        if self._pacing.due:
            with self._pacing.look():
                try:
                    self._found, self._missing = kernel_generators(self._root), ""
                except Unavailable as error:
                    self._missing = str(error)
        if self._missing:
            raise Unavailable(self._missing)
        return self._found


def kernel_generators(root: Root) -> tuple[str, ...]:
    """The drivers of type rng, by name; the many kinds of DRBG as one, "drbg_*".

    Raises:
        Unavailable: /proc/crypto can't be read, or lists none.
    """
    found = set()
    for entry in root.text(CRYPTO, _MOST_BYTES).split("\n\n"):
        pairs = (line.partition(":") for line in entry.splitlines())
        facts = {key.strip(): value.strip() for key, _, value in pairs}
        if facts.get("type") == "rng" and facts.get("driver"):
            driver = facts["driver"][:_NAME_LENGTH]
            found.add("drbg_*" if driver.startswith("drbg_") else driver)
    if not found:
        raise Unavailable("lists no generator")
    return tuple(sorted(found)[:MOST_GENERATORS])
