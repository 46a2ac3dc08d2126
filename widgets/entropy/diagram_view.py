"""The diagram of the 2015 article, running: events, input pool, spill, output pools, readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.entropy.facts import ModelStep
from kdash.backends.entropy.model_facts import ModelState
from kdash.backends.wording import counted, factor
from kdash.widgets.entropy.diagram_boxes import joined
from kdash.widgets.entropy.diagram_inlet import event_lines, input_lines
from kdash.widgets.entropy.diagram_outlets import boxes_width, output_lines
from kdash.widgets.entropy.model_view import ModelView
from kdash.widgets.entropy.pool_map import strip_legend
from kdash.widgets.entropy.step_lines import change_lines, spread_lines
from kdash.widgets.entropy.tone_lines import Line, Span, wrapped
from kdash.widgets.key_names import key_of

ROOMY = 30  # lines from which on the words of the pools are drawn in their boxes


class DiagramView(ModelView):
    """Draws the model as it flows; asks for another design, clock or a flipped bit by messages."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "redesign", "Design", id="diagram.design",
                tooltip="Switch the 4.3 model between one pool for all readers and one a node"),
        Binding("plus,equals_sign", "clock(1)", "Faster", show=False, key_display="+",
                id="diagram.faster", tooltip="Let the clock of the 4.3 model run faster"),
        Binding("minus", "clock(-1)", "Slower", show=False, key_display="-",
                id="diagram.slower", tooltip="Let the clock of the 4.3 model run slower"),
        Binding("b", "flip", "Flip a bit", show=False, id="diagram.flip",
                tooltip="Flip a bit of the next event and follow how far the difference spreads"),
    ]  # fmt: skip

    class Redesign(Message):
        """The other design is to take over."""

    class Clock(Message):
        """The clock is to run faster or slower."""

        def __init__(self, direction: int) -> None:
            super().__init__()
            self.direction = direction  # 1 or -1

    class Flip(Message):
        """A bit of the next event is to be flipped in a twin, or the twin is to end."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state: ModelState | None = None
        self._step: ModelStep | None = None
        self._frozen = False

    def action_redesign(self) -> None:
        """Ask for the other design."""
        self.post_message(self.Redesign())

    def action_clock(self, direction: int) -> None:
        """Ask for another clock."""
        self.post_message(self.Clock(direction))

    def action_flip(self) -> None:
        """Ask for a flipped bit."""
        self.post_message(self.Flip())

    def set_frozen(self, frozen: bool) -> None:
        """Say whether the feed stands still."""
        self._frozen = frozen
        self.redraw()

    def show_model(self, state: ModelState, step: ModelStep | None) -> None:
        """Draw the model as it stands after its latest step."""
        self._state = state
        self._step = step or self._step
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """Lay the diagram out from the events above to the readers below."""
        failure = self.failure_lines(width)
        state = self._state
        if state is None:
            return failure or [(Span("starting the model of Linux 4.3", "muted"),)]
        roomy = height >= ROOMY
        across = boxes_width(state, width)
        lines = [
            *failure,
            *self._head(state, width),
            *([()] if roomy else []),
            *event_lines(state, width, across),
            *input_lines(state, across, words=roomy),
            *output_lines(state, width, words=roomy),
        ]
        lines += [(), *strip_legend(width)] if roomy else []
        lines += spread_lines(state, width)
        return [*lines, *self._step_lines(width)]

    def _head(self, state: ModelState, width: int) -> list[Line]:
        clock = f"clock x{state.speed}"
        slowed = 0 < state.reached < 0.95 * state.speed
        if slowed:
            clock += f", reached x{factor(state.reached)}"
        if state.nodes:
            design, other = f"PER NODE, {counted(state.nodes, 'node')}", "stock"
        else:
            design, other = "STOCK 4.3", "per node"
        key = key_of(self, "diagram.design", "d")
        seed = [Span(f"seed {state.seed[:16]}", "accent")] if state.seed else []
        made_up = ", ".join(f"{kind} {rate:g}/s" for kind, rate in state.load if rate)
        pieces = [
            Span("MODEL", "strong"),
            Span(clock, "warning" if slowed else "accent"),
            Span(f"{_time(state.seconds)} since boot"),
            Span(design, "strong"),
            Span(f"{key}: {other}", "muted"),
            *seed,
            Span(f"fed by {state.feed}", "muted"),
            *([Span(f"made up: {made_up}", "muted")] if made_up else []),
        ]
        if self._frozen:
            step, resume = (
                key_of(self, "entropy.step", "s"),
                key_of(self, "entropy.freeze", "space"),
            )
            pieces.insert(1, Span(f"FROZEN, {step} steps, {resume} resumes", "warning"))
        return joined(pieces, width)

    def _step_lines(self, width: int) -> list[Line]:
        step = self._step
        if step is None:
            return [(Span("no step yet: space freezes, s takes one event", "muted"),)]
        lines = wrapped(f"#{step.index} {step.operation}", width, "strong", indent="  ")
        if step.changes:
            return [*lines, *change_lines(step.changes, width)]
        return [
            *lines,
            (Span("space freezes; s takes one event and lists all it changes", "muted"),),
        ]


def _time(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
