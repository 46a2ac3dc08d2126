"""The Linux 4.3 generator running live: fed by a machine, read by simulated processes.

The clock of the model runs `speed` times as fast as the feed's. What a window of the feed brought
is then taken as typical and repeated, so that the rates of events stay those of the machine.
"""

from __future__ import annotations

import time

from kdash.backends.entropy.facts import ModelStep
from kdash.backends.entropy.fed_generator import changes_between
from kdash.backends.entropy.happenings import ClockFeed, Feed, Happening, Kind, Window
from kdash.backends.entropy.machine_feed import CounterFeed
from kdash.backends.entropy.model_facts import ModelState
from kdash.backends.entropy.model_load import (
    MOST_EVENTS_PER_SECOND,
    MOST_READ_BYTES,
    MOST_READS_PER_SECOND,
    NS,
    checked_rate,
)
from kdash.backends.entropy.model_pools import DEVICES, PoolsAtWork
from kdash.backends.entropy.model_state import (
    Before,
    fast_pools_of,
    flows_of,
    passed_above,
    sources_of,
)
from kdash.backends.entropy.procfs import Root, Unavailable
from kdash.backends.entropy.traced_events import TracedFeed
from kdash.backends.wording import counted

MOST_SPEED = 3600
DEFAULT_SPEED = 1  # as the kernel's own pools would have it: faster takes more of the processor
DEFAULT_NODES = 2
DEFAULT_READS = {"/dev/random": 0.01, "/dev/urandom": 0.1, "getrandom": 0.05}  # a second
SEEDED_LOAD = {Kind.INTERRUPT: 50.0, Kind.DISK: 1.0, Kind.INPUT: 0.0}  # where nothing else feeds
# Microseconds that a second may cost: a hundredth of a core until somebody asks for a clock, or for
# a run that is determined by a seed; a tenth of a core then.
_USUAL_BUDGET, _ASKED_BUDGET = 10_000.0, 100_000.0
_LEAST_FACTOR = 0.01
_MOST_WINDOW_NS = 2 * NS  # a longer one was a pause
_KEY_S = 31  # of include/uapi/linux/input-event-codes.h: the key that asks for a step


