"""All tests of a stream at once, taken in pieces, in memory that doesn't grow with it."""

from __future__ import annotations

import numpy as np

from kdash.backends.entropy.health import estimators, verdicts
from kdash.backends.entropy.health.continuous import ProportionStream, RepetitionStream
from kdash.backends.entropy.health.fips140 import Fips140Stream
from kdash.backends.entropy.health_facts import ESTIMATED_BYTES, Estimates, Health, WholeBytes

LEAST_ESTIMATED = 1_000  # bytes; the estimates' normal approximations mean little below
LEAST_MIN_ENTROPY, MOST_MIN_ENTROPY = 0.1, 8.0  # bits per byte that may be claimed
PIECE = 1 << 18  # bytes; pieces of this size stay in the cache


class HealthStream:
    """Takes a stream in pieces and judges it at any time."""

    def __init__(self, min_entropy: float = 1.0, *, compression: bool = False) -> None:
        """Start at the first byte.

        Args:
            min_entropy: Bits per byte the source claims to have, which sets the cutoffs of the
                continuous tests.
            compression: Whether to make the compression estimate too.

        Raises:
            ValueError: No source has that min-entropy.
        """
        if not LEAST_MIN_ENTROPY <= min_entropy <= MOST_MIN_ENTROPY:
            raise ValueError(
                f"a byte has {LEAST_MIN_ENTROPY} to {MOST_MIN_ENTROPY:g} bits of min-entropy, "
                f"not {min_entropy:g}"
            )
        self.nbytes = 0
        self._min_entropy = min_entropy
        self._compression = compression
        self._fips = Fips140Stream()
        self._rct = RepetitionStream(min_entropy)
        self._apt = ProportionStream(min_entropy)
        self._counts = np.zeros(256, np.int64)
        self._products = 0  # sum over each byte and the next
        self._ends: tuple[int, int] | None = None  # first and last byte
        self._head = bytearray()

    def feed(self, data: bytes) -> None:
        """Take in the next piece of the stream, of any length."""
        for start in range(0, len(data), PIECE):
            self._feed(data[start : start + PIECE])

    def _feed(self, piece: bytes) -> None:
        self.nbytes += len(piece)
        self._fips.feed(piece)
        self._rct.feed(piece)
        self._apt.feed(piece)
        values = np.frombuffer(piece, np.uint8)
        self._counts += np.bincount(values, minlength=256)
        # uint16 holds a product of two bytes; PIECE of them fit a double-width sum.
        wide = values.astype(np.uint16)
        self._products += int((wide[1:] * wide[:-1]).sum(dtype=np.uint64))
        first, last = self._ends or (piece[0], None)
        if last is not None:
            self._products += last * piece[0]
        self._ends = first, piece[-1]
        self._head += piece[: max(0, ESTIMATED_BYTES - len(self._head))]

    def health(self) -> Health:
        """What the tests say of the stream so far."""
        found = Health(
            self.nbytes, self._min_entropy,
            self._fips.result(), self._rct.result(), self._apt.result(),
            self._estimates(), self._whole(),
        )  # fmt: skip
        return verdicts.judged(found)

    def _estimates(self) -> Estimates:
        if self.nbytes < LEAST_ESTIMATED:
            return Estimates()
        bits = estimators.bits_of(bytes(self._head))
        return Estimates(
            estimators.most_common_value(int(self._counts.max()), self.nbytes),
            estimators.most_common_bit(bits),
            estimators.collision(bits),
            estimators.markov(bits),
            estimators.compression(bits) if self._compression else None,
        )

    def _whole(self) -> WholeBytes | None:
        if self._ends is None:
            return None
        count = self.nbytes
        expected = count / 256
        chi_square = float(((self._counts - expected) ** 2).sum() / expected)
        values = np.arange(256)
        total = int(values @ self._counts)
        squares = int(values**2 @ self._counts)
        first, last = self._ends
        correlation = _correlation(count, total, squares, self._products + last * first)
        return WholeBytes(chi_square, total / count, correlation)


def _correlation(count: int, total: int, squares: int, products: int) -> float | None:
    """The coefficient of each byte with the next, from exact sums; None where all are equal."""
    spread = count * squares - total * total
    return (count * products - total * total) / spread if spread else None
