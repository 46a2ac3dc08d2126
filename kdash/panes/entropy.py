"""The Entropy pane: wires the live sampler and the Linux 4.3 model to their views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from kdash.backends.entropy.facts import Reading
from kdash.panes import entropy_commands as commands
from kdash.panes import entropy_words as words
from kdash.panes.entropy_diagram import set_model
from kdash.panes.entropy_laboratory import Laboratory
from kdash.panes.entropy_model import PORTION
from kdash.panes.entropy_model_keys import EntropyModelKeys
from kdash.panes.entropy_model_words import Setting
from kdash.panes.entropy_sources import Sampler, status
from kdash.panes.entropy_views import CONTENTION, DIAGRAM, HEALTH, KERNEL
from kdash.settings import Settings
from kdash.widgets.entropy.health_view import HealthView
from kdash.widgets.entropy.series import Series
from kdash.widgets.pane import CommandError, CommandWord

ACTIONS = frozenset({"freeze", "step", "extract", "mix", "plot", "switch_view"})


class EntropyPane(EntropyModelKeys):
    """The kernel's generator as it is, and the pool of Linux 4.3 as it was."""

    WORDS: ClassVar[tuple[CommandWord, ...]] = words.WORDS

    LOOK: ClassVar[float] = 0.5  # seconds between two looks at what the threads left

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "freeze", "Freeze", id="entropy.freeze",
                tooltip="Freeze both views and the model, or go on"),
        Binding("s", "step", "Step pool", id="entropy.step",
                tooltip="One event into the 4.3 model"),
        Binding("x", "extract", "Extract", id="entropy.extract",
                tooltip="Extract up to 10 bytes from the 4.3 model"),
        Binding("m", "mix", "Mix", show=False, id="entropy.mix",
                tooltip="Mix this moment into the 4.3 model"),
        Binding("p", "plot", "Plot", show=False, id="entropy.plot",
                tooltip="Plot the next signal over time"),
        Binding("greater_than_sign", "switch_view(1)", "Next view", key_display=">",
                id="pane.next-view", tooltip="Show the next sub-view of this pane"),
    ]  # fmt: skip

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(id=id)
        self.settings = settings
        self._sampler: Sampler | None = None
        self._shown: Reading | None = None
        self._status = ""
        self._laboratory = self.make_laboratory()

    # -- sources ------------------------------------------------------------------------

    def make_sampler(self, interval: float) -> Sampler:
        """The sampler of this machine, looking every `interval` seconds."""
        from kdash.backends.entropy.sampler import EntropySampler
        from kdash.state_folder import history_path

        return EntropySampler("/", interval, kept=history_path())

    def make_laboratory(self) -> Laboratory:
        """The experiments on this machine."""
        return Laboratory()

    # -- threads ------------------------------------------------------------------------

    async def on_mount(self) -> None:
        """Start the threads and look at what they leave."""
        self.show_arranged()
        self._model.start()
        if await self._start_sampler():
            self.refresh_bindings()
            self.set_interval(self.LOOK, self._look)

    async def _start_sampler(self) -> bool:
        try:
            self._sampler = self.make_sampler(self.settings.interval)
            self._sampler.start()
        except Exception as error:  # noqa: BLE001 - the other panes go on whatever it is
            await self._fail(error)
            return False
        return True

    async def _fail(self, error: Exception) -> None:
        self._stop()
        self.refresh_bindings()
        await self.show_failure(
            f"The kernel's generator can't be watched: {error}",
            "Is /proc mounted, and readable for you? `kdash doctor` looks at every signal.",
            "The other panes go on; kdash started again tries again.",
        )

    def on_unmount(self) -> None:
        """End the threads."""
        self._stop()

    def _stop(self) -> None:
        self._model.stop()
        self._laboratory.stop()
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None

    # -- looking ------------------------------------------------------------------------

    async def _look(self) -> None:
        if self._sampler is None:
            return
        try:
            reading = self._sampler.latest()
        except Exception as error:  # noqa: BLE001 - the other panes go on whatever it is
            await self._fail(error)
            return
        if reading is not None:
            self._report(reading)
            if not self._frozen and reading is not self._shown:
                self._shown = reading
                self.kernel_view.show(reading, self._sampler.history, self._sampler.interval)
        self._look_at_model()
        self._laboratory.look(self.contention_view, self.health_view)

    def _report(self, reading: Reading) -> None:
        text, tone = status(reading)
        if text != self._status:
            self._status = text
            self.report_status(text, tone)

    def view_changed(self, index: int) -> None:
        """Show the view, or move to it where both are on screen."""
        self.show_arranged()
        self.focus_content()
        self.refresh_bindings()
        self._model.pace(self.STEP * (1 if index == DIAGRAM else self.CALM))
        if index == DIAGRAM:
            self._show_model()
        elif index == CONTENTION:
            self._laboratory.simulate()
        elif index == HEALTH:
            self._laboratory.test_once(self.health_view.source)

    # -- keys ---------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are offered where they have an effect on what is shown, none once it has failed."""
        if action not in ACTIONS:
            return super().check_action(action, parameters)
        laboratory = self.view in (CONTENTION, HEALTH)
        return self._sampler is not None and not (laboratory and action != "switch_view")

    def action_freeze(self) -> None:
        """Freeze both views and the feed of the model, or let them go on."""
        self._frozen = not self._frozen
        self._model.freeze(self._frozen)
        self.kernel_view.set_frozen(self._frozen)
        self.diagram.set_frozen(self._frozen)
        self._tell_feed()

    def action_plot(self) -> None:
        """Plot the next signal."""
        self.kernel_view.plot_next()
        self.reveal(KERNEL)

    def on_contention_view_measure(self) -> None:
        """Measure contention here, or stop doing so."""
        self._laboratory.measure()

    def on_health_view_test(self, event: HealthView.Test) -> None:
        """Test a stream, or stop doing so."""
        self._laboratory.test(event.source, again=event.again)

    # -- command prompt -----------------------------------------------------------------

    def complete(self, line: str) -> Sequence[str]:
        """Completions of a partly typed command line."""
        return words.complete(line)

    def run_command(self, line: str) -> str:
        """Carry out one line of the command prompt.

        Raises:
            CommandError: See kdash.panes.entropy_words, or the pane is not running.
        """
        command = words.parse(line)
        if self._sampler is None:
            raise CommandError("the Entropy pane is not running here")
        match command:
            case words.Plot(series):
                return self._plot(series)
            case words.Zoom(seconds):
                return self._zoom(seconds)
            case words.Callers(on):
                told = commands.trace_callers(self._sampler, on)
                self.reveal(KERNEL)
                return told
            case words.RandomEvents(on):
                told = commands.trace_random_events(self._sampler, on)
                self.reveal(KERNEL)
                return told
            case words.MeasureHwrng():
                told = commands.measure_hwrng(self._sampler)
                self.reveal(KERNEL)
                return told
            case words.Interval(seconds):
                self._sampler.interval = seconds
                return f"a reading every {seconds:g} s"
            case Setting():
                self._do(lambda model: set_model(model, command))
                self._tell_feed()
                return command.told
            case words.Step(count) if count > PORTION:
                return self._step_often(count)
            case _:
                return commands.told(self._do(commands.operation(command)))

    def _plot(self, series: Series) -> str:
        view = self.kernel_view
        if self._shown is not None and (absence := series.absence(self._shown)):
            raise CommandError(f"plot {series.name}: {absence}")
        view.plot(series)
        self.reveal(KERNEL)
        return ""

    def _zoom(self, seconds: float | None) -> str:
        if seconds is None:
            self.kernel_view.action_now()
        else:
            self.kernel_view.fit(seconds)
        self.reveal(KERNEL)
        return ""
