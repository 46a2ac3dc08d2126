"""What the running Linux 4.3 model tells the views, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from kdash.backends.entropy.facts import PoolState


@dataclass(frozen=True, slots=True)
class FastPoolState:
    """What one CPU gathers from its interrupts before it touches a pool."""

    cpu: int
    count: int  # interrupts since its last flush
    flushes: int  # so far
    interrupts: int  # so far
    busy: bool  # whether one came in the last advance


@dataclass(frozen=True, slots=True)
class SourceState:
    """Timed events of one kind: disk or input."""

    name: str
    events: int  # so far
    credited: int  # bits so far
    busy: bool  # whether one came in the last advance


@dataclass(frozen=True, slots=True)
class ReaderState:
    """A simulated reader."""

    device: str  # "/dev/random", "/dev/urandom", "getrandom"
    pool: str  # that it takes from
    nbytes: int  # asked for at a time
    rate: float  # reads it begins in a second of the model; 0: off
    reads: int  # that returned something
    total: int  # bytes returned
    waiting: float | None  # seconds of the model it has been blocked; None: it is not
    short: int = 0  # reads that returned less than was asked
    waited: float = 0.0  # seconds of the model it was blocked, all waits together


@dataclass(frozen=True, slots=True)
class PoolFlow:
    """What went into and out of a pool."""

    pushes: int  # spills of the input pool to it
    pulls: int  # transfers its readers asked for
    pushed: bool = False  # in the last advance
    pulled: bool = False  # in the last advance
    gained: float = 0.0  # bits, over the last advance; less than 0: it lost


@dataclass(frozen=True, slots=True)
class ModelState:
    """The whole model at one moment."""

    seconds: float  # of the model, since its boot
    speed: int  # seconds of the model in a second, asked for
    reached: float  # the same as it was in the last advance
    nodes: int  # 0: the stock design; else pools behind /dev/urandom, one a node
    seed: str  # what it started from, in hexadecimal; empty: the clock
    feed: str  # where events come from, a few words
    left_out: int  # events of this machine there was no time for
    load: tuple[tuple[str, float], ...]  # events a second of the model made up, by kind
    fast_pools: tuple[FastPoolState, ...]
    sources: tuple[SourceState, ...]
    pools: tuple[PoolState, ...]  # input, blocking, then nonblocking by node
    flows: tuple[PoolFlow, ...]  # of each of `pools`
    readers: tuple[ReaderState, ...]
    read_wakeup: int  # bits
    write_wakeup: int  # bits, above which the input pool spills
    passed_above: float  # share of an output pool above which it gets nothing
    spread: tuple[tuple[int, ...], ...] = ()  # for each pool and word: bits a flipped bit changed
    spread_events: int = 0  # since the bit was flipped
