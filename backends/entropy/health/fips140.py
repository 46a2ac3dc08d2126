"""The FIPS 140-2 tests of 20,000-bit blocks, over a stream.

Source: FIPS 140-2 (2001) section 4.9.1, statistical random number generator tests, before change
notice 2 withdrew them; the continuous test of section 4.9.2 on 32-bit words. The counts equal those
of rngtest (rng-tools 5 and 6), which people compare with, so its habits are kept:

- The first word of a stream is not tested: it is what the first comparison is made with.
- The last run of a block counts as one of the other value.
- A block that begins with another bit than the block before ended with counts a long run of ones
  too many where it begins with 1, and a nibble 15 too many where it begins with 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kdash.backends.entropy.health_facts import Fips140

BLOCK_BYTES = 2500
WORD_BYTES = 4  # of the continuous test
FALSE_ALARM = 0.0008  # share of a perfect stream's blocks that fail

ONES_ABOVE, ONES_BELOW = 9725, 10275  # both excluded
POKER_ABOVE, POKER_BELOW = 2.16, 46.17  # both excluded
NIBBLES = 5000  # in a block
RUNS = ((2315, 2685), (1114, 1386), (527, 723), (240, 384), (103, 209), (103, 209))  # 1 to 6 up
LONG_RUN = 26  # bits

_PADDED_WORDS = -(-BLOCK_BYTES // 8)  # 64-bit words that hold a block
_PADDING = 8 * _PADDED_WORDS - BLOCK_BYTES  # bytes of zeros behind a block

_Bytes = npt.NDArray[np.uint8]
_Words = npt.NDArray[np.uint64]
_Flags = npt.NDArray[np.bool_]


class Fips140Stream:
    """Takes a stream in pieces and counts the blocks that fail."""

    def __init__(self) -> None:
        self._rest = b""
        self._last: bytes | None = None  # the word before the next block
        self._blocks = 0
        self._failures = dict.fromkeys(("any", "monobit", "poker", "runs", "long", "same"), 0)

    def feed(self, data: bytes) -> None:
        """Take in the next piece of the stream."""
        data = self._rest + data
        if self._last is None:
            if len(data) < WORD_BYTES:
                self._rest = data
                return
            self._last, data = data[:WORD_BYTES], data[WORD_BYTES:]
        whole = len(data) - len(data) % BLOCK_BYTES
        self._rest = data[whole:]
        if whole:
            blocks = np.frombuffer(data, np.uint8, whole).reshape(-1, BLOCK_BYTES)
            self._judge(blocks, self._last)
            self._last = data[whole - WORD_BYTES : whole]

    def result(self) -> Fips140:
        """The counts so far; bytes behind the last whole block are not tested."""
        count = self._failures
        return Fips140(
            self._blocks, count["any"], count["monobit"], count["poker"],
            count["runs"], count["long"], count["same"],
        )  # fmt: skip

    def _judge(self, blocks: _Bytes, before: bytes) -> None:
        values = _value_counts(blocks)
        edges = _Edges(blocks, before if self._blocks else bytes(WORD_BYTES))
        failed = {
            "monobit": _monobit(values),
            "poker": _poker(values, edges),
            "runs": _runs(blocks, edges),
            "long": _long_run(blocks),
            "same": _continuous(blocks, before),
        }
        self._blocks += len(blocks)
        for name, flags in failed.items():
            self._failures[name] += int(np.count_nonzero(flags))
        self._failures["any"] += int(np.count_nonzero(np.any(list(failed.values()), axis=0)))


class _Edges:
    """Where blocks begin and end, one flag or length a block."""

    def __init__(self, blocks: _Bytes, before: bytes) -> None:
        first = blocks[:, 0] >> 7
        last = np.concatenate((np.frombuffer(before, np.uint8)[-1:], blocks[:, -1])) & 1
        turns = first != last[:-1]
        self.turns_to_one: _Flags = turns & (first == 1)
        self.turns_to_zero: _Flags = turns & (first == 0)
        self.ends_in_one: _Flags = last[1:] == 1
        self.last_run = _TRAILING_RUN[blocks[:, -1]]  # bits, at most 6


def _trailing_run(byte: int) -> int:
    equal = byte if byte & 1 else ~byte
    length = 1
    while length < len(RUNS) and equal >> length & 1:
        length += 1
    return length


_TRAILING_RUN = np.array([_trailing_run(byte) for byte in range(256)])


def _value_counts(blocks: _Bytes) -> npt.NDArray[np.int64]:
    """How often each byte value comes in each block; shape (blocks, 256)."""
    offsets = np.arange(len(blocks), dtype=np.intp)[:, None] * 256
    flat = (blocks + offsets).ravel()
    return np.bincount(flat, minlength=256 * len(blocks)).reshape(-1, 256)


def _monobit(values: npt.NDArray[np.int64]) -> _Flags:
    ones = values @ np.bitwise_count(np.arange(256, dtype=np.uint16)).astype(np.int64)
    return (ones <= ONES_ABOVE) | (ones >= ONES_BELOW)


def _poker(values: npt.NDArray[np.int64], edges: _Edges) -> _Flags:
    pairs = values.reshape(-1, 16, 16)  # high nibble, low nibble
    nibbles = pairs.sum(axis=1) + pairs.sum(axis=2)
    nibbles[:, 15] += edges.turns_to_zero
    statistic = (16 / NIBBLES) * (nibbles**2).sum(axis=1) - NIBBLES
    failed: _Flags = (statistic <= POKER_ABOVE) | (statistic >= POKER_BELOW)
    return failed


def _runs(blocks: _Bytes, edges: _Edges) -> _Flags:
    padded = np.pad(blocks, ((0, 0), (0, _PADDING)))
    bits = padded.view(">u8").astype(np.uint64)
    flipped = ~bits
    flipped[:, -1] &= np.uint64((1 << 64) - (1 << 8 * _PADDING))  # the padding is no run
    ones, zeros = _run_counts(bits), _run_counts(flipped)
    ones[:, -1] += edges.turns_to_one
    block = np.arange(len(blocks))
    moved = np.where(edges.ends_in_one, 1, -1)
    ones[block, edges.last_run - 1] -= moved
    zeros[block, edges.last_run - 1] += moved
    least, most = np.array(RUNS).T
    wrong = (ones < least) | (ones > most) | (zeros < least) | (zeros > most)
    failed: _Flags = wrong.any(axis=1)
    return failed


def _run_counts(bits: _Words) -> npt.NDArray[np.int64]:
    """How many runs of set bits each block has, of 1, 2, ... and of 6 and more bits."""
    starts = bits & ~_before(bits)
    counts = np.zeros((len(bits), len(RUNS)), np.int64)
    for length in range(1, len(RUNS) + 1):
        if length > 1:
            starts &= _after(bits, length - 1)  # where runs of at least this length begin
        counts[:, length - 1] = np.bitwise_count(starts).sum(axis=1, dtype=np.int64)
    counts[:, :-1] -= counts[:, 1:]
    return counts


def _before(words: _Words) -> _Words:
    """At each bit the bit before it in its block, 0 before the first."""
    shifted = words >> np.uint64(1)
    shifted[:, 1:] |= words[:, :-1] << np.uint64(63)
    return shifted


def _after(words: _Words, distance: int) -> _Words:
    """At each bit the bit `distance` (1 to 63) after it in its block, 0 behind the last."""
    shifted = words << np.uint64(distance)
    shifted[:, :-1] |= words[:, 1:] >> np.uint64(64 - distance)
    return shifted


def _long_run(blocks: _Bytes) -> _Flags:
    # 26 equal bits cover two bytes in a row, whatever they start at: few blocks have such a pair.
    edge = (blocks == 0) | (blocks == 0xFF)
    same = edge[:, 1:] & (blocks[:, 1:] == blocks[:, :-1])
    failed: _Flags = same.any(axis=1)
    for index in np.flatnonzero(failed):
        bits = np.unpackbits(blocks[index])
        ends = np.flatnonzero(np.concatenate((bits[1:] != bits[:-1], [True])))
        failed[index] = np.diff(ends, prepend=-1).max() >= LONG_RUN
    return failed


def _continuous(blocks: _Bytes, before: bytes) -> _Flags:
    words = np.ascontiguousarray(blocks).view(np.uint32)
    previous = np.concatenate((np.frombuffer(before, np.uint32), words[:-1, -1]))
    first = words[:, 0] == previous
    failed: _Flags = (words[:, 1:] == words[:, :-1]).any(axis=1) | first
    return failed
