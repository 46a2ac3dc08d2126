"""Every credit, debit and spill of the kernel's pools, told by its own tracepoints, on request.

Source: trace events random:* of Linux 3.6 to 5.17, include/trace/events/random.h. A line's order of
words depends on the version ("pool input bits 3", later "input pool: bits 3"), the words do not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from kdash.backends.entropy.facts import PoolTraffic, RandomEvents
from kdash.backends.entropy.procfs import NOT_ON_THIS_KERNEL, Root, Unavailable
from kdash.backends.entropy.trace_instance import EVENT_LINE, TraceInstance

# Not prandom_u32, which comes thousands of times a second and takes nothing from a pool.
EVENTS = (
    "credit_entropy_bits", "debit_entropy", "push_to_pool", "xfer_secondary_pool",
    "mix_pool_bytes", "mix_pool_bytes_nolock", "extract_entropy", "extract_entropy_user",
    "add_device_randomness", "add_input_randomness", "add_disk_randomness",
    "get_random_bytes", "random_read", "urandom_read",
)  # fmt: skip
ASK = "kdash entropy watch --random-events, in the pane :random-events on"
MOST_POOLS = 16  # that are told one by one; there were three, then one
_POOL = re.compile(r"(?:pool (\w{1,32})|(\w{1,32})(?: pool)?:) ")
_NUMBER = re.compile(r"([a-z_]{1,40}) (-?\d{1,10})(?!\S)")
_AMOUNTS = {  # event: what of PoolTraffic its number adds to, and the number's name
    "credit_entropy_bits": ("credited", "bits"),
    "debit_entropy": ("debited", "debit_bits"),
    "xfer_secondary_pool": ("pulled", "xfer_bits"),
    "mix_pool_bytes": ("mixed", "bytes"),
    "mix_pool_bytes_nolock": ("mixed", "bytes"),
    "extract_entropy": ("extracted", "nbytes"),
    "extract_entropy_user": ("extracted", "nbytes"),
}


class RandomTrace(TraceInstance):
    """Adds up what the pools do from `start` on."""

    def __init__(self, root: Root) -> None:
        super().__init__(root, "random", (), ASK)

    def check(self) -> None:
        """See which of the events there are, and whether they could be gathered.

        Raises:
            Unavailable: There are none, or they can't.
        """
        folder = self.tracing / "events/random"
        self._events = tuple(f"random/{name}" for name in EVENTS if (folder / name).is_dir())
        super().check()
        if not self._events:
            raise Unavailable(NOT_ON_THIS_KERNEL)

    def read(self) -> RandomEvents:
        """What happened since the last look.

        Raises:
            Unavailable: It can't be told.
        """
        return random_events_of(self.lines())


def random_events_of(lines: Iterable[bytes]) -> RandomEvents:
    """Add up the events in lines of a trace; lines that tell nothing else are skipped."""
    counts: Counter[str] = Counter()
    pools: dict[str, Counter[str]] = {}
    for line in lines:
        found = EVENT_LINE.fullmatch(line)
        name = found[4].decode() if found else ""
        if found is None or name not in EVENTS:
            continue
        counts[name] += 1
        text = found[5].decode("latin-1") + " "
        pool = _POOL.match(text)
        owner = (pool[1] or pool[2]) if pool else ""
        if not owner or (owner not in pools and len(pools) >= MOST_POOLS):
            continue
        traffic = pools.setdefault(owner, Counter())
        if name == "push_to_pool":
            traffic["pushes"] += 1
        elif name in _AMOUNTS:
            amount, word = _AMOUNTS[name]
            traffic[amount] += max(0, int(dict(_NUMBER.findall(text)).get(word, 0)))
    return RandomEvents(
        tuple(sorted(counts.items())),
        tuple(PoolTraffic(name, **traffic) for name, traffic in sorted(pools.items())),
    )
