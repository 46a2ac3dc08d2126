"""The Linux 4.3 model in the Entropy pane: its thread, its views, and the keys that act on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from kdash.backends.entropy.facts import ModelStep
from kdash.backends.entropy.model_facts import ModelState
from kdash.panes.entropy_diagram import faster, feed_words, flipped, redesigned
from kdash.panes.entropy_model import ModelThread
from kdash.panes.entropy_sources import Model
from kdash.panes.entropy_views import POOL, EntropyViews
from kdash.widgets.entropy.diagram_view import DiagramView
from kdash.widgets.pane import CommandError

EXTRACTED = 10  # bytes: one extract_buf of Linux 4.3


class EntropyModelKeys(EntropyViews):
    """Runs the model beside the interface and shows what it does; subclasses start and look."""

    STEP: ClassVar[float] = 0.5  # seconds between two steps of the model's feed in the diagram
    CALM: ClassVar[int] = 2  # times as long between two steps elsewhere: each draws every word

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._model = ModelThread(self.make_model, self.STEP * self.CALM)
        self._frozen = False
        self._shown_model: ModelState | None = None
        self._last_step: ModelStep | None = None

    def make_model(self) -> Model:
        """The model of Linux 4.3, fed by this machine."""
        from kdash.backends.entropy.live_model import LiveModel

        return LiveModel()

    # -- looking --------------------------------------------------------------------------

    def _look_at_model(self) -> None:
        view = self.pool_view
        if self._model.error is not None:
            view.fail(f"The model ended: {self._model.error}")
            self.diagram.fail(f"The model ended: {self._model.error}")
            return
        self._model.watch(view.is_on_screen or self.diagram.is_on_screen)
        steps = self._model.take()
        if self._model.model is not None and view.empty:
            view.start(self._model.model.state())
        self._tell_feed(drawn=not steps)  # steps draw it, too
        view.add(steps)
        if steps:
            self._last_step = steps[-1]
        self._show_model()

    def _show_model(self) -> None:
        """Draw the model where it is on screen and something moved."""
        state = self._model.snapshot
        if state is None or state is self._shown_model or not self.diagram.display:
            return
        self._shown_model = state
        self.diagram.show_model(state, self._last_step)

    def _tell_feed(self, *, drawn: bool = True) -> None:
        state = self._model.snapshot
        feed = f"live, {feed_words(state)}" if state else "live"
        self.pool_view.set_feed("FROZEN, space resumes" if self._frozen else feed, drawn=drawn)

    # -- keys -----------------------------------------------------------------------------

    def action_step(self) -> None:
        """One step of the model."""
        self._by_key(lambda model: [model.step()])

    def action_extract(self) -> None:
        """Take 10 bytes out of the model's input pool."""
        self._by_key(lambda model: [model.extract(EXTRACTED)])

    def action_mix(self) -> None:
        """Mix the time of the key press into the model's input pool."""
        moment = time.monotonic_ns().to_bytes(8, "little")
        self._by_key(lambda model: [model.mix(moment)])

    def on_diagram_view_redesign(self) -> None:
        """Switch between both designs."""
        self._by_key(redesigned)

    def on_diagram_view_clock(self, event: DiagramView.Clock) -> None:
        """Let the model's clock run faster or slower."""
        self._by_key(lambda model: faster(model, event.direction))

    def on_diagram_view_flip(self) -> None:
        """Flip a bit, or follow the one that was flipped no more."""
        self._by_key(flipped)

    def _by_key(self, operation: Callable[[Model], list[ModelStep]]) -> None:
        try:
            self._do(operation)
        except CommandError as error:
            self.notify(str(error), severity="warning", markup=False)

    def _do(self, operation: Callable[[Model], list[ModelStep]]) -> list[ModelStep]:
        try:
            steps = self._model.do(operation)
        except RuntimeError as error:
            raise CommandError(str(error)) from None
        self._look_at_model()
        self.reveal(POOL)
        return steps

    def _step_often(self, count: int) -> str:
        """Let the model's thread take events, which here would hold up the keys."""
        try:
            self._model.ask(lambda model: [model.step()], count)
        except RuntimeError as error:
            raise CommandError(str(error)) from None
        self.reveal(POOL)
        return f"{count:,} events go into the model"
