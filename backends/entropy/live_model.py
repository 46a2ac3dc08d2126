"""The Linux 4.3 generator running live: fed by a machine, read by simulated processes.

The clock of the model runs `speed` times as fast as the feed's. What a window of the feed brought
is then taken as typical and repeated, so that the rates of events stay those of the machine.
"""

from __future__ import annotations

import copy
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from random import Random

from kdash.backends.entropy.devices import read_urandom
from kdash.backends.entropy.facts import ModelStep, PoolState
from kdash.backends.entropy.fed_generator import (
    FedGenerator,
    boot_machine,
    changes_between,
    spread_between,
)
from kdash.backends.entropy.happenings import ClockFeed, Feed, Happening, Kind, Window
from kdash.backends.entropy.machine_feed import CounterFeed
from kdash.backends.entropy.model_facts import ModelState
from kdash.backends.entropy.model_load import (
    MOST_EVENTS_PER_SECOND,
    MOST_READ_BYTES,
    MOST_READS_PER_SECOND,
    NS,
    Arrivals,
    LoadSource,
    Reader,
    checked_rate,
)
from kdash.backends.entropy.model_state import (
    Before,
    fast_pools_of,
    flows_of,
    passed_above,
    sources_of,
)
from kdash.backends.entropy.pool import EXTRACT_BYTES, mix_pool_bytes
from kdash.backends.entropy.procfs import Root, Unavailable
from kdash.backends.entropy.traced_events import TracedFeed
from kdash.backends.wording import counted

MOST_SPEED = 3600
DEFAULT_SPEED = 60
DEFAULT_NODES = 2
DEVICES = ("/dev/random", "/dev/urandom", "getrandom")
DEFAULT_READS = {"/dev/random": 0.01, "/dev/urandom": 0.1, "getrandom": 0.05}  # a second
DEFAULT_READ_BYTES = 16
SEEDED_LOAD = {Kind.INTERRUPT: 50.0, Kind.DISK: 1.0, Kind.INPUT: 0.0}  # where nothing else feeds
# What an operation costs in this Python, microseconds, and what a second may cost: little as
# long as nobody asked for more than the usual clock, some hundredths of a core where one did.
_COST = {Kind.INTERRUPT: 6.0, Kind.DISK: 25.0, Kind.INPUT: 25.0}
_EXTRACTION_COST = {"/dev/random": 500.0, "/dev/urandom": 200.0, "getrandom": 200.0}
_USUAL_BUDGET, _BUDGET = 10_000.0, 25_000.0
_LEAST_FACTOR = 0.01
_MOST_WINDOW_NS = 2 * NS  # a longer one was a pause
_KEY_S = 31  # of include/uapi/linux/input-event-codes.h: the key that asks for a step
_SATURATED = 15.5  # bits of 32 that differ in a word of the input pool: as much as by chance

Arrival = LoadSource | Reader


