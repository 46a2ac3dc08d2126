"""Keeps the Linux 4.3 model of the Entropy pane running beside the interface."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from kdash.backends.entropy.facts import ModelStep
from kdash.backends.entropy.model_facts import ModelState
from kdash.panes.entropy_sources import Model

PORTION = 20  # operations of many that are carried out before the interface may have its turn
PAUSE = 0.001  # seconds

_Operation = Callable[[Model], list[ModelStep]]


class ModelThread:
    """Steps a model in a thread of its own; the interface fetches what was done.

    The machine's interrupt counters can be slow to read on large hosts, so that reading them
    never holds up the interface.
    """

    def __init__(self, make: Callable[[], Model], period: float) -> None:
        """Prepare; `start` begins.

        Args:
            make: Builds the model, in the thread.
            period: Seconds between two steps.
        """
        self._make = make
        self._period = period
        self._lock = threading.Lock()
        self._model: Model | None = None
        self._snapshot: ModelState | None = None
        self._done: deque[ModelStep] = deque()
        self._asked: deque[tuple[_Operation, int]] = deque()
        self._wake = threading.Event()  # something is asked for, or the thread is to stop
        self._stopped = threading.Event()
        self._frozen = threading.Event()
        self._watched = True
        self._resting = False  # under the lock: time passed that the model has not taken in
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="entropy-model", daemon=True)

    def start(self) -> None:
        """Begin stepping."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and let go of what feeds the model."""
        self._stopped.set()
        self._wake.set()
        with self._lock:
            if self._model is not None:
                self._model.close()

    def pace(self, period: float) -> None:
        """Step every `period` seconds from the next step on."""
        self._period = period

    def freeze(self, frozen: bool) -> None:
        """Halt the live feed, or let it go on; operations asked for still run."""
        if frozen:
            self._frozen.set()
        else:
            self._frozen.clear()

    def watch(self, watched: bool) -> None:
        """Let the model rest while nobody watches, where it may; its clock is set on after that."""
        if watched and not self._watched:
            self._watched = True
            self._wake.set()
        self._watched = watched

    @property
    def model(self) -> Model | None:
        """The model once it is built."""
        return self._model

    @property
    def snapshot(self) -> ModelState | None:
        """The model as it stands after its latest step; a new one after each."""
        return self._snapshot

    @property
    def error(self) -> Exception | None:
        """What ended the thread, if something did."""
        return self._error

    def do(self, operation: _Operation) -> list[ModelStep]:
        """Run an operation between two steps of the feed; `take` hands its steps out.

        Raises:
            RuntimeError: The model is not built yet.
        """
        with self._lock:
            if self._model is None:
                raise RuntimeError("the model is not running yet")
            self._end_rest(self._model)
            steps = operation(self._model)
            self._done += steps
            self._snapshot = self._model.snapshot()
            return steps

    def ask(self, operation: _Operation, times: int) -> None:
        """Let the thread run an operation that often, in portions; `take` hands its steps out.

        Raises:
            RuntimeError: The model is not built yet.
        """
        if self._model is None:
            raise RuntimeError("the model is not running yet")
        self._asked.append((operation, times))
        self._wake.set()

    def take(self) -> list[ModelStep]:
        """The steps since the last call, oldest first."""
        # Without the lock, which a step may hold while it reads the machine's counters.
        return [self._done.popleft() for _ in range(len(self._done))]

    def _run(self) -> None:
        try:
            model = self._make()
            with self._lock:
                self._model = model
                self._snapshot = model.snapshot()
            self._advance(model)
        except Exception as error:  # noqa: BLE001 - told in the pane, whatever it is
            self._error = error

    def _advance(self, model: Model) -> None:
        """Let the model go on until the thread is to stop, but for pauses."""
        paused = False
        try:
            while not self._stopped.is_set():
                if self._wake.wait(self._period):
                    self._wake.clear()
                    self._carry_out(model)
                    with self._lock:
                        if self._watched and not self._stopped.is_set():
                            self._end_rest(model)
                    continue
                if self._frozen.is_set():
                    paused = True
                    continue
                with self._lock:
                    if self._stopped.is_set():
                        return
                    if paused:
                        paused = self._resting = False
                        model.skip()
                        continue
                    if not self._watched and model.may_rest:
                        self._resting = True
                        continue
                    self._end_rest(model)
                    if steps := model.advance():
                        self._done += steps
                        self._snapshot = model.snapshot()
        finally:
            with self._lock:
                model.close()

    def _end_rest(self, model: Model) -> None:
        """Set the clock of a model that rested on; the lock is held."""
        if self._resting:
            self._resting = False
            self._done += model.catch_up()
            self._snapshot = model.snapshot()

    def _carry_out(self, model: Model) -> None:
        """Run what was asked for."""
        while self._asked and not self._stopped.is_set():
            operation, times = self._asked.popleft()
            while times > 0 and not self._stopped.is_set():
                with self._lock:
                    self._end_rest(model)
                    for _ in range(min(PORTION, times)):
                        self._done += operation(model)
                    self._snapshot = model.snapshot()
                times -= PORTION
                self._stopped.wait(PAUSE)  # a lock is not handed to who waits for it
