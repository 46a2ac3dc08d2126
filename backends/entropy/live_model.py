"""The Linux 4.3 generator running live, fed with the timing of this machine's own events."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from kdash.backends.entropy.devices import read_urandom
from kdash.backends.entropy.events import TimerState, add_timer_randomness, rand_initialize
from kdash.backends.entropy.facts import ModelStep, PoolState
from kdash.backends.entropy.generator import HZ, INITIAL_JIFFIES, UTS_BYTES, Generator, Machine
from kdash.backends.entropy.interrupts import parse_interrupts
from kdash.backends.entropy.pool import EXTRACT_BYTES, mix_pool_bytes
from kdash.backends.entropy.procfs import Root, Unavailable

_NS = 1_000_000_000
_COUNTERS_EVERY_NS = _NS // 4  # how old the interrupt counters a sample uses may be
_MASK64 = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Sample:
    """What one event tells the generator."""

    monotonic_ns: int
    number: int  # which event it was; its low 32 bits are mixed


Feed = Callable[[], Sample]


class MachineFeed:
    """Samples of this machine: the clock now, and how many interrupts there were so far."""

    def __init__(self, root: str = "/") -> None:
        self._root = Root(root)
        self._interrupts = 0
        self._read_at: int | None = None

    def __call__(self) -> Sample:
        """A sample now."""
        now = time.monotonic_ns()
        if self._read_at is None or now - self._read_at >= _COUNTERS_EVERY_NS:
            self._read_at = now
            try:
                self._interrupts = parse_interrupts(self._root.interrupts()).total
            except Unavailable:
                self._interrupts += 1  # the clock alone feeds the model then
        return Sample(now, self._interrupts)


class LiveModel:
    """The input pool of Linux 4.3 at work, one event a step; the output pools take their spill.

    The model's clock runs `speed` times as fast as the feed's, so that a pool that takes minutes
    to fill does so while one looks; show the factor beside the pool. With a seed and a feed of
    one's own every step is determined.
    """

    def __init__(
        self,
        feed: Feed | None = None,
        *,
        seed: bytes | None = None,
        speed: int = 60,
        extract_every: int = 64,
    ) -> None:
        """Start the pools as the kernel does at boot.

        Args:
            feed: Where samples come from; this machine by default.
            seed: What the pools start from, in place of the clock; at most 390 bytes count.
            speed: Seconds of the model that pass in one second of the feed, at least 1.
            extract_every: After how many events a reader takes 10 bytes, 0 for never.
        """
        self.speed = speed
        self._feed = feed or MachineFeed()
        self._extract_every = extract_every
        self._index = 0
        self._events = 0
        self._timer = TimerState()
        self._start_ns: int | None = None
        self._generator = Generator(_boot_machine(seed))
        rand_initialize(self._generator)
        # Past boot: events feed the input pool once the nonblocking pool is initialised.
        self._generator.nonblocking.initialized = True

    def step(self) -> ModelStep:
        """Take one event in, or let the reader take its 10 bytes when it is due."""
        due = self._extract_every and self._events >= self._extract_every
        if due and self._generator.input.entropy_bits >= 8 * EXTRACT_BYTES:
            self._events = 0
            return self.extract(EXTRACT_BYTES)
        self._events += 1
        sample = self._feed()
        self._advance(sample.monotonic_ns)

        def event() -> str:
            bits = add_timer_randomness(self._generator, self._timer, sample.number)
            return f"mix 16 bytes, credit {_counted(bits, 'bit')}"

        return self._do(event)

    def extract(self, nbytes: int) -> ModelStep:
        """Extract from the input pool; the output is as short as the accounted bits make it."""
        output = b""

        def extraction() -> str:
            nonlocal output
            output = self._generator.extract_entropy(self._generator.input, nbytes)
            short = f" of {nbytes}" if len(output) < nbytes else ""
            return f"extract {len(output)}{short} bytes"

        step = self._do(extraction)
        return ModelStep(step.index, step.operation, output, step.input, step.changed_words)

    def urandom(self, nbytes: int) -> bytes:
        """What a reader of the model's /dev/urandom gets; no step is told of it."""
        return read_urandom(self._generator, nbytes).out

    def mix(self, data: bytes) -> ModelStep:
        """Mix bytes into the input pool without credit."""

        def mixing() -> str:
            mix_pool_bytes(self._generator.input, data)
            return f"mix {_counted(len(data), 'byte')}"

        return self._do(mixing)

    def credit(self, bits: int) -> ModelStep:
        """Credit the input pool, or debit it when negative, as RNDADDTOENTCNT does."""

        def crediting() -> str:
            self._generator.credit_safe(self._generator.input, bits)
            word = "credit" if bits >= 0 else "debit"
            return f"{word} {_counted(abs(bits), 'bit')}"

        return self._do(crediting)

    def state(self) -> PoolState:
        """The input pool now."""
        return self._generator.input.state()

    def outputs(self) -> tuple[PoolState, PoolState]:
        """The blocking and the nonblocking pool now."""
        return self._generator.blocking.state(), self._generator.nonblocking.state()

    def _do(self, operation: Callable[[], str]) -> ModelStep:
        """Run an operation and the spill it brings about, and tell what changed."""
        generator = self._generator
        before = list(generator.input.words)
        text = operation()
        spilled = [pool.name for pool in generator.queued]
        generator.run_work()
        if spilled:
            text += f", spill to {' and '.join(spilled)}"
        state = generator.input.state()
        changed = frozenset(
            i for i, (old, new) in enumerate(zip(before, state.words, strict=True)) if old != new
        )
        step = ModelStep(self._index, text, b"", state, changed)
        self._index += 1
        return step

    def _advance(self, now_ns: int) -> None:
        """Set the model's clocks; they start at the first sample."""
        if self._start_ns is None:
            self._start_ns = now_ns
        elapsed = max(0, now_ns - self._start_ns) * self.speed
        machine = self._generator.machine
        machine.jiffies = INITIAL_JIFFIES + elapsed * HZ // _NS
        machine.cycles = now_ns & _MASK64


def _boot_machine(seed: bytes | None) -> Machine:
    """The machine the pools see when they are started."""
    if seed is not None:
        return Machine(uts=seed[:UTS_BYTES].ljust(UTS_BYTES, b"\0"))
    return Machine(cycles=time.monotonic_ns() & _MASK64, ktime=time.time_ns())


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
