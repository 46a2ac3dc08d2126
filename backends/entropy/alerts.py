"""What is wrong enough with a reading to wake somebody: "name: sentence" each."""

from __future__ import annotations

from kdash.backends.entropy.era import DRAINING
from kdash.backends.entropy.facts import HardwareSource, Reading
from kdash.backends.entropy.hwrng import is_lost

SEEDING_SECONDS = 30.0  # a machine that is not seeded this long after boot will not be soon


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
    if is_lost(last_hwrng, reading.hwrng):
        name = last_hwrng.current if last_hwrng else ""
        alerts.append(f"hwrng-lost: the hardware source {name} is gone")
    if _starving(reading):
        alerts.append(
            f"starving: {reading.blocked_readers} blocked in the generator with "
            f"{reading.entropy_avail} bits, below the threshold of {reading.read_wakeup_threshold}"
        )
    return tuple(alerts)


def _starving(reading: Reading) -> bool:
    """Whether readers of a draining /dev/random sleep below its threshold."""
    return (
        reading.era in DRAINING
        and reading.entropy_avail is not None
        and reading.read_wakeup_threshold is not None
        and reading.entropy_avail < reading.read_wakeup_threshold
        and bool(reading.blocked_readers)
    )
