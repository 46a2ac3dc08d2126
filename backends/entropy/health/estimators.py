"""Estimates of min-entropy by NIST SP 800-90B (2018) section 6.3.

Bits come as bytes of "0" and "1": the collision estimate walks them with a regular expression.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Z = 2.5758293035489008  # 99.5 % of a normal distribution lie below; the standard rounds: 2.576
_BISECTIONS = 60  # halvings of [1/64, 1]: to the last bits of a double
_CHAIN = 128  # bits of the chains that the Markov estimate compares
_COMPRESSED = 6  # bits of a symbol of the compression estimate
_DICTIONARY = 1000  # symbols that fill its dictionary before it measures
_VANISHED = 700.0  # exponent from which on e to the minus it is next to no number
_FARTHEST = 64  # times their number of values, beyond which perfect symbols were hardly ever last
_COMPRESSION_SIGMA = 0.5907  # factor of its standard deviation for 6-bit symbols
_TRIPLE_OR_PAIR = re.compile(rb"(00|11)|01[01]|10[01]")

Bits = npt.NDArray[np.uint8]  # of 0 and 1


def bits_of(data: bytes) -> Bits:
    """The bits of the bytes, the most significant of each first."""
    return np.unpackbits(np.frombuffer(data, np.uint8))


def most_common_value(most: int, total: int) -> float:
    """Section 6.3.1, from how often the most common value came; total above 1."""
    share = most / total
    return _entropy(min(1.0, share + Z * math.sqrt(share * (1 - share) / (total - 1))))


def most_common_bit(bits: Bits) -> float:
    """Section 6.3.1 on bits."""
    ones = int(np.count_nonzero(bits))
    return most_common_value(max(ones, len(bits) - ones), len(bits))


def collision(bits: Bits) -> float:
    """Section 6.3.2: how soon a value comes again, which takes two or three bits."""
    found = _TRIPLE_OR_PAIR.findall((bits + ord("0")).tobytes())
    pairs = sum(1 for pair in found if pair)
    triples = len(found) - pairs
    total = pairs + triples
    mean = (2 * pairs + 3 * triples) / total
    squares = pairs * (2 - mean) ** 2 + triples * (3 - mean) ** 2
    bound = mean - Z * math.sqrt(squares / (total - 1)) / math.sqrt(total)
    # For two values the expected time is 2 + 2p(1 - p); above 2.5 no p fits but one half.
    return _entropy(0.5 + math.sqrt(1.25 - bound / 2)) if bound < 2.5 else 1.0


def markov(bits: Bits) -> float:
    """Section 6.3.3: the likeliest chain of 128 bits that depend on the bit before."""
    first = bits[:-1]
    counts = np.bincount(2 * first + bits[1:], minlength=4).reshape(2, 2)
    shares = [[float(row[to] / row.sum()) if row.sum() else 0.0 for to in (0, 1)] for row in counts]
    ones = np.count_nonzero(bits) / len(bits)
    start = (1 - ones, ones)
    chains = []
    for value in (0, 1):
        other = 1 - value
        stay, leave = shares[value][value], shares[value][other]
        back, stay_there = shares[other][value], shares[other][other]
        chains += [
            _chain((start[value], 1), (stay, _CHAIN - 1)),
            _chain((start[value], 1), (leave, _CHAIN // 2), (back, _CHAIN // 2 - 1)),
            _chain((start[value], 1), (leave, 1), (stay_there, _CHAIN - 2)),
        ]
    return max(0.0, min(1.0, min(chains) / _CHAIN))


def _chain(*factors: tuple[float, int]) -> float:
    """The surprise of a chain: minus log2 of the product of powers; infinite if impossible."""
    if any(chance <= 0 for chance, _ in factors):
        return math.inf
    return -sum(power * math.log2(chance) for chance, power in factors)


def compression(bits: Bits) -> float:
    """Section 6.3.4: how far back each 6-bit symbol was seen last."""
    whole = len(bits) - len(bits) % _COMPRESSED
    weights = 1 << np.arange(_COMPRESSED - 1, -1, -1)
    symbols = bits[:whole].reshape(-1, _COMPRESSED) @ weights
    logs = np.log2(_distances(symbols)[_DICTIONARY:])
    count = len(logs)
    mean = float(logs.mean())
    variance = float((logs**2).sum()) / (count - 1) - mean * mean
    return _compressed(_expected(len(symbols)), mean, math.sqrt(max(0.0, variance)), count, Z)


def compression_of_perfect_bits(count: int, deviations: float) -> float:
    """The compression estimate of perfect bits whose mean lies some deviations below its own.

    Args:
        count: Bits; at least those of the dictionary and two symbols more.
        deviations: Standard deviations of the mean.
    """
    symbols = count // _COMPRESSED
    values = 1 << _COMPRESSED
    expected = _expected(symbols)
    # A symbol was seen last a geometrically distributed number of places before.
    back = np.arange(1, _FARTHEST * values + 1)
    chances = (1 - 1 / values) ** (back - 1) / values
    logs = np.log2(back)
    deviation = math.sqrt(float(chances @ logs**2) - float(chances @ logs) ** 2)
    measured = symbols - _DICTIONARY
    return _compressed(expected, expected(1 / values), deviation, measured, deviations + Z)


def _expected(symbols: int) -> _Expected:
    return _Expected(symbols, 1 << _COMPRESSED)


def _compressed(
    expected: _Expected, mean: float, deviation: float, count: int, deviations: float
) -> float:
    """Bits per bit, of a mean taken so many standard deviations lower."""
    bound = mean - deviations * _COMPRESSION_SIGMA * deviation / math.sqrt(count)
    return _entropy(_solve(expected, bound, 1 / (1 << _COMPRESSED), 1.0)) / _COMPRESSED


def _distances(symbols: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many places before each symbol the same one was; its own place where it is new."""
    order = np.argsort(symbols, kind="stable")
    previous = np.full(len(symbols), -1)
    same = symbols[order[1:]] == symbols[order[:-1]]
    previous[order[1:][same]] = order[:-1][same]
    distances: npt.NDArray[np.int64] = np.arange(len(symbols)) - previous
    return distances


