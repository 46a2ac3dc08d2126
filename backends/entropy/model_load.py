"""What is made up for the live Linux 4.3 model: a load of events, and readers of its devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from kdash.backends.entropy.devices import (
    ERESTARTSYS,
    Answer,
    getrandom,
    read_random,
    read_urandom,
)
from kdash.backends.entropy.generator import UTS_BYTES, Generator
from kdash.backends.entropy.happenings import Kind
from kdash.backends.entropy.model_facts import ReaderState

NS = 1_000_000_000
MOST_EVENTS_PER_SECOND = {Kind.INTERRUPT: 10_000.0, Kind.DISK: 1_000.0, Kind.INPUT: 1_000.0}
MOST_READS_PER_SECOND = 1_000.0
MOST_READ_BYTES = 512
LOAD_CPUS = 2  # that made-up interrupts go to
_LOAD_NUMBERS = {Kind.INTERRUPT: 16, Kind.DISK: 8 << 20, Kind.INPUT: 30}  # a line, sda, KEY_A


@dataclass(slots=True)
class Arrivals:
    """Moments that come at random at a given rate: a Poisson process."""

    random: Random
    rate: float = 0.0  # a second; 0: never
    next_ns: int | None = None  # when the next one is

    def set_rate(self, rate: float, now_ns: int) -> None:
        """Another rate from now on."""
        self.rate = rate
        self.arm(now_ns)

    def arm(self, now_ns: int) -> None:
        """Choose the moment after `now_ns`."""
        self.next_ns = (
            now_ns + 1 + int(self.random.expovariate(self.rate) * NS) if self.rate else None
        )


def seed_bytes(digits: str) -> bytes:
    """The seed that hexadecimal digits write.

    Raises:
        ValueError: They are none, or too many.
    """
    text = digits.removeprefix("0x")
    try:
        seed = bytes.fromhex("0" * (len(text) % 2) + text)
    except ValueError:
        raise ValueError(f"{digits[:16]!r} is not hexadecimal; write it like 00ff12") from None
    if not 1 <= len(seed) <= UTS_BYTES:
        raise ValueError(f"{len(seed)} bytes are out of range; 1 to {UTS_BYTES}")
    return seed


def checked_rate(rate: float, most: float, name: str) -> float:
    """The rate, if there can be such a one.

    Raises:
        ValueError: It is negative, too large or no number.
    """
    if not 0 <= rate <= most:  # False for NaN too
        raise ValueError(f"{name}: {rate:g} a second is out of range; 0 to {most:g}")
    return rate


@dataclass(slots=True)
class LoadSource:
    """Events of one kind that are made up."""

    kind: Kind
    arrivals: Arrivals

    def event(self) -> tuple[int, int, int]:
        """CPU, number and value of the next one."""
        random = self.arrivals.random
        cpu = random.randrange(LOAD_CPUS) if self.kind is Kind.INTERRUPT else 0
        return cpu, _LOAD_NUMBERS[self.kind], random.randrange(256)


@dataclass(slots=True)
class Reader:
    """A process that reads one device at a given rate, and sleeps where the kernel lets it."""

    device: str  # "/dev/random", "/dev/urandom", "getrandom"
    nbytes: int
    arrivals: Arrivals
    node: int = 0
    reads: int = 0
    total: int = 0  # bytes
    short: int = 0  # reads that returned less than was asked
    waited_ns: int = 0
    waiting_since: int | None = None
    last: bytes = b""
    ask: Callable[[Generator], Answer] = field(init=False)

    def __post_init__(self) -> None:
        self.ask = {
            "/dev/random": self._random, "/dev/urandom": self._urandom, "getrandom": self._call,
        }[self.device]  # fmt: skip

    def read(self, generator: Generator, now_ns: int) -> bool:
        """Read once; False where the process falls, or stays, asleep."""
        answer = self.ask(generator)
        if answer.blocked or answer.ret == -ERESTARTSYS:
            if self.waiting_since is None:
                self.waiting_since = now_ns
            return False
        if self.waiting_since is not None:
            self.waited_ns += now_ns - self.waiting_since
            self.waiting_since = None
        if answer.ret > 0:
            self.reads += 1
            self.total += answer.ret
            self.short += answer.ret < self.nbytes
            self.last = answer.out
        self.arrivals.arm(now_ns)
        return True

    def may_go_on(self, generator: Generator) -> bool:
        """Whether a sleeper is woken: random_read_wait, or urandom_init_wait for getrandom."""
        if self.device == "/dev/random":
            return generator.input.entropy_bits >= generator.read_wakeup
        return generator.nonblocking.initialized

    def state(self, generator: Generator, now_ns: int) -> ReaderState:
        """The reader now."""
        blocking = self.device == "/dev/random"
        pool = generator.blocking if blocking else generator.reader_pool(self.node)
        since = self.waiting_since
        return ReaderState(
            device=self.device,
            pool=pool.name,
            nbytes=self.nbytes,
            rate=self.arrivals.rate,
            reads=self.reads,
            total=self.total,
            waiting=None if since is None else (now_ns - since) / NS,
            short=self.short,
            waited=(self.waited_ns + (0 if since is None else now_ns - since)) / NS,
        )

    def _random(self, generator: Generator) -> Answer:
        return read_random(generator, self.nbytes, nonblock=False)

    def _urandom(self, generator: Generator) -> Answer:
        return read_urandom(generator, self.nbytes, self.node)

    def _call(self, generator: Generator) -> Answer:
        return getrandom(generator, self.nbytes, 0, self.node)
