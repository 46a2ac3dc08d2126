"""The random-number generators of the kernel's crypto API: DRBGs and the CPU-jitter generator.

Source: proc(5), /proc/crypto; Linux crypto/drbg.c, crypto/jitterentropy-kcapi.c (4.2 on).
"""

from __future__ import annotations

from kdash.backends.entropy.procfs import Root, Unavailable

CRYPTO = "proc/crypto"
MOST_GENERATORS = 16
_MOST_BYTES = 1 << 20
_NAME_LENGTH = 64


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
