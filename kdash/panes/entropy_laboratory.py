"""Runs the Entropy pane's experiments beside the interface, one at a time and cancellable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from kdash.backends.entropy.contention_facts import Contention, Point
from kdash.backends.entropy.health_facts import Health
from kdash.widgets.entropy.contention_view import ContentionView
from kdash.widgets.entropy.health_view import HealthView

SIMULATED_SOCKETS = (1, 2, 3, 4, 6, 8)
SIMULATED_READS = 4000  # a point: enough for three digits, and done in a second

_Found = TypeVar("_Found")

# What an experiment does: yields what it has so far; calls its argument now and then, which
# raises when the experiment is to end.
Work = Callable[[Callable[[], None]], Iterator[_Found]]


class Cancelled(Exception):  # noqa: N818 - a way to end, not an error
    """The experiment was ended by the person."""


class Experiment(Generic[_Found]):
    """Work in a thread of its own that tells what it has so far."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self.latest: _Found | None = None
        self.error = ""  # what ended it, if something did
        self.changes = 0  # grows with everything it tells

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Work[_Found]) -> None:
        """Begin anew."""
        self.cancel()
        with self._lock:  # what went on before has nothing more to tell
            cancelled = self._cancelled = threading.Event()
            self.latest, self.error = None, ""
            self.changes += 1
        self._thread = threading.Thread(
            target=self._run, args=(work, cancelled), name=self._name, daemon=True
        )
        self._thread.start()

    def cancel(self) -> None:
        """End it soon; what it found so far stays."""
        self._cancelled.set()

    def _run(
        self,
        work: Work[_Found],
        cancelled: threading.Event,
    ) -> None:
        def step() -> None:
            if cancelled.is_set():
                raise Cancelled

        try:
            for found in work(step):
                self._tell(cancelled, found, "")
        except Cancelled:
            pass
        except Exception as error:  # noqa: BLE001 - the pane goes on whatever it is
            self._tell(cancelled, None, str(error) or type(error).__name__)

    def _tell(self, cancelled: threading.Event, found: _Found | None, error: str) -> None:
        with self._lock:
            if cancelled is not self._cancelled or cancelled.is_set():
                return
            if error:
                self.error = error
            else:
                self.latest = found
            self.changes += 1


def measured(step: Callable[[], None]) -> Iterator[Contention]:
    """Contention on this machine."""
    from kdash.backends.entropy.contention import experiment

    return experiment(step=step)


def simulated(step: Callable[[], None]) -> Iterator[tuple[Point, ...]]:
    """Machines of one to eight sockets, with one pool for all, one a node and one a processor."""
    from kdash.backends.entropy.queueing import THREADS_A_SOCKET, simulate

    points: list[Point] = []
    for sockets in SIMULATED_SOCKETS:
        threads = sockets * THREADS_A_SOCKET
        for nodes in sorted({1, sockets, threads}):
            points.append(simulate(sockets, threads, nodes, reads=SIMULATED_READS, step=step))
    yield tuple(points)


def tested(source: str) -> Work[Health]:
    """The tests of one source's next bytes."""

    def work(step: Callable[[], None]) -> Iterator[Health]:
        from kdash.backends.entropy.health.sources import LIVE_BYTES, live_bytes
        from kdash.backends.entropy.health.stream import HealthStream

        stream = HealthStream(compression=True)
        for piece in live_bytes(source, LIVE_BYTES):
            step()
            stream.feed(piece)
        yield stream.health()

    return work


class Laboratory:
    """The experiments of the pane, and what their views are told."""

    def __init__(
        self,
        measured: Work[Contention] = measured,
        simulated: Work[tuple[Point, ...]] = simulated,
        tested: Callable[[str], Work[Health]] = tested,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            measured: The measurement of contention on this machine.
            simulated: The simulation of larger machines.
            tested: Gives the tests of a source of the name given.
        """
        self._works = (measured, simulated)
        self._tests = tested
        self._measured = Experiment[Contention]("entropy-contention")
        self._simulated = Experiment[tuple[Point, ...]]("entropy-queueing")
        self._tested = Experiment[Health]("entropy-health")
        self._source = ""
        self._shown = (-1, -1, -1)
        self._were_running = (False, False)

    def stop(self) -> None:
        """End all of them soon."""
        for experiment in (self._measured, self._simulated, self._tested):
            experiment.cancel()

    def measure(self) -> None:
        """Measure contention, or stop measuring."""
        if self._measured.running:
            self._measured.cancel()
        else:
            self._measured.start(self._works[0])

    def simulate(self) -> None:
        """Simulate larger machines, once."""
        if self._simulated.latest is None and not self._simulated.running:
            self._simulated.start(self._works[1])

    def test_once(self, source: str) -> None:
        """Test a source unless one was tested already."""
        if not self._source:
            self.test(source, again=True)

    def test(self, source: str, *, again: bool) -> None:
        """Test a source, or stop testing unless it is to be tested again."""
        if self._tested.running and not again:
            self._tested.cancel()
            return
        self._source = source
        self._tested.start(self._tests(source))

    def look(self, contention: ContentionView, health: HealthView) -> None:
        """Draw what is new."""
        changes = (self._measured.changes, self._simulated.changes, self._tested.changes)
        running = (self._measured.running, self._tested.running)
        if changes == self._shown and running == self._were_running:
            return
        self._shown, self._were_running = changes, running
        self._show_measured(contention)
        contention.show_simulated(self._simulated.latest or ())
        error = self._tested.error
        state = error or (f"reading {self._source}; r stops" if running[1] else "")
        health.show_health(self._tested.latest, state, failed=bool(error))

    def _show_measured(self, view: ContentionView) -> None:
        found, error = self._measured.latest, self._measured.error
        if error:
            view.show_measured(found, error, failed=True)
        elif self._measured.running:
            done = f"{len(found.points)} of {found.planned} points" if found else "the first point"
            view.show_measured(found, f"measuring, {done}; r stops")
        else:
            view.show_measured(found, "")
