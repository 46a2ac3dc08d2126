"""What the entropy backend tells about the kernel's generator: frozen facts, standard library only.

Sources: Linux drivers/char/random.c of the versions named; proc(5); random(4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Era(Enum):
    """Generations of the generator, told apart by behaviour; values are interface."""

    BEFORE_3_17 = "before-3.17"  # no getrandom(2)
    SINCE_3_17 = "since-3.17"  # getrandom(2), blocking pool, moving estimate
    SINCE_5_6 = "since-5.6"  # /dev/random no longer blocks once ready, moving estimate
    SINCE_5_18 = "since-5.18"  # poolsize 256, falls at a reseed
    SINCE_5_19 = "since-5.19"  # poolsize 256, boot progress only
    LRNG = "lrng"  # the alternative generator LRNG
    REPLACED = "replaced"  # /dev/random is not character device 1:8
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HardwareSource:
    """The hardware generator the hw_random core uses."""

    current: str  # "virtio_rng.0", "none"
    available: tuple[str, ...] = ()
    quality: int | None = None  # entropy per 1024 bits of input; None where not told


@dataclass(frozen=True, slots=True)
class Reseed:
    """The clock of the generator's own reseeds."""

    generation: int  # counts the reseeds since boot, from 1
    seconds_since: float | None  # since the last reseed; None until one was seen to happen
    source: str  # "vdso"
    at_least: float = 0.0  # seconds it has been watched without a reseed: a lower bound


@dataclass(frozen=True, slots=True)
class Percentiles:
    """How long single calls took."""

    p50_ns: int
    p99_ns: int


@dataclass(frozen=True, slots=True)
class GetrandomLatency:
    """What 16 bytes from getrandom cost, through each way in."""

    syscall: Percentiles | None = None
    vdso: Percentiles | None = None


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast calls of getrandom give bytes, one caller alone."""

    nbytes: int  # a call
    syscall: float | None = None  # bytes/s
    vdso: float | None = None  # bytes/s


@dataclass(frozen=True, slots=True)
class StreamRate:
    """How many of the last blocks of getrandom's stream failed a test of FIPS 140-2."""

    blocks: int
    failures: int


@dataclass(frozen=True, slots=True)
class DeviceHolder:
    """A process that has a random device open."""

    device: str  # "/dev/urandom"
    pid: int
    name: str  # its command, at most 16 bytes


@dataclass(frozen=True, slots=True)
class GetrandomCaller:
    """A thread that called getrandom since the reading before."""

    pid: int  # of the thread
    name: str  # its command, at most 16 bytes
    calls: int
    nbytes: int  # asked for


@dataclass(frozen=True, slots=True)
class PoolTraffic:
    """What the kernel's tracepoints told of one pool since the reading before."""

    name: str  # "input", "blocking", "nonblocking"
    credited: int = 0  # bits
    debited: int = 0  # bits
    pushes: int = 0  # spills of the input pool to it
    pulled: int = 0  # bits its readers had it refilled with
    mixed: int = 0  # bytes
    extracted: int = 0  # bytes

    def __str__(self) -> str:
        """The pool and what moved: "input 64 bits credited, 12 B mixed"."""
        amounts = (
            (self.credited, "bits credited"), (self.debited, "bits debited"),
            (self.pushes, "spills"), (self.pulled, "bits pulled"), (self.mixed, "B mixed"),
            (self.extracted, "B extracted"),
        )  # fmt: skip
        shown = ", ".join(f"{amount:,} {what}" for amount, what in amounts if amount)
        return f"{self.name} {shown or 'unchanged'}"


@dataclass(frozen=True, slots=True)
class RandomEvents:
    """The trace events random:* of kernels 3.6 to 5.17 since the reading before."""

    counts: tuple[tuple[str, int], ...]  # event and how often it came, by name
    pools: tuple[PoolTraffic, ...]  # by name


