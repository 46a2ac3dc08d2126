"""The Linux 4.3 generator running live, fed with the timing of this machine's own events."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from kdash.backends.entropy.devices import getrandom, read_random, read_urandom
from kdash.backends.entropy.events import (
    FastPool,
    InputEvents,
    TimerState,
    add_disk_randomness,
    add_timer_randomness,
    rand_initialize,
)
from kdash.backends.entropy.facts import ModelStep, PoolState
from kdash.backends.entropy.generator import HZ, INITIAL_JIFFIES, UTS_BYTES, Generator, Machine
from kdash.backends.entropy.machine_feed import (
    EventFeed,
    Kind,
    MachineEvents,
    Sample,
    machine_feed,
)
from kdash.backends.entropy.pool import EXTRACT_BYTES, MASK, mix_pool_bytes
from kdash.backends.entropy.procfs import Root, Unavailable
from kdash.backends.entropy.traced_events import TracedEvents

EV_KEY = 1  # include/uapi/linux/input-event-codes.h
SPEEDS = (1, 3600)  # seconds of the model in one of the feed, least and most
_NS = 1_000_000_000
_MASK64 = (1 << 64) - 1


Feed = Callable[[], Sample]


class LiveModel:
    """The input pool of Linux 4.3 at work, one event a step; the output pools take their spill.

    The model's clock runs `speed` times as fast as the feed's, so that a pool that takes minutes
    to fill does so while one looks; show the factor beside the pool. With a seed and a feed of
    one's own every step is determined.
    """

    def __init__(
        self,
        feed: Feed | EventFeed | None = None,
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
        self._feed = feed or machine_feed()
        self._extract_every = extract_every
        self._index = 0
        self._events = 0
        self._timer = TimerState()
        self._disks: dict[int, TimerState] = {}
        self._input = InputEvents()
        self._fast_pools: dict[int, FastPool] = {}  # by CPU
        self._clock_ns: int | None = None  # the feed's, at the last event
        self._elapsed_ns = 0  # of the model's clock
        self.waiting = 0  # 1 while the simulated reader of /dev/random sleeps
        self._generator = Generator(_boot_machine(seed))
        rand_initialize(self._generator)
        # Past boot: events feed the input pool once the nonblocking pool is initialised.
        self._generator.nonblocking.initialized = True

    @property
    def feed(self) -> EventFeed | None:
        """What feeds it, where that can be set."""
        return self._feed if isinstance(self._feed, EventFeed) else None

    def step(self) -> ModelStep:
        """Take one event in, or let the reader take its 10 bytes when it is due."""
        due = self._extract_every and self._events >= self._extract_every
        if due and self._generator.input.entropy_bits >= 8 * EXTRACT_BYTES:
            self._events = 0
            return self.extract(EXTRACT_BYTES)
        self._events += 1
        return self._taken(self._feed())

    def catch_up(self) -> list[ModelStep]:
        """Take in what has happened by now; interrupts that only gather are told with the next.

        A feed that can't tell how much is due gives one event.
        """
        feed = self.feed
        if feed is None:
            return [self.step()]
        steps = []
        for _ in range(feed.pending):
            sample = feed()
            if sample.kind is Kind.INTERRUPT and not self._flushes(sample):
                self._advance(sample.monotonic_ns)
                self._fast_pool(sample.cpu).add_interrupt(self._generator, sample.number & MASK)
            else:
                steps.append(self._taken(sample))
        return steps

    def set_load(self, events_per_second: int) -> None:
        """Let the load generator make so many events; 0 ends it."""
        if (feed := self.feed) is not None:
            feed.set_load(events_per_second)

    def set_reads(self, reader: str, reads_per_second: int) -> None:
        """Let a simulated reader, of machine_feed.READERS, read so often; 0 ends it."""
        if (feed := self.feed) is not None:
            feed.set_reads(reader, reads_per_second)
        if reader == "random" and not reads_per_second:
            self.waiting = 0

    def trace_events(self, on: bool, root: str = "/") -> None:
        """Take the machine's events with their own times from tracefs (root), or count them.

        Raises:
            Unavailable: They can't be traced.
        """
        feed = self.feed
        if feed is None or feed.seed is not None:
            raise Unavailable("this model is not fed by the machine")
        feed.use(TracedEvents(Root(root)) if on else MachineEvents(Root(root)))

    def close(self) -> None:
        """Let go of what feeds it."""
        if (feed := self.feed) is not None:
            feed.close()

    def feed_words(self) -> str:
        """What feeds the model, in words."""
        words = [f"clock x{self.speed}"]
        feed = self.feed
        if feed is not None:
            if isinstance(feed.machine, TracedEvents):
                words.append("events traced")
            if feed.seed is not None:
                words.append(f"seed {feed.seed}")
            if feed.load:
                words.append(f"load {feed.load:g}/s")
            words += [f"{name} {rate:g} reads/s" for name, rate in feed.reads.items()]
            if feed.dropped:
                words.append(f"{feed.dropped} events left out")
        if self.waiting:
            words.append(_counted(self.waiting, "reader") + " of /dev/random waiting")
        return ", ".join(words)

    def _taken(self, sample: Sample) -> ModelStep:
        """One sample as a step."""
        self._advance(sample.monotonic_ns)
        output = b""

        def event() -> str:
            nonlocal output
            text, output = self._happen(sample)
            return text

        step = self._do(event)
        return replace(step, output=output) if output else step

    def _happen(self, sample: Sample) -> tuple[str, bytes]:
        """Let a sample act on the pools: what it did in words, and what a reader got."""
        generator, number = self._generator, sample.number
        match sample.kind:
            case Kind.INTERRUPT:
                return self._interrupt(sample), b""
            case Kind.DISK:
                timer = self._disks.setdefault(number, TimerState())
                bits = add_disk_randomness(generator, timer, number)
                name = f"disk {number >> 20}:{number & 0xFFFFF}"
                return f"{name}: mix 16 bytes, credit {_counted(bits, 'bit')}", b""
            case Kind.INPUT:
                # A key goes down, then up: equal values in a row would be autorepeat.
                value = 1 - (self._input.last_value & 1)
                bits = self._input.add(generator, EV_KEY, number, value)
                return f"key: mix 16 bytes, credit {_counted(bits, 'bit')}", b""
            case Kind.CLOCK:
                bits = add_timer_randomness(generator, self._timer, number)
                return f"mix 16 bytes, credit {_counted(bits, 'bit')}", b""
        return self._read(sample)

    def _interrupt(self, sample: Sample) -> str:
        pool = self._fast_pool(sample.cpu)
        flushes, gathered = self._flushes(sample), pool.count + 1
        bits = pool.add_interrupt(self._generator, sample.number & MASK)
        if not flushes:
            return f"1 interrupt, CPU {sample.cpu}: {pool.count} in its fast pool"
        told = f"{_counted(gathered, 'interrupt')}, CPU {sample.cpu}"
        return f"{told}: mix 16 bytes, credit {_counted(bits, 'bit')}"

    def _read(self, sample: Sample) -> tuple[str, bytes]:
        nbytes, generator = sample.number, self._generator
        if sample.kind is Kind.RANDOM:
            if self.waiting and generator.input.entropy_bits < generator.read_wakeup:
                return f"read {sample.kind.value}: still waits", b""
            answer = read_random(generator, nbytes, nonblock=False)
            self.waiting = int(answer.blocked)
        elif sample.kind is Kind.URANDOM:
            answer = read_urandom(generator, nbytes)
        else:
            answer = getrandom(generator, nbytes, 0)
        got = "waits" if answer.blocked else f"{len(answer.out)} of {nbytes} bytes"
        return f"read {sample.kind.value}: {got}", answer.out

    def _fast_pool(self, cpu: int) -> FastPool:
        return self._fast_pools.setdefault(cpu, FastPool())

    def _flushes(self, sample: Sample) -> bool:
        """Whether this interrupt empties its CPU's fast pool into the input pool."""
        self._advance(sample.monotonic_ns)
        return self._fast_pool(sample.cpu).is_due(self._generator)

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
        """Set the model's clocks; they start at the first sample and never go back."""
        if self._clock_ns is None:
            self._clock_ns = now_ns
        self._elapsed_ns += max(0, now_ns - self._clock_ns) * self.speed
        self._clock_ns = max(now_ns, self._clock_ns)
        machine = self._generator.machine
        machine.jiffies = INITIAL_JIFFIES + self._elapsed_ns * HZ // _NS
        machine.cycles = now_ns & _MASK64


def live_model(seed: int | None = None) -> LiveModel:
    """The model on this machine's events with a reader of /dev/urandom, or as a seed determines."""
    if seed is not None:
        return LiveModel(machine_feed(seed=seed), seed=b"%d" % seed, extract_every=0)
    feed = machine_feed()
    feed.set_reads("urandom", 1)
    return LiveModel(feed, extract_every=0)


def _boot_machine(seed: bytes | None) -> Machine:
    """The machine the pools see when they are started."""
    if seed is not None:
        return Machine(uts=seed[:UTS_BYTES].ljust(UTS_BYTES, b"\0"))
    return Machine(cycles=time.monotonic_ns() & _MASK64, ktime=time.time_ns())


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
