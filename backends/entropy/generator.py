"""The three pools of the Linux 4.3 generator, wired: credit, spill, transfer, extraction.

Source: Linux v4.3 drivers/char/random.c, functions named in the docstrings. Locks, tracing and
scheduling are left out: one thread runs the model.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from kdash.backends.entropy.accounting import credited, debited, granted, safe_credit
from kdash.backends.entropy.extract import extract_buf
from kdash.backends.entropy.pool import (
    ENTROPY_SHIFT,
    EXTRACT_BYTES,
    INPUT_GEOMETRY,
    OUTPUT_GEOMETRY,
    Pool,
    mix_pool_bytes,
)

HZ = 250  # jiffies a second, as on the kernels the vectors were made for
INITIAL_JIFFIES = (-300 * HZ) & 0xFFFFFFFF  # five minutes before a 32-bit wrap
INITIALIZED_BITS = 128  # a pool counts as initialised above this credit
OUTPUT_POOL_BYTES = 128  # the most one transfer moves
UTS_BYTES = 390  # struct new_utsname


@dataclass(slots=True)
class Machine:
    """What the generator reads of the machine around it; set by whoever drives the model."""

    jiffies: int = INITIAL_JIFFIES  # u64
    cycles: int = 0  # u64, random_get_entropy
    ip: int = 0xFFFFFFFF81000000  # u64, return address of the interrupt
    ktime: int = 0  # ns, s64
    uts: bytes = bytes(UTS_BYTES)
    arch_random: deque[int] = field(default_factory=deque)  # u64, RDRAND
    arch_seed: deque[int] = field(default_factory=deque)  # u64, RDSEED


@dataclass(slots=True)
class Wakeups:
    """How often each queue of sleepers was woken."""

    readers: int = 0  # random_read_wait
    writers: int = 0  # random_write_wait
    seed_waiters: int = 0  # urandom_init_wait


class Generator:
    """The input pool and the two output pools behind /dev/random and /dev/urandom."""

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or Machine()
        self.input = Pool("input", INPUT_GEOMETRY, limit=True)
        self.blocking = Pool("blocking", OUTPUT_GEOMETRY, limit=True)
        self.nonblocking = Pool("nonblocking", OUTPUT_GEOMETRY, limit=False)
        self.read_wakeup = 64  # bits, random_read_wakeup_bits
        self.write_wakeup = 28 * 32  # bits, random_write_wakeup_bits
        self.min_reseed_seconds = 60  # random_min_urandom_seed
        self.fips = False
        self.fips_panics = 0  # equal consecutive outputs, where the kernel would stop
        self.wakeups = Wakeups()
        self.transfers = 0  # calls of _xfer_secondary_pool
        self.pushes = 0  # completed push works
        self.pushes_to: Counter[str] = Counter()  # the same by the pool's name
        self.pulls_of: Counter[str] = Counter()  # transfers that readers asked for, by pool
        self.queued: deque[Pool] = deque()  # output pools whose push work is pending
        self._last_spill = self.blocking

    @property
    def nonblocking_pools(self) -> tuple[Pool, ...]:
        """The pools behind /dev/urandom: one, but a design with more may say so."""
        return (self.nonblocking,)

    @property
    def ring(self) -> tuple[Pool, ...]:
        """The output pools in the order in which the input pool spills to them."""
        return (self.blocking, self.nonblocking)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Input, blocking, nonblocking."""
        return self.input, self.blocking, *self.nonblocking_pools

    def reader_pool(self, node: int) -> Pool:  # noqa: ARG002 - a design with more pools looks
        """The pool that a reader of /dev/urandom on a NUMA node takes from."""
        return self.nonblocking

    def event_pool(self) -> Pool:
        """Where events go: the nonblocking pool until it is initialised, then the input pool."""
        return self.input if self.nonblocking.initialized else self.nonblocking

    def write_pools(self, node: int) -> tuple[Pool, ...]:  # noqa: ARG002 - as above
        """The pools that a write on a NUMA node is mixed into."""
        return self.blocking, self.nonblocking

    def credit(self, pool: Pool, bits: int) -> None:
        """Account for `bits` of entropy, or debit when negative (credit_entropy_bits)."""
        if not bits:
            return
        pool.entropy_count = credited(pool.entropy_count, bits, pool.geometry)
        pool.entropy_total = _signed32(pool.entropy_total + bits)
        if not pool.initialized and pool.entropy_total > INITIALIZED_BITS:
            pool.initialized = True
            pool.entropy_total = 0
            if pool is self.nonblocking:
                self.seeded()
        if pool is self.input:
            if pool.entropy_bits >= self.read_wakeup:
                self.wakeups.readers += 1
            self._spill()

    def seeded(self) -> None:
        """The nonblocking pool was just initialised: whoever waits for that wakes."""
        self.wakeups.seed_waiters += 1

    def credit_safe(self, pool: Pool, bits: int) -> None:
        """Credit what user space asked for (credit_entropy_bits_safe)."""
        self.credit(pool, safe_credit(bits))

    def take_over(self, other: Generator) -> None:
        """Go on with the pools, counters and settings of a generator of another design."""
        for name in (
            "machine", "input", "blocking", "nonblocking", "read_wakeup", "write_wakeup",
            "min_reseed_seconds", "fips", "fips_panics", "wakeups", "transfers", "pushes",
            "pushes_to", "pulls_of",
        ):  # fmt: skip
            setattr(self, name, getattr(other, name))
        kept = {id(pool) for pool in self.pools}
        self.queued = deque(pool for pool in other.queued if id(pool) in kept)
        last = other._last_spill
        self._last_spill = last if id(last) in kept else self.blocking

    def _spill(self) -> None:
        """Queue a push to an output pool once the input pool holds enough (credit_entropy_bits).

        The pools take turns; one above three quarters is passed over.
        """
        source = self.input
        if not (
            source.entropy_bits > self.write_wakeup
            and source.initialized
            and source.entropy_total >= 2 * self.read_wakeup
        ):
            return
        ring = self.ring
        place = ring.index(self._last_spill)
        others = ring[place + 1 :] + ring[:place]
        self._last_spill = next(filter(self.has_room, others), self._last_spill)
        if self.has_room(self._last_spill):
            if not any(pool is self._last_spill for pool in self.queued):
                self.queued.append(self._last_spill)
            source.entropy_total = 0

    def has_room(self, pool: Pool) -> bool:
        """Whether the pool is at three quarters of its capacity or below."""
        return pool.entropy_count <= 3 * pool.geometry.frac // 4

    def run_work(self) -> None:
        """Run the pending push works, first come first served (push_to_pool)."""
        while self.queued:
            pool = self.queued.popleft()
            self._transfer(pool, self.read_wakeup // 8)
            self.pushes += 1
            self.pushes_to[pool.name] += 1

    def pull(self, pool: Pool, nbytes: int) -> None:
        """Refill an output pool that holds less than is asked (xfer_secondary_pool).

        The nonblocking pool pulls at most once in `min_reseed_seconds`; the attempt counts even
        when the input pool then has nothing to give.
        """
        if (
            pool is self.input
            or pool.entropy_count >= nbytes << (ENTROPY_SHIFT + 3)
            or pool.entropy_count > pool.geometry.frac
        ):
            return
        if not pool.limit and self.min_reseed_seconds:
            now = self.machine.jiffies
            if signed64(now - pool.last_pulled - self.min_reseed_seconds * HZ) < 0:
                return
            pool.last_pulled = now
        self.pulls_of[pool.name] += 1
        self._transfer(pool, nbytes)

    def _transfer(self, pool: Pool, nbytes: int) -> None:
        """Move bytes from the input pool to an output pool (_xfer_secondary_pool).

        A pull for /dev/urandom leaves a reserve behind for the readers of /dev/random.
        """
        self.transfers += 1
        smallest = self.read_wakeup // 8
        reserved = 0 if pool.limit else self.read_wakeup // 4
        nbytes = min(max(nbytes, smallest), OUTPUT_POOL_BYTES)
        data = self.extract_entropy(self.input, nbytes, minimum=smallest, reserved=reserved)
        mix_pool_bytes(pool, data)
        self.credit(pool, len(data) * 8)

    def account(self, pool: Pool, nbytes: int, *, minimum: int = 0, reserved: int = 0) -> int:
        """Grant and debit up to `nbytes` bytes; returns how many (account)."""
        nbytes = granted(
            pool.entropy_count, nbytes, limit=pool.limit, minimum=minimum, reserved=reserved
        )
        pool.entropy_count = debited(pool.entropy_count, nbytes)
        if nbytes and pool.entropy_bits < self.write_wakeup:
            self.wakeups.writers += 1
        return nbytes

    def extract_entropy(
        self, pool: Pool, nbytes: int, *, minimum: int = 0, reserved: int = 0
    ) -> bytes:
        """Extract for the kernel's own use, with the FIPS continuous test (extract_entropy)."""
        if self.fips and pool.last_data is None:
            self.pull(pool, EXTRACT_BYTES)
            pool.last_data = extract_buf(pool, self.machine.arch_random)
        self.pull(pool, nbytes)
        nbytes = self.account(pool, nbytes, minimum=minimum, reserved=reserved)
        return self._extract_loop(pool, nbytes, tested=self.fips)

    def extract_entropy_user(self, pool: Pool, nbytes: int) -> bytes:
        """Extract for user space (extract_entropy_user)."""
        self.pull(pool, nbytes)
        return self._extract_loop(pool, self.account(pool, nbytes), tested=False)

    def _extract_loop(self, pool: Pool, nbytes: int, *, tested: bool) -> bytes:
        """As many extractions as `nbytes` bytes take."""
        out = bytearray()
        while len(out) < nbytes:
            chunk = extract_buf(pool, self.machine.arch_random)
            if tested:
                self.fips_panics += chunk == pool.last_data
                pool.last_data = chunk
            out += chunk
        return bytes(out[:nbytes])


def _signed32(value: int) -> int:
    """The value as a signed 32-bit integer holds it."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def signed64(value: int) -> int:
    """The value as a signed 64-bit integer holds it."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)