@dataclass(frozen=True, slots=True)
class HardwareRate:
    """How fast the hardware source gave bytes when it was measured."""

    bytes_per_second: float
    nbytes: int  # read
    seconds: float  # it took
    monotonic: float  # when, CLOCK_MONOTONIC


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds the random devices; callers of getrandom hold none."""

    found: tuple[DeviceHolder, ...]  # by process id; the first ones where there are very many
    count: int  # of all that were found
    processes: int  # looked at
    hidden: int  # of these, whose descriptors this user may not see


@dataclass(frozen=True, slots=True)
class GeneratorEvent:
    """Something that happened to the generator."""

    monotonic: float  # seconds since boot, CLOCK_MONOTONIC: when it happened or was first seen
    kind: str  # "forced-reseed", "vm-fork", "resume", "seeded", "unseeded-read", "hwrng-lost", ...
    text: str  # in words; of the kernel log: its message


@dataclass(frozen=True, slots=True)
class Reading:
    """One sample of the live generator. None: this signal is not available here."""

    monotonic: float  # seconds, CLOCK_MONOTONIC
    era: Era
    ready: bool | None
    entropy_avail: int | None  # bits
    poolsize: int | None  # bits
    meaning: str  # one true sentence about the number on this kernel
    gauge: bool  # True: the number is a level that moves; False: progress to the seed or a reseed
    read_wakeup_threshold: int | None = None  # bits
    write_wakeup_threshold: int | None = None  # bits
    min_reseed_seconds: int | None = None
    hwrng: HardwareSource | None = None
    irq_per_second: float | None = None
    boot_id: str = ""
    unavailable: dict[str, str] = field(default_factory=dict)  # signal -> "needs root", ...
    alerts: tuple[str, ...] = ()  # "name: sentence"
    reseed: Reseed | None = None
    latency: GetrandomLatency | None = None
    irq_per_second_by_cpu: tuple[float, ...] = ()  # in the order of /proc/interrupts
    irq_count_by_cpu: tuple[int, ...] = ()  # since boot, in the same order
    random_readable: bool | None = None  # poll(/dev/random) says IN; not asked on old eras
    blocked_readers: int | None = None  # tasks asleep in the generator; looked for on old eras
    uptime_seconds: float | None = None
    kernel_generators: tuple[str, ...] = ()  # of the crypto API: "jitterentropy_rng", ...
    throughput: tuple[Throughput, ...] = ()  # by size of a call
    stream: StreamRate | None = None  # tested from the fifth sample on
    holders: Holders | None = None
    callers: tuple[GetrandomCaller, ...] | None = None  # None: not traced
    hwrng_rate: HardwareRate | None = None
    events: tuple[GeneratorEvent, ...] = ()  # the newest, by time
    forced_reseeds: int = 0  # seen since sampling began
    irq_cpus: tuple[int, ...] = ()  # the numbers of these CPUs; empty: from 0
    irq_seconds: float | None = None  # over which the interrupts were counted
    entropy_count: int | None = None  # bits, as RNDGETENTCNT tells; not asked on old eras
    lrng: tuple[tuple[str, str], ...] = ()  # what /proc/lrng_type tells: name and value
    logged: int | None = None  # lines about the generator seen in the kernel log; None: not read
    random_events: RandomEvents | None = None  # None: not traced
    log_overwritten: int = 0  # lines the kernel log had lost before they could be read
    vm_forks: int = 0  # told by the kernel log since boot, or seen since sampling began

    @property
    def cpu_numbers(self) -> tuple[int, ...]:
        """The CPU of each of `irq_per_second_by_cpu`; those offline are left out."""
        return self.irq_cpus or tuple(range(len(self.irq_per_second_by_cpu)))

    def quantities(self) -> dict[str, float]:
        """The numbers worth following over time, by name; those that are not known are absent.

        Names and units: irq (1/s), reseed (s since the last one), level (bits), latency and
        vdso (ns, median), blocked (readers).
        """
        latency = self.latency
        found = {
            "irq": self.irq_per_second,
            "reseed": self.reseed.seconds_since if self.reseed else None,
            "level": self.entropy_avail,
            "latency": latency.syscall.p50_ns if latency and latency.syscall else None,
            "vdso": latency.vdso.p50_ns if latency and latency.vdso else None,
            "blocked": self.blocked_readers,
        }
        return {name: float(value) for name, value in found.items() if value is not None}


QUANTITIES = ("irq", "reseed", "level", "latency", "vdso", "blocked")  # of Reading.quantities


@dataclass(frozen=True, slots=True)
class Extent:
    """What a quantity was over a span of time."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether one signal can be had on this machine, for `kdash doctor`."""

    name: str  # "entropy_avail", "reseed clock", ...
    verdict: str  # "ok", "warning", "failed"
    detail: str
    remedy: str = ""  # what to type or change; empty when there is nothing to do


@dataclass(frozen=True, slots=True)
class PoolState:
    """A pool of the Linux 4.3 model after an operation."""

    name: str  # "input", "blocking", "nonblocking"
    words: tuple[int, ...]  # u32
    entropy_count: int  # 1/8 bit
    entropy_total: int  # bits credited since the last reset of this counter
    size_bits: int
    initialized: bool
    add_ptr: int
    input_rotate: int


@dataclass(frozen=True, slots=True)
class CounterChange:
    """A counter that an event changed."""

    name: str  # as the kernel's source has it
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class WordChange:
    """A word that an event changed."""

    index: int
    before: int  # u32
    after: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything one event changed in one place: a pool, a fast pool, a source of events."""

    place: str  # "input", "nonblocking 1", "fast pool of CPU 3", "disk"
    counters: tuple[CounterChange, ...]
    words: tuple[WordChange, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelStep:
    """One operation on the 4.3 model as the pane shows it."""

    index: int  # ordinal, from 0
    operation: str  # "mix 16 bytes", "credit 8 bits", "extract 10 bytes"
    output: bytes  # what an extraction returned, else empty
    input: PoolState
    changed_words: frozenset[int] = frozenset()  # indexes of input words this step changed
    changes: tuple[Changes, ...] = ()  # of a step taken alone: everything it changed