class LiveModel:
    """The pools at work. With a seed and a feed of one's own every step is determined."""

    def __init__(
        self,
        feed: Feed | None = None,
        *,
        seed: bytes | None = None,
        speed: int = DEFAULT_SPEED,
        nodes: int = 0,
        reads: dict[str, float] | None = None,
    ) -> None:
        """Start the pools as the kernel does at boot.

        Args:
            feed: Where events come from; this machine by default.
            seed: What the pools and all that is made up start from; the clock by default. At
                most 390 bytes count.
            speed: Seconds of the model that pass in one second of the feed, 1 to 3600.
            nodes: Of the per-node design; 0: the stock design.
            reads: Reads a second of the model by device; those of DEFAULT_READS by default.

        Raises:
            ValueError: One of them is out of range; the message tells the range.
        """
        self.speed = DEFAULT_SPEED
        self.usual_nodes = nodes or DEFAULT_NODES
        self._feed = feed or CounterFeed()
        self.set_speed(speed)
        self._reads = DEFAULT_READS if reads is None else reads
        self._restart(seed, nodes)

    def _restart(self, seed: bytes | None, nodes: int) -> None:
        self._fed = FedGenerator(boot_machine(seed, time.monotonic_ns(), time.time_ns()), nodes)
        self._seed = seed
        # Not for secrets: it makes up when events come.
        self._random = Random(os.urandom(16) if seed is None else seed)  # noqa: S311
        self._index = 0
        self._now_ns = 0  # since the model's boot
        self._reached = 0.0
        self._left_out = 0
        self._pending: deque[tuple[int, Happening]] = deque()
        self._twin: FedGenerator | None = None
        self._flip_next = False
        self._spread: tuple[tuple[int, ...], ...] = ()
        self._spread_events = 0
        self._load = {kind: LoadSource(kind, Arrivals(self._random)) for kind in Kind}
        self._readers = {
            device: Reader(device, DEFAULT_READ_BYTES, Arrivals(self._random)) for device in DEVICES
        }
        for device, rate in self._reads.items():
            self.read_at(device, rate)
        self._before = Before.of(self._fed)

    # -- settings -----------------------------------------------------------------------

    def set_speed(self, speed: int) -> None:
        """Another factor between the clocks.

        Raises:
            ValueError: It is out of range.
        """
        if not 1 <= speed <= MOST_SPEED:
            raise ValueError(f"x{speed} is out of range; x1 to x{MOST_SPEED}")
        self.speed = speed

    def set_load(self, kind: str, rate: float) -> None:
        """Make up events of a kind ("irq", "disk", "input") at a rate a second of the model.

        Raises:
            ValueError: It is out of range, or there is no such kind.
        """
        source = self._load[Kind(kind)]
        most = MOST_EVENTS_PER_SECOND[source.kind]
        source.arrivals.set_rate(checked_rate(rate, most, kind), self._now_ns)

    def read_at(self, device: str, rate: float, nbytes: int | None = None) -> None:
        """Let a simulated process read one of DEVICES at a rate a second of the model, 0: never.

        Raises:
            ValueError: Rate or size is out of range, or there is no such device.
        """
        if device not in self._readers:
            raise ValueError(f"no device {device!r}; {', '.join(DEVICES)}")
        rate = checked_rate(rate, MOST_READS_PER_SECOND, device)
        if nbytes is not None and not 1 <= nbytes <= MOST_READ_BYTES:
            raise ValueError(f"{nbytes} bytes a read are out of range; 1 to {MOST_READ_BYTES}")
        reader = self._readers[device]
        reader.nbytes = nbytes or reader.nbytes
        reader.waiting_since = None if not rate else reader.waiting_since
        reader.arrivals.set_rate(rate, self._now_ns)

    def set_nodes(self, nodes: int) -> None:
        """Go on with the per-node design, or with the stock one at 0.

        Raises:
            ValueError: There can't be so many.
        """
        self._fed.redesign(nodes)
        self.usual_nodes = nodes or self.usual_nodes
        self._end_twin()
        for ordinal, device in enumerate(DEVICES):
            self._readers[device].node = ordinal % nodes if nodes else 0
        self._before = Before.of(self._fed)

    def restart(self, seed: bytes | None) -> None:
        """Boot anew: from a seed and fed by made-up events alone, or None: from this machine.

        Equal seeds give equal runs.
        """
        self._feed.close()
        self._feed = CounterFeed() if seed is None else ClockFeed(time.monotonic_ns)
        self._restart(seed, self._fed.nodes)
        if seed is not None:
            for kind, rate in SEEDED_LOAD.items():
                self.set_load(kind.value, rate)

    def set_feed(self, feed: Feed) -> None:
        """Take events from elsewhere from now on."""
        self._feed.close()
        self._feed = feed
        self._pending.clear()

    def feed_from(self, name: str) -> None:
        """Take events from this machine's counters, from its trace, or from the load alone.

        Args:
            name: "machine", "trace" or "load".

        Raises:
            ValueError: There is no such feed, or it can't be had.
        """
        if name == "machine":
            self.set_feed(CounterFeed())
        elif name == "trace":
            try:
                self.set_feed(TracedFeed(Root()))
            except Unavailable as error:
                raise ValueError(str(error)) from None
        elif name == "load":
            self.set_feed(ClockFeed(time.monotonic_ns))
        else:
            raise ValueError(f"no feed {name!r}")

    def flip(self) -> None:
        """Flip a bit of the next event in a twin of the model, and follow what comes to differ."""
        self._end_twin()
        self._twin = copy.deepcopy(self._fed)
        self._flip_next = True
        self._spread_events = 0
        self._spread = spread_between(self._fed.generator, self._twin.generator)

    def unflip(self) -> None:
        """Follow it no more."""
        self._end_twin()

    def close(self) -> None:
        """Give back what the feed holds."""
        self._feed.close()

    # -- time ---------------------------------------------------------------------------

    def skip(self) -> None:
        """Leave out what happened since the feed was last asked: a pause."""
        self._feed()

    def advance(self) -> list[ModelStep]:
        """Take in what happened since the last time; one step that sums it up, if time passed."""
        window = self._feed()
        span = min(window.end_ns - window.start_ns, _MOST_WINDOW_NS)
        if span <= 0:
            return []
        kept = [one for one in window.happenings if 0 <= window.end_ns - one.at_ns <= span]
        self._left_out += window.left_out + len(window.happenings) - len(kept)
        self._reached = factor = self._affordable(kept, span)
        end_ns = self._now_ns + int(span * factor)
        self._before = before = Before.of(self._fed)
        words = list(self._fed.generator.input.words)
        self._queue(kept, window.end_ns - span, span, end_ns)
        while self._one(end_ns):
            pass
        self._set_time(end_ns)
        self._look_at_twin()
        return [self._told(before.told(self._fed), words)]

    def step(self) -> ModelStep:
        """Take one event in, made up or not; where there is none, the key that asks is one."""
        if not self._pending:
            self._queue_window(self._feed())
        inventory = self._fed.inventory()
        words = list(self._fed.generator.input.words)
        self._before = Before.of(self._fed)
        text = self._one(None)
        if text is None:
            value = self._random.randrange(256)
            key = Happening(0, Kind.INPUT, 0, _KEY_S, value)
            text = self._feed_event(key)
        self._look_at_twin()
        step = self._told(text, words)
        changes = changes_between(inventory, self._fed.inventory())
        return ModelStep(step.index, step.operation, b"", step.input, step.changed_words, changes)

    def _queue_window(self, window: Window) -> None:
        span = min(window.end_ns - window.start_ns, _MOST_WINDOW_NS)
        kept = [one for one in window.happenings if 0 <= window.end_ns - one.at_ns <= span]
        self._queue(kept, window.end_ns - span, span, self._now_ns + span)

    def _queue(self, kept: list[Happening], start_ns: int, span: int, end_ns: int) -> None:
        """Repeat the happenings of a window until the model's clock reaches `end_ns`."""
        base = max(self._now_ns, self._pending[-1][0] if self._pending else 0)
        while base < end_ns and kept:
            for one in kept:
                at = base + one.at_ns - start_ns
                if at >= end_ns:
                    break
                self._pending.append((at, one))
            base += span

    def _affordable(self, kept: list[Happening], span: int) -> float:
        """The factor between the clocks that there is time for."""
        seconds = span / NS
        kinds = Counter(one.kind for one in kept)
        cost = sum(_COST[kind] * number for kind, number in kinds.items()) / seconds
        cost += sum(_COST[kind] * source.arrivals.rate for kind, source in self._load.items())
        for reader in self._readers.values():
            if reader.waiting_since is not None:
                continue
            extractions = -(-reader.nbytes // EXTRACT_BYTES)
            cost += reader.arrivals.rate * extractions * _EXTRACTION_COST[reader.device]
        if self._twin is not None:
            cost *= 2
        budget = _USUAL_BUDGET if self.speed <= DEFAULT_SPEED else _BUDGET
        if cost * self.speed <= budget:
            return float(self.speed)
        return max(budget / cost, _LEAST_FACTOR)

    def _one(self, end_ns: int | None) -> str | None:
        """Carry out what comes next before `end_ns`; what it did, or None for nothing."""
        arrival = min(self._arrivals(), key=lambda found: found[0], default=None)
        if self._pending and (arrival is None or self._pending[0][0] <= arrival[0]):
            at, happening = self._pending[0]
            if end_ns is not None and at >= end_ns:
                return None
            self._pending.popleft()
            self._set_time(max(at, self._now_ns))
            return self._feed_event(happening)
        if arrival is None or (end_ns is not None and arrival[0] >= end_ns):
            return None
        at, source = arrival
        self._set_time(max(at, self._now_ns))
        if isinstance(source, Reader):
            return self._read(source)
        source.arrivals.arm(self._now_ns)
        return self._feed_event(Happening(0, source.kind, *source.event()))

    def _arrivals(self) -> Iterator[tuple[int, Arrival]]:
        for source in self._load.values():
            if source.arrivals.next_ns is not None:
                yield source.arrivals.next_ns, source
        for reader in self._readers.values():
            if reader.arrivals.next_ns is not None and reader.waiting_since is None:
                yield reader.arrivals.next_ns, reader

    def _set_time(self, now_ns: int) -> None:
        self._now_ns = now_ns
        for fed in self._alike():
            fed.set_time(now_ns)

    # -- operations ---------------------------------------------------------------------

    def _alike(self) -> Iterator[FedGenerator]:
        """The model, and its twin while there is one."""
        yield self._fed
        if self._twin is not None:
            yield self._twin

    def _feed_event(self, happening: Happening) -> str:
        kind, cpu, number, value = (
            happening.kind, happening.cpu, happening.number, happening.value,
        )  # fmt: skip
        text = self._fed.apply(kind, cpu, number, value)
        if self._twin is not None:
            self._twin.apply(kind, cpu, number ^ self._flip_next, value)
            self._flip_next = False
            self._spread_events += 1
        return text + self._settle()

    def _read(self, reader: Reader) -> str:
        done = reader.read(self._fed.generator, self._now_ns)
        if self._twin is not None:
            reader.ask(self._twin.generator)
        if not done:
            return f"{reader.device}: the reader sleeps, the pools give nothing"
        return f"{reader.device}: {len(reader.last)} of {reader.nbytes} bytes" + self._settle()

    def _settle(self) -> str:
        """Run the spill an operation brought about, wake who may go on; what came of it."""
        generator = self._fed.generator
        spilled = [pool.name for pool in generator.queued]
        for fed in self._alike():
            fed.generator.run_work()
        text = f", spill to {' and '.join(spilled)}" if spilled else ""
        for reader in self._readers.values():
            if reader.waiting_since is None or not reader.may_go_on(generator):
                continue
            if reader.read(generator, self._now_ns):
                text += f", {reader.device} wakes"
            if self._twin is not None:
                reader.ask(self._twin.generator)
        return text

    def extract(self, nbytes: int) -> ModelStep:
        """Extract from the input pool; the output is as short as the accounted bits make it."""
        output = b""

        def extraction() -> str:
            nonlocal output
            for fed in self._alike():
                found = fed.generator.extract_entropy(fed.generator.input, nbytes)
                output = found if fed is self._fed else output
            short = f" of {nbytes}" if len(output) < nbytes else ""
            return f"extract {len(output)}{short} bytes"

        step = self._do(extraction)
        return ModelStep(
            step.index, step.operation, output, step.input, step.changed_words, step.changes
        )

    def urandom(self, nbytes: int) -> bytes:
        """What a reader of the model's /dev/urandom gets; no step is told of it."""
        return read_urandom(self._fed.generator, nbytes).out

    def mix(self, data: bytes) -> ModelStep:
        """Mix bytes into the input pool without credit."""

        def mixing() -> str:
            for fed in self._alike():
                mix_pool_bytes(fed.generator.input, data)
            return f"mix {counted(len(data), 'byte')}"

        return self._do(mixing)

    def credit(self, bits: int) -> ModelStep:
        """Credit the input pool, or debit it when negative, as RNDADDTOENTCNT does."""

        def crediting() -> str:
            for fed in self._alike():
                fed.generator.credit_safe(fed.generator.input, bits)
            word = "credit" if bits >= 0 else "debit"
            return f"{word} {counted(abs(bits), 'bit')}"

        return self._do(crediting)

    def _do(self, operation: Callable[[], str]) -> ModelStep:
        """Run an operation of the person's and what it brings about, and tell what changed."""
        inventory = self._fed.inventory()
        words = list(self._fed.generator.input.words)
        self._before = Before.of(self._fed)
        text = operation() + self._settle()
        self._look_at_twin()
        step = self._told(text, words)
        changes = changes_between(inventory, self._fed.inventory())
        return ModelStep(step.index, step.operation, b"", step.input, step.changed_words, changes)

    def _told(self, text: str, before: list[int]) -> ModelStep:
        state = self._fed.generator.input.state()
        changed = frozenset(
            i for i, (old, new) in enumerate(zip(before, state.words, strict=True)) if old != new
        )
        step = ModelStep(self._index, text, b"", state, changed)
        self._index += 1
        return step

    # -- looking ------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Since the model's boot, on its own clock."""
        return self._now_ns / NS

    def state(self) -> PoolState:
        """The input pool now."""
        return self._fed.generator.input.state()

    def outputs(self) -> tuple[PoolState, ...]:
        """The blocking pool and those behind /dev/urandom now."""
        return tuple(pool.state() for pool in self._fed.generator.pools[1:])

    def snapshot(self) -> ModelState:
        """The whole model now, and what moved in the last advance or step."""
        fed, generator = self._fed, self._fed.generator
        return ModelState(
            seconds=self.seconds,
            speed=self.speed,
            reached=self._reached,
            nodes=fed.nodes,
            seed=(self._seed or b"").hex(),
            feed=self._feed.words,
            left_out=self._left_out,
            load=tuple((kind.value, one.arrivals.rate) for kind, one in self._load.items()),
            fast_pools=fast_pools_of(fed, self._before),
            sources=sources_of(fed, self._before),
            pools=tuple(pool.state() for pool in generator.pools),
            flows=flows_of(generator, self._before),
            readers=tuple(
                reader.state(generator, self._now_ns) for reader in self._readers.values()
            ),
            read_wakeup=generator.read_wakeup,
            write_wakeup=generator.write_wakeup,
            passed_above=passed_above(generator),
            spread=self._spread,
            spread_events=self._spread_events,
        )

    def _look_at_twin(self) -> None:
        """See how far the flipped bit has come; once it is everywhere the twin has no use."""
        if self._twin is None:
            return
        self._spread = spread_between(self._fed.generator, self._twin.generator)
        if sum(self._spread[0]) >= _SATURATED * len(self._spread[0]):
            self._twin = None

    def _end_twin(self) -> None:
        self._twin = None
        self._flip_next = False
        self._spread = ()
        self._spread_events = 0
