"""What feeds the Linux 4.3 generator: timed events, interrupts, devices, the hardware generator.

Source: Linux v4.3 drivers/char/random.c, functions named in the docstrings.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from kdash.backends.entropy.generator import HZ, INITIAL_JIFFIES, Generator, signed64
from kdash.backends.entropy.pool import MASK, Pool, mix_pool_bytes

_U64 = 0xFFFFFFFFFFFFFFFF
_TIMER_CREDIT_LIMIT = 11  # bits, the most one timed event is credited with
_FAST_POOL_EVENTS = 64
_FAST_MIX_ROTATIONS = ((6, 27), (16, 14), (6, 27), (16, 14))


@dataclass(slots=True)
class TimerState:
    """When a source of timed events last fired (struct timer_rand_state)."""

    last_time: int = INITIAL_JIFFIES
    last_delta: int = 0
    last_delta2: int = 0


def rand_initialize(generator: Generator) -> None:
    """Start each pool from what the machine offers at boot (rand_initialize, init_std_data)."""
    machine = generator.machine
    for pool in generator.pools:
        pool.last_pulled = machine.jiffies
        mix_pool_bytes(pool, struct.pack("<q", machine.ktime))
        for _ in range(len(pool.words) * 4 // 8):
            mix_pool_bytes(pool, struct.pack("<Q", _boot_long(generator)))
        mix_pool_bytes(pool, machine.uts)


def _boot_long(generator: Generator) -> int:
    """RDSEED, else RDRAND, else the cycle counter (init_std_data)."""
    machine = generator.machine
    for queue in (machine.arch_seed, machine.arch_random):
        if queue:
            return queue.popleft()
    return machine.cycles


def add_device_randomness(generator: Generator, data: bytes) -> None:
    """Tell devices apart by serial numbers and the like, crediting nothing.

    (add_device_randomness)
    """
    time = struct.pack("<Q", generator.machine.cycles ^ generator.machine.jiffies)
    for pool in (generator.input, *generator.nonblocking_pools):
        mix_pool_bytes(pool, data)
        mix_pool_bytes(pool, time)


def add_timer_randomness(generator: Generator, state: TimerState, num: int) -> int:
    """Mix one timed event and credit what its timing may hold; returns the bits credited.

    The credit is the logarithm of the smallest of the first three differences of the event
    times (add_timer_randomness).

    Args:
        generator: The generator that is fed.
        state: The source's own history; it changes.
        num: What happened, u32.
    """
    machine = generator.machine
    pool = generator.event_pool()
    sample = struct.pack("<QII", machine.jiffies & _U64, machine.cycles & MASK, num & MASK)
    mix_pool_bytes(pool, sample)
    delta = signed64(machine.jiffies - state.last_time)
    delta2 = signed64(delta - state.last_delta)
    delta3 = signed64(delta2 - state.last_delta2)
    state.last_time = machine.jiffies
    state.last_delta = delta
    state.last_delta2 = delta2
    smallest = min(abs(delta), abs(delta2), abs(delta3))
    bits = min((smallest >> 1 & MASK).bit_length(), _TIMER_CREDIT_LIMIT)
    generator.credit(pool, bits)
    return bits


@dataclass(slots=True)
class InputEvents:
    """Keyboards and mice (add_input_randomness)."""

    timer: TimerState = field(default_factory=TimerState)
    last_value: int = 0  # u8

    def add(self, generator: Generator, kind: int, code: int, value: int) -> int | None:
        """Feed one event; returns the bits credited.

        A value equal to the one before is autorepeat and is ignored: None.
        """
        if value == self.last_value:
            return None
        self.last_value = value & 0xFF
        num = (kind << 4) ^ code ^ (code >> 4) ^ value
        return add_timer_randomness(generator, self.timer, num)


def add_disk_randomness(generator: Generator, state: TimerState, device: int) -> int:
    """Feed the completion of a disk request; returns the bits credited (add_disk_randomness).

    Args:
        generator: The generator that is fed.
        state: The disk's own history; it changes.
        device: Its dev_t.
    """
    return add_timer_randomness(generator, state, 0x100 + device)


def add_hwgenerator_randomness(generator: Generator, data: bytes, bits: int) -> bool:
    """Feed bytes of the hardware generator; returns whether its thread would have slept first.

    It sleeps while the input pool is above the write threshold, and feeds once woken
    (add_hwgenerator_randomness).
    """
    slept = generator.input.entropy_bits > generator.write_wakeup
    mix_pool_bytes(generator.input, data)
    generator.credit(generator.input, bits)
    return slept


@dataclass(slots=True)
class FastPool:
    """What one CPU gathers from its interrupts before it touches a pool (struct fast_pool)."""

    words: list[int] = field(default_factory=lambda: [0, 0, 0, 0])  # u32
    last: int = 0  # jiffies of the last flush
    count: int = 0  # interrupts since then, u8

    def as_bytes(self) -> bytes:
        """The four words as they lie in memory."""
        return struct.pack("<4I", *self.words)

    def add_interrupt(self, generator: Generator, irq: int) -> int:
        """Feed one interrupt; returns the bits credited (add_interrupt_randomness)."""
        machine = generator.machine
        now = machine.jiffies
        words = self.words
        words[0] ^= (machine.cycles ^ now >> 32 ^ irq) & MASK
        words[1] ^= (now ^ machine.cycles >> 32) & MASK
        words[2] ^= machine.ip & MASK
        words[3] ^= machine.ip >> 32 & MASK
        self._fast_mix()
        if self.count < _FAST_POOL_EVENTS and signed64(now - self.last - HZ) <= 0:
            return 0
        self.last = now
        return self._flush(generator, generator.event_pool())

    def _fast_mix(self) -> None:
        """Four rounds over the four words (fast_mix)."""
        a, b, c, d = self.words
        for turn_b, turn_d in _FAST_MIX_ROTATIONS:
            a = (a + b) & MASK
            c = (c + d) & MASK
            b = (b << turn_b | b >> (32 - turn_b)) & MASK
            d = (d << turn_d | d >> (32 - turn_d)) & MASK
            d ^= a
            b ^= c
        self.words[:] = a, b, c, d
        self.count = (self.count + 1) & 0xFF

    def _flush(self, generator: Generator, pool: Pool) -> int:
        """Mix the four words into the pool and credit one bit, two with a hardware seed."""
        mix_pool_bytes(pool, self.as_bytes())
        bits = 1
        if generator.machine.arch_seed:
            mix_pool_bytes(pool, struct.pack("<Q", generator.machine.arch_seed.popleft()))
            bits = 2
        self.count = 0
        generator.credit(pool, bits)
        return bits
