"""How fast a guest goes, from what successive snapshots say."""

from __future__ import annotations

from collections import deque

from kdash.backends.kvm.facts import IN_DEVICE, KEY_WANTED, Snapshot
from kdash.widgets.vcpu.status import amount

SPAN = 1.0  # seconds over which a rate is taken


class Rate:
    """Steps or exits a second over the last second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque()  # (seconds, steps, exits)

    def clear(self) -> None:
        """Forget what was seen: another run begins."""
        self._samples.clear()

    def add(self, now: float, snapshot: Snapshot) -> str:
        """Take one more snapshot into account.

        Args:
            now: A monotonic time in seconds.
            snapshot: The guest at that time.

        Returns:
            The rate in words; empty while there is too little to tell, and of a guest that waits
            for a key or a device.
        """
        if snapshot.detail == KEY_WANTED or snapshot.detail.startswith(IN_DEVICE):
            self.clear()
            return ""
        samples = self._samples
        samples.append((now, snapshot.steps, snapshot.exits_total))
        while now - samples[0][0] > SPAN and len(samples) > 2:
            samples.popleft()
        seconds = now - samples[0][0]
        if seconds <= 0:
            return ""
        steps = (samples[-1][1] - samples[0][1]) / seconds
        exits = (samples[-1][2] - samples[0][2]) / seconds
        return f"{amount(steps)} steps/s" if steps > 0 else f"{amount(exits)} exits/s"
