"""The parts of the VCPU pane, placed by the room there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from textual import events
from textual.app import ComposeResult
from textual.geometry import NULL_OFFSET, NULL_SPACING, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

from kdash.backends.kvm.facts import KEY_WANTED, RecordingView, RunState, Snapshot
from kdash.widgets.vcpu.arrangement import PARTS, STATE_VIEWS, TALL, WIDE, Room, arrange, borders
from kdash.widgets.vcpu.console import ConsolePart
from kdash.widgets.vcpu.disassembly import DisassemblyView
from kdash.widgets.vcpu.exits import ExitList
from kdash.widgets.vcpu.memory import MemoryView
from kdash.widgets.vcpu.part import Tones
from kdash.widgets.vcpu.registers import RegisterView
from kdash.widgets.vcpu.screen import ScreenView
from kdash.widgets.vcpu.serial import SerialView
from kdash.widgets.vcpu.splits import COLUMN, Border, border_of
from kdash.widgets.vcpu.status import StatusLine

if TYPE_CHECKING:
    from kdash.widgets.vcpu.ending import EndingView
    from kdash.widgets.vcpu.state_view import StateView
    from kdash.widgets.vcpu.stops import StopsView
    from kdash.widgets.vcpu.timeline import Timeline


@runtime_checkable
class Copied(Protocol):
    """A part whose current line can be copied."""

    def copy_text(self) -> str:
        """What `y` copies."""


class PartsLayout(Layout):
    """Puts every part where `arrange` says."""

    name = "vcpu-parts"

    def arrange(
        self,
        parent: Widget,
        children: list[Widget],
        size: Size,
        greedy: bool = True,  # noqa: ARG002 - part of the interface
    ) -> ArrangeResult:
        """Place the children by their ids."""
        assert isinstance(parent, VcpuParts)
        places = arrange(parent.shared(size), parent.sole_part)
        return [
            WidgetPlacement(
                Region(place.x, place.y, place.width, place.height),
                NULL_OFFSET,
                NULL_SPACING,
                child,
            )
            for child in children
            if (place := places.get(child.id or ""))
        ]


class VcpuParts(Tones):
    """Status, registers, code, exits, serial and memory."""

    DEFAULT_CSS = """
    VcpuParts { height: 1fr; width: 1fr; overflow: hidden; }
    VcpuParts > LinePart, VcpuParts > ExitList { border-top: solid $border;
        border-title-color: $text-muted; }
    VcpuParts > LinePart:focus, VcpuParts > ExitList:focus-within { border-top: solid $primary;
        border-title-color: $text; border-title-style: bold; }
    VcpuParts > StatusLine, VcpuParts.-bare > RegisterView, VcpuParts > Timeline,
    VcpuParts > Timeline:focus { border-top: none; }
    """

    #: Names of the views, the overview first.
    VIEWS: ClassVar[tuple[str, ...]] = ("", *PARTS, *STATE_VIEWS)

    def __init__(self) -> None:
        super().__init__()
        self.view = ""
        self.memory_wanted = False  # asked for, so that it stands beside the others
        self.status = StatusLine(id="status")
        self.registers = RegisterView(id="registers")
        self.code = DisassemblyView(id="code")
        self.exits = ExitList(id="exits")
        self.serial = SerialView(id="serial")
        self.screen_text = ScreenView(id="screen")
        self.memory = MemoryView(id="memory")
        self.stops: StopsView | None = None  # made when it is first shown
        self.ending: EndingView | None = None  # made when a guest ends with more than a few words
        self._ending_wanted = False
        self._latest: Snapshot | None = None
        self.state: StateView | None = None  # made when it is first shown
        self.timeline: Timeline | None = None  # made when there is something to go back to
        self._timeline_shown = False
        self._recording: RecordingView | None = None
        self._moved: dict[str, int] = {}  # cells by which a person moved borders
        self._held: tuple[Border, int] | None = None  # by the mouse, and where it was
        self._layout = PartsLayout()
        self._registers_count = 0
        #: Of the guest that are shown: text screen, serial, source lines.
        self._outputs = (False, True, False)

    @property
    def layout(self) -> Layout:
        """The layout that knows the parts."""
        return self._layout

    @property
    def _framed(self) -> tuple[Widget, ...]:
        made = (
            part
            for part in (self.ending, self.stops, self.state, self.timeline)
            if part is not None
        )
        return (
            self.code, self.exits, self.serial, self.screen_text, self.memory, self.registers,
            *made,
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        """Yield the parts in the order in which Tab visits them."""
        yield self.status
        yield from self._framed

    def shared(self, size: Size) -> Room:
        """The room of `size`, with what the parts ask for."""
        return Room(
            size.width,
            size.height,
            self.memory_wanted,
            self._registers_lines,
            self._timeline_shown,
            self._ending_lines(size.width),
            self._moved,
            *self._outputs,
        )

    @property
    def sole_part(self) -> str:
        """Id of the part that has all the room, "" where they share it."""
        return "state" if self.view in STATE_VIEWS else self.view

    @property
    def focused_part(self) -> Copied | None:
        """The part that has the keyboard."""
        focused = self.screen.focused
        inside = focused is not None and self in focused.ancestors
        copied: object = focused if inside else None
        return copied if isinstance(copied, Copied) else None

    @property
    def console(self) -> ConsolePart:
        """The part that takes what is typed for the guest: the one with the keyboard, if one is."""
        focused = self.screen.focused
        if isinstance(focused, ConsolePart):
            return focused
        keyboard = self.screen_text.written or self.screen_text.wanted
        return self.screen_text if keyboard else self.serial

    @property
    def first_shown(self) -> Widget:
        """The part that Tab would visit first."""
        framed = (getattr(part, "table", part) for part in self._framed)
        for part in framed:
            if part.display and all(node.display for node in part.ancestors):
                return part
        return self.code

    def show(self, snapshot: Snapshot, before: Snapshot | None) -> None:
        """Draw the guest.

        Args:
            snapshot: The guest now.
            before: The previous stop, None when there was none.
        """
        if before is not None and before.vcpu != snapshot.vcpu:
            before = None  # another processor's registers say nothing about what changed
        single = (
            before is not None and snapshot.steps == before.steps + 1 and not snapshot.full_speed
        )
        self.registers.show(snapshot, before.registers if before else None)
        self.code.show(snapshot, before if single else None)
        self.exits.show(snapshot)
        self._latest = snapshot
        if self.stops is not None:
            self.stops.show(snapshot)
        self.serial.show(
            snapshot.serial,
            debug_port=snapshot.debug_port,
            live=snapshot.state is RunState.RUNNING,
        )
        self.screen_text.show(snapshot.screen)
        self.screen_text.want_keys(snapshot.detail == KEY_WANTED)
        self._place_outputs()
        self._show_ending(snapshot)
        self._show_timeline(snapshot.recording)
        if len(self.registers.lines) != self._registers_count:
            self._registers_count = len(self.registers.lines)
            self.refresh(layout=True)

    def _place_outputs(self) -> None:
        """The text screen is there once the guest wrote to it; what is empty makes room for it."""
        screen, serial = self.screen_text.written, self.serial.written
        self.serial.tell_elsewhere(screen and not serial)
        outputs = (screen or self.screen_text.has_focus,
                   serial or not screen or self.serial.has_focus,
                   self.code.sourced)  # fmt: skip
        if outputs != self._outputs:
            self._outputs = outputs
            self.rearrange()

    def _show_ending(self, snapshot: Snapshot) -> None:
        wanted = self._wants_ending(snapshot)
        if wanted or self.ending is not None:
            self._ending_view().show(snapshot)
        if wanted or self._ending_wanted:
            self._ending_wanted = wanted
            self.rearrange()

    def _wants_ending(self, snapshot: Snapshot) -> bool:
        if snapshot.state is not RunState.ENDED or not self.size:
            return False
        from kdash.widgets.vcpu.ending import is_wanted

        return is_wanted(snapshot, self.size.width)

    def _ending_view(self) -> EndingView:
        """How the guest ended costs nothing until it does."""
        if self.ending is None:
            from kdash.widgets.vcpu.ending import EndingView

            self.ending = EndingView(id="ending")
            self.mount(self.ending, before=self.code)
            if self._latest is not None:
                self.ending.show(self._latest)
        return self.ending

    def _ending_lines(self, width: int) -> int:
        """Lines for how the guest ended with its title, 0 where the status line says it all."""
        if self._latest is None or not self._ending_wanted:
            return 0
        from kdash.widgets.vcpu.ending import ending_lines

        return 1 + len(ending_lines(self._latest, width - 1))

    def _show_timeline(self, recording: RecordingView | None) -> None:
        self._recording = recording
        if self._wants_timeline() != self._timeline_shown:
            self.rearrange()
        if self.timeline is not None and recording is not None:
            self.timeline.show(recording)

    def _wants_timeline(self) -> bool:
        """On low screens the line is there only while the past is shown."""
        recording = self._recording
        if recording is None or recording.last == recording.first or not self.size:
            return False
        focused = self.timeline is not None and self.timeline.has_focus
        return recording.replay or focused or self.size.height >= TALL

    def _place_timeline(self) -> None:
        self._timeline_shown = self._wants_timeline()
        if self._timeline_shown and self.timeline is None and self._recording is not None:
            from kdash.widgets.vcpu.timeline import Timeline

            self.timeline = Timeline(id="timeline")
            self.timeline.show(self._recording)
            self.mount(self.timeline)

    def _registers_lines(self, width: int, full: bool) -> int:
        return self.registers.lines_needed(width, full=full)

    def expect(self, height: int) -> None:
        """Prepare for a height known before the first layout: that saves a pass of the styles."""
        self.set_class(height < TALL, "-bare")

    def show_view(self, view: str) -> None:
        """Give one part all the room, or share it with ""."""
        self.view = view
        self.exits.set_alone(view == "exits")
        if self._latest is not None:
            self.exits.show(self._latest)
        if view in STATE_VIEWS:
            self._state_view().show_view(view)
        if view == "stops" and self.stops is None:
            self._make_stops_view()
        if self.ending is not None or view == "ending":
            self._ending_view().set_alone(view == "ending")
        self.rearrange()

    def _make_stops_view(self) -> None:
        """The list of stop points costs nothing until it is asked for."""
        from kdash.widgets.vcpu.stops import StopsView

        self.stops = StopsView(id="stops")
        self.mount(self.stops)
        if self._latest is not None:
            self.stops.show(self._latest)

    def _state_view(self) -> StateView:
        """The list of state that is read on demand, made when it is first asked for."""
        if self.state is None:
            from kdash.widgets.vcpu.state_view import StateView

            self.state = StateView(id="state")
            self.mount(self.state)
        return self.state

    def rearrange(self) -> None:
        """Place the parts anew; parts without a place can't have the keyboard."""
        if not self.size:
            return
        self._place_timeline()
        if self._latest is not None:
            self._ending_wanted = self._wants_ending(self._latest)
            if self._ending_wanted:
                self._ending_view()
        room = self.shared(self.size)
        self.set_class(not room.titled and self.view != "registers", "-bare")
        self.code.source_beside = room.width >= WIDE
        places = arrange(room, self.sole_part)
        for part in self._framed:
            part.display = part.id in places
        # A child's wish makes Textual forget the places it keeps for this size.
        self.status.refresh(layout=True)

    # -- borders ------------------------------------------------------------------------

    def _borders(self) -> list[Border]:
        return borders(arrange(self.shared(self.size), self.sole_part))

    def move_border(self, dx: int, dy: int) -> None:
        """Move the border of the part that has the keyboard by cells."""
        focused = self.screen.focused
        part = next((one for one in self._framed if focused and one in focused.ancestors_with_self),
                    None)  # fmt: skip
        places = arrange(self.shared(self.size), self.sole_part)
        place = None if part is None else places.get(part.id or "")
        if part is None or place is None:
            return
        end = (place.x, place.y + place.height)
        if border := border_of(borders(places), part.id or "", end, sideways=dx != 0):
            self._move(border.name, dx + dy)

    def _move(self, name: str, by: int) -> None:
        before = arrange(self.shared(self.size), self.sole_part)
        kept = self._moved.get(name, 0)
        self._moved[name] = kept + by
        if arrange(self.shared(self.size), self.sole_part) == before:
            self._moved[name] = kept  # it is at its end
        else:
            self.rearrange()

    @property
    def moved(self) -> dict[str, int]:
        """Cells by which a person moved borders, by name."""
        return dict(self._moved)

    def put_borders(self, moved: Mapping[str, int]) -> None:
        """Put borders where a person had moved them, before the parts are on screen."""
        self._moved = dict(moved)

    def reset_borders(self) -> None:
        """Put the borders where they were at first."""
        self._moved.clear()
        self.rearrange()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the border under the mouse."""
        x, y = event.screen_x - self.region.x, event.screen_y - self.region.y
        border = next((one for one in self._borders() if one.holds(x, y)), None)
        if border is not None:
            self._held = (border, x if border.name == COLUMN else y)
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The border goes with the mouse."""
        if self._held is not None:
            border, before = self._held
            sideways = border.name == COLUMN
            now = event.screen_x - self.region.x if sideways else event.screen_y - self.region.y
            if now != before:
                self._move(border.name, now - before)
                self._held = (border, now)

    def on_mouse_up(self) -> None:
        """Let go of the border."""
        if self._held is not None:
            self._held = None
            self.release_mouse()

    def on_resize(self) -> None:
        """The room changed."""
        self.rearrange()