class LiveModel(PoolsAtWork):
    """The pools fed live. With a seed and a feed of one's own every step is determined."""

    def __init__(
        self,
        feed: Feed | None = None,
        *,
        seed: bytes | None = None,
        speed: int | None = None,
        nodes: int = 0,
        reads: dict[str, float] | None = None,
    ) -> None:
        """Start the pools as the kernel does at boot.

        Args:
            feed: Where events come from; this machine by default.
            seed: What the pools and all that is made up start from; the clock by default. At
                most 390 bytes count.
            speed: Seconds of the model that pass in one second of the feed, 1 to 3600; None:
                DEFAULT_SPEED, as far as that costs next to nothing.
            nodes: Of the per-node design; 0: the stock design.
            reads: Reads a second of the model by device; those of DEFAULT_READS by default.

        Raises:
            ValueError: One of them is out of range; the message tells the range.
        """
        self.speed = DEFAULT_SPEED
        self.usual_nodes = nodes or DEFAULT_NODES
        self._feed = feed or CounterFeed()
        self._asked = False  # for the clock
        if speed is not None:
            self.set_speed(speed)
        self._reads = DEFAULT_READS if reads is None else reads
        self._restart(seed, nodes)

    def _restart(self, seed: bytes | None, nodes: int) -> None:
        self._boot(seed, nodes)
        self._reached = 0.0
        self._left_out = 0
        for device, rate in self._reads.items():
            self.read_at(device, rate)

    # -- settings -----------------------------------------------------------------------

    def set_speed(self, speed: int) -> None:
        """Another factor between the clocks.

        Raises:
            ValueError: It is out of range.
        """
        if not 1 <= speed <= MOST_SPEED:
            raise ValueError(f"x{speed} is out of range; x1 to x{MOST_SPEED}")
        self.speed, self._asked = speed, True

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
        self._twin.end()
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
        self._agenda.clear()

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
        self._twin.flip(self._fed)

    def unflip(self) -> None:
        """Follow it no more."""
        self._twin.end()

    def close(self) -> None:
        """Give back what the feed holds."""
        self._feed.close()

    @property
    def reached(self) -> float:
        """The factor between the clocks that the last advance could afford; 0 before one."""
        return self._reached

    # -- time ---------------------------------------------------------------------------

    def skip(self) -> None:
        """Leave out what happened since the feed was last asked: a pause."""
        self._feed()

    @property
    def may_rest(self) -> bool:
        """Whether events may be left out while nobody watches.

        Not where each counts: from a seed, from a trace, in a twin, before the pools are seeded.
        """
        each_counts = self._seed is not None or isinstance(self._feed, TracedFeed)
        seeded = self._fed.generator.nonblocking.initialized
        return seeded and not each_counts and self._twin.follows is None

    def catch_up(self) -> list[ModelStep]:
        """Set the clock to where it were, had it not rested since the last time; a step of that.

        What came meanwhile is left out: pools that are fed and read look the same before and
        after. Readers that wait have waited no longer than was seen.
        """
        window = self._feed()
        span = window.end_ns - window.start_ns
        if span <= 0:
            return []
        passed = int(span * (self._reached or self.speed))
        self._agenda.clear()
        self._set_time(self._now_ns + passed)
        for source in self._load.values():
            source.arrivals.arm(self._now_ns)
        for reader in self._readers.values():
            if reader.waiting_since is None:
                reader.arrivals.arm(self._now_ns)
            else:
                reader.waiting_since += passed
        self._before = Before.of(self._fed)
        events = counted(window.left_out + len(window.happenings), "event")
        text = f"rested for {span / NS:.0f} s unwatched: the clock went on, {events} left out"
        return [self._told(text, list(self._fed.generator.input.words))]

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
        self._agenda.queue(kept, (window.end_ns - span, span), self._now_ns, end_ns)
        while self._one(end_ns):
            pass
        self._set_time(end_ns)
        self._twin.look(self._fed)
        return [self._told(before.told(self._fed), words)]

    def step(self) -> ModelStep:
        """Take one event in, made up or not; where there is none, the key that asks is one."""
        if not self._agenda:
            self._queue_window(self._feed())
        inventory = self._fed.inventory()
        words = list(self._fed.generator.input.words)
        self._before = Before.of(self._fed)
        text = self._one(None)
        if text is None:
            value = self._random.randrange(256)
            key = Happening(0, Kind.INPUT, 0, _KEY_S, value)
            text = self._feed_event(key)
        self._twin.look(self._fed)
        step = self._told(text, words)
        changes = changes_between(inventory, self._fed.inventory())
        return ModelStep(step.index, step.operation, b"", step.input, step.changed_words, changes)

    def _queue_window(self, window: Window) -> None:
        span = min(window.end_ns - window.start_ns, _MOST_WINDOW_NS)
        kept = [one for one in window.happenings if 0 <= window.end_ns - one.at_ns <= span]
        now = self._now_ns
        self._agenda.queue(kept, (window.end_ns - span, span), now, now + span)

    def _affordable(self, kept: list[Happening], span: int) -> float:
        """The factor between the clocks that there is time for."""
        cost = self._agenda.cost(kept, span)
        if self._twin.follows is not None:
            cost *= 2
        asked = self._asked or self._seed is not None
        budget = _ASKED_BUDGET if asked else _USUAL_BUDGET
        if cost * self.speed <= budget:
            return float(self.speed)
        return max(budget / cost, _LEAST_FACTOR)

    # -- looking ------------------------------------------------------------------------

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
            spread=self._twin.spread,
            spread_events=self._twin.events,
        )