class _Expected:
    """The mean that a source shows whose likeliest symbol has a given chance."""

    def __init__(self, symbols: int, values: int) -> None:
        self._others = values - 1
        self._measured = symbols - _DICTIONARY
        distance = np.arange(1, symbols + 1)
        self._before = distance - 1
        log = np.log2(distance)
        # A distance u is possible at the measured places t behind u.
        self._seen = log * (symbols - np.maximum(distance, _DICTIONARY))
        self._new = np.where(distance > _DICTIONARY, log, 0.0)

    def __call__(self, chance: float) -> float:
        """The expected mean; it falls as the chance rises."""
        return self._one(chance) + self._others * self._one((1 - chance) / self._others)

    def _one(self, chance: float) -> float:
        if not 0 < chance < 1:
            return 0.0  # at 1 every distance is one symbol, whose logarithm is none
        rate = -math.log1p(-chance)
        count = min(len(self._before), int(_VANISHED / rate) + 1)  # beyond it nothing is added
        decay = np.exp(-rate * self._before[:count])
        seen, new = self._seen[:count] @ decay, self._new[:count] @ decay
        return float(chance * chance * seen + chance * new) / self._measured


def _solve(expected: Callable[[float], float], value: float, low: float, high: float) -> float:
    """Where a falling function takes a value, `low` where it is nowhere so high."""
    if value >= expected(low):
        return low
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if expected(middle) > value:
            low = middle
        else:
            high = middle
    return high


def _entropy(chance: float) -> float:
    """Minus log2 of a chance, never minus zero."""
    return max(0.0, -math.log2(chance))
