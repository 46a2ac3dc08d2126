"""The ways in and out of the Linux 4.3 generator: reads, writes, ioctls, poll, getrandom.

Source: Linux v4.3 drivers/char/random.c, functions named in the docstrings. A call that would
sleep returns ERESTARTSYS with `blocked` set, as if a signal had ended the sleep.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdash.backends.entropy.generator import Generator
from kdash.backends.entropy.pool import mix_pool_bytes

EAGAIN = 11
EINVAL = 22
ERESTARTSYS = 512
GRND_NONBLOCK = 1
GRND_RANDOM = 2
POLL_IN = 0x0001 | 0x0040  # POLLIN | POLLRDNORM
POLL_OUT = 0x0004 | 0x0100  # POLLOUT | POLLWRNORM
RANDOM_READ_BYTES = 512  # SEC_XFER_SIZE: the most one read of /dev/random returns
URANDOM_READ_BYTES = 0x7FFFFFFF >> 6  # INT_MAX in 1/8 bit, as bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call returned."""

    ret: int  # bytes, a count, or a negated errno
    out: bytes = b""
    blocked: bool = False  # the call would have slept


def read_random(generator: Generator, nbytes: int, *, nonblock: bool) -> Answer:
    """Read /dev/random: short reads, and sleep below the read threshold (_random_read)."""
    if not nbytes:
        return Answer(0)
    nbytes = min(nbytes, RANDOM_READ_BYTES)
    while True:
        before = generator.input.entropy_count
        out = generator.extract_entropy_user(generator.blocking, nbytes)
        if out:
            return Answer(len(out), out)
        if nonblock:
            return Answer(-EAGAIN)
        # The kernel tries again at once while the input pool is above the threshold; a try that
        # moved nothing would repeat for ever.
        if (
            generator.input.entropy_bits < generator.read_wakeup
            or generator.input.entropy_count == before
        ):
            return Answer(-ERESTARTSYS, blocked=True)


def read_urandom(generator: Generator, nbytes: int, node: int = 0) -> Answer:
    """Read /dev/urandom on a NUMA node: never sleeps, seeded or not (urandom_read)."""
    nbytes = min(nbytes, URANDOM_READ_BYTES)
    out = generator.extract_entropy_user(generator.reader_pool(node), nbytes)
    return Answer(len(out), out)


def getrandom(generator: Generator, nbytes: int, flags: int, node: int = 0) -> Answer:
    """Answer the system call of this name (SYSCALL_DEFINE3(getrandom))."""
    if flags & ~(GRND_NONBLOCK | GRND_RANDOM):
        return Answer(-EINVAL)
    nonblock = bool(flags & GRND_NONBLOCK)
    if flags & GRND_RANDOM:
        return read_random(generator, nbytes, nonblock=nonblock)
    if not generator.nonblocking.initialized:
        return Answer(-EAGAIN) if nonblock else Answer(-ERESTARTSYS, blocked=True)
    return read_urandom(generator, nbytes, node)


def get_random_bytes(generator: Generator, nbytes: int, node: int = 0) -> Answer:
    """Bytes for the kernel itself (get_random_bytes)."""
    out = generator.extract_entropy(generator.reader_pool(node), nbytes)
    return Answer(len(out), out)


def poll(generator: Generator) -> Answer:
    """What a poller of /dev/random is told, as a mask (random_poll)."""
    bits = generator.input.entropy_bits
    readable = POLL_IN if bits >= generator.read_wakeup else 0
    writable = POLL_OUT if bits < generator.write_wakeup else 0
    return Answer(readable | writable)


def write(generator: Generator, data: bytes, node: int = 0) -> Answer:
    """Write to either device: mixed into the output pools, never credited (random_write)."""
    for pool in generator.write_pools(node):
        mix_pool_bytes(pool, data)
    return Answer(len(data))


def ioctl_addentropy(generator: Generator, bits: int, data: bytes) -> Answer:
    """RNDADDENTROPY: mix into the input pool and credit (random_ioctl)."""
    if bits < 0:
        return Answer(-EINVAL)
    mix_pool_bytes(generator.input, data)
    generator.credit_safe(generator.input, bits)
    return Answer(0)


def ioctl_addtoentcnt(generator: Generator, bits: int) -> Answer:
    """RNDADDTOENTCNT: credit or debit the input pool, mixing nothing (random_ioctl)."""
    generator.credit_safe(generator.input, bits)
    return Answer(0)


def ioctl_getentcnt(generator: Generator) -> Answer:
    """RNDGETENTCNT: whole bits in the input pool (random_ioctl)."""
    return Answer(generator.input.entropy_bits)


def ioctl_zapentcnt(generator: Generator) -> Answer:
    """RNDZAPENTCNT and RNDCLEARPOOL: forget the counts, keep the words (random_ioctl)."""
    for pool in generator.pools:
        pool.entropy_count = 0
    return Answer(0)
