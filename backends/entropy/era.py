"""Which generation of the generator runs here, told by what it does, and what its number means.

Release numbers name the eras and never detect them: stable series took changes mid-life
(5.10.119, 5.15.70). Source: Linux drivers/char/random.c of the versions named.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdash.backends.entropy.facts import Era

MODERN_POOL_BITS = 256  # BLAKE2s state, 5.18 on
MOST_BITS = 1 << 20  # that a count or a size is believed to be
NO_PLAUSIBLE_NUMBER = "holds no plausible number"
RANDOM_DEVICE = (1, 8)  # character device numbers of the kernel's own /dev/random
DRAINING = frozenset({Era.BEFORE_3_17, Era.SINCE_3_17})  # reading /dev/random takes from the pool
MOVING = DRAINING | {Era.SINCE_5_6}  # entropy_avail is a level; 5.18's only counts to a reseed


@dataclass(frozen=True, slots=True)
class Traits:
    """What was seen of the generator. None: could not be seen."""

    poolsize: int | None = None  # bits
    read_wakeup_threshold: bool = False  # the sysctl is there
    getrandom: bool | None = None  # the system call is there
    insecure_flag: bool | None = None  # getrandom takes GRND_INSECURE
    vdso_getrandom: bool = False  # the vDSO has __vdso_getrandom
    fell_when_ready: bool = False  # entropy_avail was seen below poolsize on a seeded generator
    lrng: bool = False  # /proc/lrng_type is there
    random_device: tuple[int, int] | None = None  # major, minor; (0, 0): no character device


def era_of(traits: Traits) -> Era:
    """The era these traits belong to, `Era.UNKNOWN` where they tell too little."""
    if traits.lrng:
        return Era.LRNG
    if traits.random_device not in (None, RANDOM_DEVICE):
        return Era.REPLACED
    if traits.vdso_getrandom:
        return Era.SINCE_5_19
    if traits.poolsize == MODERN_POOL_BITS:
        return Era.SINCE_5_18 if traits.fell_when_ready else Era.SINCE_5_19
    if traits.read_wakeup_threshold:
        return Era.BEFORE_3_17 if traits.getrandom is False else Era.SINCE_3_17
    if traits.poolsize is not None and traits.poolsize > MODERN_POOL_BITS:
        if traits.getrandom is False:
            return Era.BEFORE_3_17
        return Era.SINCE_3_17 if traits.insecure_flag is False else Era.SINCE_5_6
    if traits.poolsize is None and traits.getrandom and traits.insecure_flag is False:
        return Era.SINCE_3_17
    return Era.UNKNOWN


def meaning(era: Era, avail: int | None, poolsize: int | None, ready: bool | None) -> str:
    """One sentence: what the number says on this kernel, whether to worry, what to do."""
    if era is Era.SINCE_5_19:
        return _boot_progress(avail, poolsize, ready)
    seeding = (
        " (not seeded yet: getrandom waits; give the machine a hardware source)"
        if ready is False
        else ""
    )
    return _MEANINGS[era] + seeding


def _boot_progress(avail: int | None, poolsize: int | None, ready: bool | None) -> str:
    size = poolsize or MODERN_POOL_BITS
    if ready is False:
        at = f"{avail} of {size} bits" if avail is not None else f"fewer than {size} bits"
        return (
            f"boot progress, {at} gathered: getrandom waits until {size} are in, so if this "
            "lasts more than seconds give the machine a hardware source such as virtio-rng"
        )
    if ready is None:
        return (
            f"boot progress: it rises to {size} once and stays there; a number below {size} "
            "matters during boot alone"
        )
    return (
        f"boot progress, complete: the generator is seeded and the number stays at {size} "
        "however much is read; there is nothing to worry about and nothing to do"
    )


_MEANINGS = {
    Era.BEFORE_3_17: (
        "estimated bits in the input pool: readers of /dev/random sleep when it is low, and "
        "nothing tells whether /dev/urandom was seeded, so keep it up with a hardware source"
    ),
    Era.SINCE_3_17: (
        "estimated bits in the input pool: only readers of /dev/random sleep when it is low, so "
        "let programs use getrandom, which never runs dry once seeded"
    ),
    Era.SINCE_5_6: (
        "estimated bits in the input pool, of no consequence once seeded: nobody waits for it, "
        "a low number is no alarm and haveged changes nothing"
    ),
    Era.SINCE_5_18: (
        "bits gathered for the next reseed: it falls to 0 at each reseed and fills again, so any "
        "value is normal once the generator is seeded"
    ),
    Era.LRNG: (
        "bits as the alternative generator LRNG counts them, not the kernel's own: read "
        "/proc/lrng_type to see its sources and whether it is seeded"
    ),
    Era.REPLACED: (
        "bits of the kernel's own generator, which readers of /dev/random do not reach here: "
        "another driver or program serves that device, so ask it about its state"
    ),
    Era.UNKNOWN: (
        "nothing that can be said: this kernel shows too little of its generator; see "
        "`kdash doctor` for what could not be read"
    ),
}
