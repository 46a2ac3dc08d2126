"""What is wrong enough with a reading to wake somebody: "name: sentence" each."""

from __future__ import annotations

from kdash.backends.entropy.era import DRAINING
from kdash.backends.entropy.facts import Era, HardwareSource, Reading
from kdash.backends.entropy.hwrng import is_lost
from kdash.backends.entropy.stream_watch import is_failing

SEEDING_SECONDS = 30.0  # a machine that is not seeded this long after boot will not be soon
RESEED_SECONDS = 180.0  # the kernel reseeds every 60 s (CRNG_RESEED_INTERVAL, 5.18 on)
FORK_SECONDS = 600.0  # how long a fork of the machine is worth an alert
_RESEEDING = frozenset({Era.SINCE_5_18, Era.SINCE_5_19})

ALERTS = {  # name: when it is raised
    "would-block": "getrandom answers EAGAIN",
    "not-seeded": f"not seeded {SEEDING_SECONDS:.0f} s after boot",
    "reseed-late": f"no reseed for more than {RESEED_SECONDS:.0f} s",
    "hwrng-lost": "the hardware source is gone",
    "stream-failing": "tests of getrandom's stream fail more often than chance explains",
    "vm-fork": f"the virtual machine was cloned or restored within {FORK_SECONDS:.0f} s",
    "starving": "readers of /dev/random sleep below its threshold (kernels up to 5.5)",
}


def alerts_of(reading: Reading, last_hwrng: HardwareSource | None) -> tuple[str, ...]:
    """The alerts a reading gives cause for.

    Args:
        reading: What was read, complete but for its alerts.
        last_hwrng: The last hardware source that was seen in use before this reading.
    """
    alerts = []
    if reading.ready is False:
        alerts.append("would-block: getrandom answers EAGAIN, callers wait for the seed")
        uptime = reading.uptime_seconds
        if uptime is not None and uptime > SEEDING_SECONDS:
            alerts.append(f"not-seeded: still not seeded {uptime:.0f} s after boot")
    late = _late(reading)
    if late is not None:
        alerts.append(f"reseed-late: no reseed for {late:.0f} s, the kernel makes one every 60 s")
    if is_lost(last_hwrng, reading.hwrng):
        name = last_hwrng.current if last_hwrng else ""
        alerts.append(f"hwrng-lost: the hardware source {name} is gone")
    if reading.stream is not None and is_failing(reading.stream):
        alerts.append(
            f"stream-failing: {reading.stream.failures} of the last {reading.stream.blocks} "
            "blocks of getrandom failed FIPS 140-2; one in 1250 would be chance"
        )
    forked = next((e for e in reversed(reading.events) if e.kind == "vm-fork"), None)
    if forked is not None and reading.monotonic - forked.monotonic <= FORK_SECONDS:
        ago = max(0.0, reading.monotonic - forked.monotonic)
        alerts.append(
            f"vm-fork: this machine was cloned or restored {ago:.0f} s ago; what programs had "
            "drawn before may exist twice"
        )
    if _starving(reading):
        threshold = reading.read_wakeup_threshold
        below = "" if threshold is None else f", below the threshold of {threshold}"
        alerts.append(
            f"starving: {reading.blocked_readers} blocked in the generator with "
            f"{reading.entropy_avail} bits{below}"
        )
    return tuple(alerts)


def _late(reading: Reading) -> float | None:
    """Seconds without a reseed, where that is too many."""
    reseed = reading.reseed
    if reseed is None or reading.era not in _RESEEDING:
        return None
    seconds = reseed.seconds_since if reseed.seconds_since is not None else reseed.at_least
    return seconds if seconds > RESEED_SECONDS else None


def _starving(reading: Reading) -> bool:
    """Whether readers of a draining /dev/random sleep, below its threshold if that is known."""
    if reading.era not in DRAINING or reading.entropy_avail is None or not reading.blocked_readers:
        return False
    threshold = reading.read_wakeup_threshold
    return threshold is None or reading.entropy_avail < threshold
