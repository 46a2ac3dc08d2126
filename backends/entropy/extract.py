"""One extraction from a pool of the Linux 4.3 generator.

Source: Linux v4.3 drivers/char/random.c, extract_buf.
"""

from __future__ import annotations

import struct
from collections import deque

from kdash.backends.entropy.pool import EXTRACT_BYTES, MASK, Pool, mix_pool_bytes
from kdash.backends.entropy.sha1 import INITIAL_STATE, State, sha_transform

_BLOCK_WORDS = 16
_ARCH_LONGS = 3  # LONGS(20): 8-byte longs that cover the 20 bytes of the hash


def _initial_hash(arch_random: deque[int]) -> State:
    """The starting state, overwritten by as many hardware longs as there are.

    The third long reaches beyond the hash: its high half is lost.
    """
    h = list(INITIAL_STATE)
    for i in range(_ARCH_LONGS):
        if not arch_random:
            break
        value = arch_random.popleft()
        h[2 * i] = value & MASK
        if i < _ARCH_LONGS - 1:
            h[2 * i + 1] = value >> 32 & MASK
    return h[0], h[1], h[2], h[3], h[4]


def extract_buf(pool: Pool, arch_random: deque[int]) -> bytes:
    """Hash the whole pool, mix the hash back, and return it folded to 10 bytes (extract_buf).

    Mixing back makes it hard to compute earlier outputs from a pool seen later; folding keeps
    the hash itself, which is now in the pool, from being seen.

    Args:
        pool: The pool; it changes.
        arch_random: Longs the processor's generator would return, taken from the left; empty
            when it has none to give.
    """
    h = _initial_hash(arch_random)
    # The compression reads big-endian words out of memory that holds them little endian.
    words = struct.unpack(f">{len(pool.words)}I", pool.as_bytes())
    for start in range(0, len(words), _BLOCK_WORDS):
        h = sha_transform(h, words[start : start + _BLOCK_WORDS])
    mix_pool_bytes(pool, struct.pack("<5I", *h))
    h0, h1, h2, h3, h4 = h
    folded = struct.pack("<3I", h0 ^ h3, h1 ^ h4, h2 ^ (h2 << 16 | h2 >> 16) & MASK)
    return folded[:EXTRACT_BYTES]
