"""The application shell: three panes, their keys, and what happens around them."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Input

from kdash.orderly_app import OrderlyApp
from kdash.panes.prompt_history import PromptHistory
from kdash.settings import Settings
from kdash.terminal import colour_count
from kdash.theme import ANSI, DARK, THEMES
from kdash.widgets.command_line import CommandLine
from kdash.widgets.command_words import HELP, THEME, explanation, meant
from kdash.widgets.key_line import KeyLine
from kdash.widgets.key_taker import KeyTaker
from kdash.widgets.notice import Notice
from kdash.widgets.pane import CommandError, Pane
from kdash.widgets.tab_line import TabLine
from kdash.widgets.too_small import TooSmall

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.filter import LineFilter

    from kdash.widgets.ascii_filter import AsciiFilter


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pane's class is; it is imported when the pane is built."""

    name: str
    title: str
    module: str
    attribute: str


PLACES = (
    Place("vcpu", "VCPU", "kdash.panes.vcpu", "VcpuPane"),
    Place("stack", "Stack", "kdash.panes.stack", "StackPane"),
    Place("entropy", "Entropy", "kdash.panes.entropy", "EntropyPane"),
)
OF_PROGRAM = (HELP, THEME)  # words of the prompt in every pane
LEAST = (48, 12)  # cells and lines; in less room no pane shows what it is for


def _key_provider() -> type[Provider]:
    """Imported when the palette is opened for the first time."""
    from kdash.palette import KeyProvider

    return KeyProvider


def _ascii_filter() -> AsciiFilter:
    """Imported where it is asked for."""
    from kdash.widgets.ascii_filter import AsciiFilter

    return AsciiFilter()


class FailedPane(Pane):
    """Stands where a pane could not even be built."""

    def __init__(self, title: str, error: Exception, *, id: str) -> None:
        super().__init__(id=id)
        self.border_title = title
        self._error = error

    def compose(self) -> ComposeResult:
        """Say what failed."""
        yield Notice(
            f"This pane can't be built: {type(self._error).__name__}: {self._error}",
            "The other panes go on. `kdash doctor` looks at what each pane needs.",
        )

    def on_mount(self) -> None:
        """Tell the tab line."""
        self.report_status("unavailable", "bad")


