"""The SHA-1 compression function alone: no padding, no length.

The Linux 4.3 generator hashes its pools with the bare compression function (lib/sha1.c,
sha_transform; FIPS 180-4, 6.1.2), which hashlib does not offer.
"""

from __future__ import annotations

from collections.abc import Sequence

MASK = 0xFFFFFFFF
INITIAL_STATE = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)  # sha_init
BLOCK_BYTES = 64
STATE_WORDS = 5

_K_CHOOSE = 0x5A827999
_K_PARITY_1 = 0x6ED9EBA1
_K_MAJORITY = 0x8F1BBCDC
_K_PARITY_2 = 0xCA62C1D6

State = tuple[int, int, int, int, int]


def _schedule(block: Sequence[int]) -> list[int]:
    """Expand 16 words to the 80 of the message schedule."""
    w = list(block)
    append = w.append
    for t in range(16, 80):
        x = w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]
        append((x << 1 | x >> 31) & MASK)
    return w


def sha_transform(state: State, block: Sequence[int]) -> State:
    """Compress one block of 16 big-endian-valued u32 words into the state.

    Five rounds are written out for each pass of a loop, so that the five working variables
    rotate by name and not by assignment; a rotated value keeps its carry above 32 bits until
    the sum is masked.
    """
    w = _schedule(block)
    a, b, c, d, e = state
    for t in range(0, 20, 5):
        e = (e + (a << 5 | a >> 27) + (d ^ b & (c ^ d)) + _K_CHOOSE + w[t]) & MASK
        b = (b << 30 | b >> 2) & MASK
        d = (d + (e << 5 | e >> 27) + (c ^ a & (b ^ c)) + _K_CHOOSE + w[t + 1]) & MASK
        a = (a << 30 | a >> 2) & MASK
        c = (c + (d << 5 | d >> 27) + (b ^ e & (a ^ b)) + _K_CHOOSE + w[t + 2]) & MASK
        e = (e << 30 | e >> 2) & MASK
        b = (b + (c << 5 | c >> 27) + (a ^ d & (e ^ a)) + _K_CHOOSE + w[t + 3]) & MASK
        d = (d << 30 | d >> 2) & MASK
        a = (a + (b << 5 | b >> 27) + (e ^ c & (d ^ e)) + _K_CHOOSE + w[t + 4]) & MASK
        c = (c << 30 | c >> 2) & MASK
    a, b, c, d, e = _parity_rounds((a, b, c, d, e), w, 20, _K_PARITY_1)
    for t in range(40, 60, 5):
        e = (e + (a << 5 | a >> 27) + (b & c | d & (b | c)) + _K_MAJORITY + w[t]) & MASK
        b = (b << 30 | b >> 2) & MASK
        d = (d + (e << 5 | e >> 27) + (a & b | c & (a | b)) + _K_MAJORITY + w[t + 1]) & MASK
        a = (a << 30 | a >> 2) & MASK
        c = (c + (d << 5 | d >> 27) + (e & a | b & (e | a)) + _K_MAJORITY + w[t + 2]) & MASK
        e = (e << 30 | e >> 2) & MASK
        b = (b + (c << 5 | c >> 27) + (d & e | a & (d | e)) + _K_MAJORITY + w[t + 3]) & MASK
        d = (d << 30 | d >> 2) & MASK
        a = (a + (b << 5 | b >> 27) + (c & d | e & (c | d)) + _K_MAJORITY + w[t + 4]) & MASK
        c = (c << 30 | c >> 2) & MASK
    a, b, c, d, e = _parity_rounds((a, b, c, d, e), w, 60, _K_PARITY_2)
    return (
        (state[0] + a) & MASK,
        (state[1] + b) & MASK,
        (state[2] + c) & MASK,
        (state[3] + d) & MASK,
        (state[4] + e) & MASK,
    )


def _parity_rounds(state: State, w: Sequence[int], start: int, k: int) -> State:
    """Twenty rounds of the parity function from `start` on, with constant `k`."""
    a, b, c, d, e = state
    for t in range(start, start + 20, 5):
        e = (e + (a << 5 | a >> 27) + (b ^ c ^ d) + k + w[t]) & MASK
        b = (b << 30 | b >> 2) & MASK
        d = (d + (e << 5 | e >> 27) + (a ^ b ^ c) + k + w[t + 1]) & MASK
        a = (a << 30 | a >> 2) & MASK
        c = (c + (d << 5 | d >> 27) + (e ^ a ^ b) + k + w[t + 2]) & MASK
        e = (e << 30 | e >> 2) & MASK
        b = (b + (c << 5 | c >> 27) + (d ^ e ^ a) + k + w[t + 3]) & MASK
        d = (d << 30 | d >> 2) & MASK
        a = (a + (b << 5 | b >> 27) + (c ^ d ^ e) + k + w[t + 4]) & MASK
        c = (c << 30 | c >> 2) & MASK
    return a, b, c, d, e
