"""How the Linux 4.3 generator counts: credits that approach the capacity, and debits.

Source: Linux v4.3 drivers/char/random.c, credit_entropy_bits and account. Pure arithmetic on
counts in 1/8 bit; waking and spilling are the generator's part.
"""

from __future__ import annotations

from kdash.backends.entropy.pool import ENTROPY_SHIFT, PoolGeometry

_BYTE_SHIFT = ENTROPY_SHIFT + 3  # bytes to 1/8 bits
SAFE_CREDIT_LIMIT = 0xFFFFFFFF >> 4  # credit_entropy_bits_safe, in bits


def credited(count: int, bits: int, geometry: PoolGeometry) -> int:
    """The count in 1/8 bit after crediting `bits`, negative to debit (credit_entropy_bits).

    Fresh bits may fall on words already random, so a credit counts 3/4 of the free share:
    count += (capacity - count) * 3/4 * credit / capacity, in portions of half the capacity.
    The result lies in [0, capacity].
    """
    frac = geometry.frac
    portion = bits << ENTROPY_SHIFT
    if portion < 0:
        count += portion
    else:
        shift = geometry.bit_shift + ENTROPY_SHIFT + 2  # + 2: the four in 3/4
        while True:
            now = min(portion, frac // 2)
            count += ((frac - count) * now * 3) >> shift
            portion -= now
            if count >= frac - 2 or not portion:
                break
    return min(max(count, 0), frac)


def safe_credit(bits: int) -> int:
    """A credit asked for from user space, kept from overflowing (credit_entropy_bits_safe)."""
    return min(max(bits, -SAFE_CREDIT_LIMIT), SAFE_CREDIT_LIMIT)


def granted(count: int, nbytes: int, *, limit: bool, minimum: int, reserved: int) -> int:
    """How many of `nbytes` bytes an extraction may have (account).

    Args:
        count: What the pool accounts for, 1/8 bit.
        nbytes: Bytes asked for.
        limit: Whether the pool hands out only what it accounts for.
        minimum: Fewer bytes than this count as none.
        reserved: Bytes a limited pool keeps back.
    """
    if limit:
        nbytes = min(nbytes, max(0, (count >> _BYTE_SHIFT) - reserved))
    return 0 if nbytes < minimum else nbytes


def debited(count: int, nbytes: int) -> int:
    """The count in 1/8 bit after taking `nbytes` bytes; it never falls below 0 (account)."""
    return max(0, count - (nbytes << _BYTE_SHIFT))