class KdashApp(OrderlyApp):
    """The dashboard. `run()` returns the exit status, None for an ordinary end."""

    TITLE = "kdash"
    CSS_PATH = "kdash.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_key_provider}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "show_pane(0)", "VCPU", show=False, id="app.vcpu", tooltip="The VCPU pane"),
        Binding("2", "show_pane(1)", "Stack", show=False, id="app.stack", tooltip="The stack pane"),
        Binding("3", "show_pane(2)", "Entropy", show=False, id="app.entropy",
                tooltip="The entropy pane"),
        Binding("z", "zoom", "Zoom", show=False, id="app.zoom", tooltip="This pane alone, or all"),
        # With priority, so that a line pasted or typed ahead reaches the prompt as a whole.
        Binding("colon", "command", "Command", show=False, id="app.command", priority=True,
                tooltip="Command prompt of this pane"),
        Binding("question_mark,f1", "help", "Help", key_display="?", id="app.help",
                tooltip="Every key, by pane"),
        Binding("f2", "tasks", "Try", show=False, id="app.tasks",
                tooltip="What to try: a task for each pane"),
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Leave kdash"),
        Binding("ctrl+q", "quit", show=False, id="app.quit-always", tooltip="Leave kdash"),
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, id="app.suspend",
                tooltip="Back to the shell; fg returns"),
    ]  # fmt: skip

    def __init__(self, settings: Settings, places: Sequence[Place] = PLACES) -> None:
        super().__init__()
        self._places = places
        self.settings = settings
        #: Columns from which the panes stand side by side; a terminal never has that many for 0.
        self._wide = settings.layout.side_by_side or sys.maxsize
        # Textual reads it from the class or, as here, from the instance.
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (self._wide, "-wide")]
        self.active = settings.pane
        self._panes: dict[int, Pane] = {}
        self._history = PromptHistory()
        self.all_built = False  # the panes behind the first picture stand as well
        for theme in THEMES.values():
            self.register_theme(theme)
        # Textual turns the terminal's own colours, which have no shade, into black on black
        # for NO_COLOR; the greys of a theme stay apart.
        own = colour_count() <= 16 and not self.no_color
        self.theme = settings.theme or (ANSI if own else DARK).name
        self._ascii = _ascii_filter() if settings.ascii else None

    # -- building -----------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Lay out the shell with the first pane; the others follow once it is on screen."""
        yield TabLine(tuple(place.title for place in self._places))
        with Horizontal(id="panes", classes="-zoomed" if self.settings.layout.zoomed else ""):
            yield self._build(self.active)
        yield CommandLine()
        yield KeyLine()
        yield TooSmall(*LEAST)

    def get_key_display(self, binding: Binding) -> str:
        """What stands for a key: its sign, in ASCII its name."""
        display = super().get_key_display(binding)
        return self._ascii.key_name(display) if self._ascii else display

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What changes every line on its way to the terminal."""
        filters = super().get_line_filters()
        return [*filters, self._ascii] if self._ascii else filters

    def get_default_screen(self) -> Screen[object]:
        """The screen, told its width from the start: the first picture is the final one."""
        screen = super().get_default_screen()
        screen.add_class("-wide" if self.size.width >= self._wide else "-narrow")
        return screen

    def _build(self, index: int) -> Pane:
        place = self._places[index]
        pane: Pane
        try:
            pane = getattr(import_module(place.module), place.attribute)(
                self.settings, id=place.name
            )
        except Exception as error:  # noqa: BLE001 - the other panes go on whatever it is
            pane = FailedPane(place.title, error, id=place.name)
        pane.set_class(index == self.active, "-active")
        pane.styles.width = f"{self.settings.layout.shares[index]}fr"
        self._panes[index] = pane
        return pane

    def on_load(self) -> None:
        """Give bindings their keys before the first hint names one."""
        if self.settings.keys:
            self.set_keymap(dict(self.settings.keys))

    def on_mount(self) -> None:
        """Set colours, then build the other panes behind the first picture."""
        self.app_resume_signal.subscribe(self, self._redraw)
        self.query_one(TabLine).set_active(self.active)
        self.call_after_refresh(self._first_picture)

    async def _first_picture(self) -> None:
        if not gc.isenabled():  # see kdash.commands.dashboard
            gc.freeze()
            gc.enable()
        if not isinstance(self.focused, Input):  # the prompt may have been opened already
            self._panes[self.active].focus_content()
        self.run_worker(self._build_others(), group="build", exit_on_error=False)

    async def _build_others(self) -> None:
        box = self.query_one("#panes", Horizontal)
        for index in range(len(self._places)):
            if index in self._panes:
                continue
            pane = self._build(index)
            later = [self._panes[i] for i in sorted(self._panes) if i > index]
            await box.mount(pane, before=later[0] if later else None)
            await asyncio.sleep(0)
        self.all_built = True
        seen = not self.query_one(TooSmall).is_shown
        if self.settings.guided and seen and not isinstance(self.screen.focused, Input):
            from kdash.panes.first_start import HINT, told_now

            if told_now():
                line = self.query_one(CommandLine)
                line.answer("\n".join(filter(None, [line.told, HINT])))

    def on_resize(self, event: events.Resize) -> None:
        """Say so where there is too little room; a widget that is hidden is not told."""
        for notice in self.query(TooSmall):
            notice.fit(*event.size)

    def _redraw(self, _: App[object]) -> None:
        """Draw everything: the terminal has forgotten the screen while kdash was suspended."""
        self.screen.refresh(layout=True)

    # -- panes --------------------------------------------------------------------------

    @property
    def active_pane(self) -> Pane:
        """The pane that has the keyboard."""
        return self._panes[self.active]

    def action_show_pane(self, index: int) -> None:
        """Give pane `index` the keyboard; on narrow terminals also the screen."""
        if index not in self._panes:
            return
        self._activate(index)
        self.active_pane.focus_content()

    def _activate(self, index: int) -> None:
        self.active = index
        for place, pane in self._panes.items():
            pane.set_class(place == index, "-active")
        self.query_one(TabLine).set_active(index)

    def on_descendant_focus(self) -> None:
        """The pane in which something got the focus is the active one; no prompt stays open.

        What has the focus now counts: the event may be older than a prompt, or than the key
        that went to another pane.
        """
        if self.focused is None:
            return
        within = self.focused.ancestors_with_self
        line = self.query_one(CommandLine)
        if line.is_open and line not in within:
            line.close()
        for index, pane in self._panes.items():
            if index != self.active and pane in within:
                self._activate(index)

    @on(TabLine.Selected)
    def _tab_selected(self, event: TabLine.Selected) -> None:
        self.action_show_pane(event.index)

    @on(Pane.StatusChanged)
    def _status_changed(self, event: Pane.StatusChanged) -> None:
        for index, pane in self._panes.items():
            if pane is event.pane:
                self.query_one(TabLine).set_status(index, event.text, event.tone)

    def action_zoom(self) -> None:
        """Show the active pane alone, or all of them again."""
        self.query_one("#panes").toggle_class("-zoomed")

    # -- command prompt -----------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A colon typed into a filter or the prompt is a colon; a guest's console takes all."""
        if isinstance(self.focused, KeyTaker) and self.focused.takes_keys:
            return False
        if action == "command" and isinstance(self.focused, Input):
            return False
        if action == "suspend_process" and self.settings.web:
            return False
        return super().check_action(action, parameters)

    async def action_command(self, text: str = "") -> None:
        """Open the prompt of the active pane, with `text` typed already."""
        lines = self._history.of(self._places[self.active].name)
        await self.query_one(CommandLine).open(self._complete, text, history=lines)

    def _complete(self, line: str) -> Sequence[str]:
        """Completions of a partly typed line: the pane's, and those of `help`."""
        found = list(self.active_pane.complete(line))
        word, blank, rest = line.partition(" ")
        if blank and word in (HELP.word, *HELP.aliases):
            words = (*self.active_pane.WORDS, *OF_PROGRAM)
            return [f"{word} {one.word}" for one in words if one.word.startswith(rest)]
        if blank and word == THEME.word:
            return [f"{word} {name}" for name in THEMES if name.startswith(rest)]
        if blank:
            return found
        return [*found, *(one.word for one in OF_PROGRAM if one.word.startswith(word))]

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What no key of ours does: the screenshot; a browser gets no file."""
        for command in super().get_system_commands(screen):
            if command.title == "Screenshot" and not self.settings.web:
                yield command

    @on(CommandLine.Closed)
    def _prompt_closed(self) -> None:
        if not self.query_one(CommandLine).is_open:  # opened again by keys typed ahead
            self.active_pane.focus_content()

    @on(CommandLine.Submitted)
    def _command(self, event: CommandLine.Submitted) -> None:
        line = self.query_one(CommandLine)
        self._history.add(self._places[self.active].name, event.line)
        word, _, rest = event.line.partition(" ")
        try:
            if word in (HELP.word, *HELP.aliases):
                self._help_on(rest.strip())
            elif word == THEME.word:
                line.answer(self._choose_theme(rest.strip()), title=f":{event.line}")
            else:
                line.answer(self.active_pane.run_command(event.line), title=f":{event.line}")
        except CommandError as error:
            line.answer(str(error), failed=True, title=f":{event.line}")

    def _help_on(self, wanted: str) -> None:
        """Explain one word of the prompt, or list all.

        Raises:
            CommandError: There is no such word.
        """
        pane = self.active_pane
        if not wanted:
            from kdash.widgets.help import HelpScreen, command_section

            self.push_screen(HelpScreen((command_section(pane),), f"{pane.NAME} commands"))
            return
        word = meant(wanted.removeprefix(":"), (*pane.WORDS, *OF_PROGRAM))
        self.query_one(CommandLine).answer(explanation(word), title=f":help {word.word}")

    def _choose_theme(self, name: str) -> str:
        """Draw in other colours; alone it tells which there are.

        Raises:
            CommandError: There is no such theme.
        """
        names = ", ".join(THEMES)
        if not name:
            return f"{self.theme}; there are {names}"
        if name not in self.available_themes:
            raise CommandError(f"theme: no {name!r}; there are {names}")
        self.theme = name
        return f"theme {name}"

    @on(Pane.Answered)
    def _answered(self, event: Pane.Answered) -> None:
        if event.pane is self.active_pane:
            self.query_one(CommandLine).answer(event.text, failed=event.failed)

    def on_key(self) -> None:
        """Any key puts the answer to the last command away."""
        self.query_one(CommandLine).answer("")

    def action_help(self) -> None:
        """Show every key, by pane."""
        from kdash.widgets.help import HelpScreen, sections

        self.push_screen(HelpScreen(sections(self, self.active_pane)))

    def action_tasks(self) -> None:
        """Show what to try in each pane."""
        from kdash.panes.first_start import tasks
        from kdash.widgets.help import HelpScreen

        self.push_screen(HelpScreen(tasks(dict(self.settings.keys)), "What to try"))
