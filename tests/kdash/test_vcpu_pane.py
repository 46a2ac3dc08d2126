"""The VCPU pane: on snapshots given, and on the real thing where there is /dev/kvm."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Static

from kdash.app import KdashApp, Place
from kdash.backends.kvm.condition_words import ConditionError
from kdash.backends.kvm.facts import (
    KEY_WANTED,
    Exit,
    GuestError,
    Instruction,
    KvmError,
    Outcome,
    RecordingView,
    Registers,
    RunState,
    Snapshot,
    SourceLine,
    StopKind,
    StopPoint,
    TextScreen,
    VcpuBrief,
    VcpuState,
)
from kdash.backends.kvm.guests import article_guest
from kdash.backends.kvm.run import Request, run_guest
from kdash.backends.kvm.stop_requests import Wanted
from kdash.backends.kvm.symbols import Symbols
from kdash.commands.dashboard import read_settings
from kdash.panes.vcpu import VcpuPane
from kdash.panes.vcpu_borders import kept_borders
from kdash.panes.vcpu_guest import status_words
from kdash.settings import Settings
from kdash.widgets.command_line import CommandLine
from kdash.widgets.key_line import KeyLine
from kdash.widgets.notice import Notice
from kdash.widgets.pane import CommandError
from kdash.widgets.vcpu.part import LinePart
from kdash.widgets.vcpu.parts import VcpuParts
from tests.widgets.vcpu.made import io_exit, listing, snapshot

SMALL, LARGE = (80, 24), (160, 48)
PATIENCE = 1000  # looks


class NothingToSee:
    """Refuses whatever is asked of the machine."""

    def __getattr__(self, name: str) -> Any:
        raise KvmError(f"KVM lacks what {name} needs", "use a newer kernel")


class GivenSession:
    """Hands out snapshots made by hand, and remembers what was asked."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self.snapshots = list(snapshots)
        self.asked: list[Any] = []
        self.memory = bytes(range(256)) * 256
        self.refusal: Exception | None = None
        self.symbols = Symbols()
        self.closed = False
        self.inspector: Any = NothingToSee()

    def snapshot(self) -> Snapshot:
        return self.snapshots[0]

    def earlier_exits(self, index: int, count: int) -> tuple[Exit, ...]:
        self.asked.append(("earlier", index, count))
        return ()

    def code(self, ip: int, count: int) -> tuple[Instruction, ...]:
        self.asked.append(("code", ip, count))
        return ()

    def _answer(self, *asked: object) -> Future[Snapshot]:
        self.asked.append(asked if len(asked) > 1 else asked[0])
        answer: Future[Snapshot] = Future()
        if self.refusal is not None:
            answer.set_exception(self.refusal)
            return answer
        if len(self.snapshots) > 1:
            del self.snapshots[0]
        answer.set_result(self.snapshots[0])
        return answer

    def step(self, count: int = 1) -> Future[Snapshot]:
        return self._answer("step", count)

    def step_over(self) -> Future[Snapshot]:
        return self._answer("over")

    def run(self) -> Future[Snapshot]:
        return self._answer("run")

    def run_stepped(self) -> Future[Snapshot]:
        return self._answer("continue")

    def run_until(self, ip: int) -> Future[Snapshot]:
        return self._answer("until", ip)

    def pause(self) -> Future[Snapshot]:
        return self._answer("pause")

    def restart(self) -> Future[Snapshot]:
        return self._answer("restart")

    def set_register(self, name: str, value: int, confirm: bool = False) -> Future[Snapshot]:
        if value >> 64:
            raise ValueError(f"{name}: does not fit 64 bits")
        return self._answer("set", name, value)

    def step_back(self, count: int = 1) -> Future[Snapshot]:
        return self._answer("back", count)

    def reverse_next(self) -> Future[Snapshot]:
        return self._answer("back over")

    def reverse_continue(self) -> Future[Snapshot]:
        return self._answer("back to a stop")

    def seek(self, moment: int) -> Future[Snapshot]:
        return self._answer("seek", moment)

    def run_from_here(self) -> Future[Snapshot]:
        return self._answer("from here")

    def save_recording(self, path: str) -> Future[Snapshot]:
        return self._answer("save", path)

    def save_snapshot(self, path: str) -> Future[Snapshot]:
        return self._answer("save moment", path)

    def add_breakpoint(self, ip: int) -> Future[Snapshot]:
        return self._answer("break", ip)

    def remove_breakpoint(self, ip: int) -> Future[Snapshot]:
        return self._answer("delete", ip)

    def send_serial(self, data: bytes) -> Future[Snapshot]:
        return self._answer("serial", data)

    def send_keys(self, data: bytes) -> Future[Snapshot]:
        return self._answer("keys", data)

    def select_vcpu(self, index: int) -> Future[Snapshot]:
        return self._answer("vcpu", index)

    def write_memory(self, linear_address: int, data: bytes, confirm: bool = False) -> Future[int]:
        self.asked.append(("write", linear_address, data))
        end = linear_address + len(data)
        self.memory = self.memory[:linear_address] + data + self.memory[end:]
        self.snapshots[0] = replace(self.snapshots[0])
        written: Future[int] = Future()
        written.set_result(len(data))
        return written

    def add_stop(self, wanted: Wanted) -> Future[int]:
        answer: Future[int] = Future()
        if "nowhere" in wanted.condition:
            raise ConditionError(wanted.condition, 0, "'nowhere' is no register and no symbol")
        self.asked.append(("stop", wanted))
        answer.set_result(1)
        return answer

    def remove_stop(self, number: int) -> Future[Snapshot]:
        return self._answer("forget", number)

    def ignore_stop(self, number: int, count: int) -> Future[Snapshot]:
        return self._answer("ignore", number, count)

    def run_to_exit(
        self, kind: str | None = None, port: int | None = None, address: int | None = None
    ) -> Future[Snapshot]:
        return self._answer("exit", kind, port, address)

    def read_memory(self, linear_address: int, length: int, timeout: float = 5.0) -> bytes:
        return self.memory[linear_address : linear_address + length]

    def inspect(self, question: Callable[[Any], Any], timeout: float = 5.0) -> Any:
        return question(self.inspector)

    write_physical = write_memory

    def close(self) -> None:
        self.closed = True


def stopped_by_a_watchpoint() -> Snapshot:
    return snapshot(
        state=RunState.STOPPED,
        breakpoints=frozenset({0x1003}),
        stops=(
            StopPoint(1, StopKind.BREAKPOINT, "main", 0x1003, condition="rax == 5", hardware=True),
            StopPoint(2, StopKind.WATCH, "0x2000:4", 0x2000, 4, ignore=7, hits=3),
        ),
        stopped_at=(2,),
        detail="watchpoint 2: 0x0 -> 0x5",
        step_rate=40_000.0,
    )


class GivenPane(VcpuPane):
    def __init__(self, session: GivenSession | Exception) -> None:
        super().__init__(Settings(), id="vcpu")
        self.given = session

    def make_session(self, settings: Settings) -> GivenSession:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


class PaneApp(App[None]):
    """The pane alone."""

    CSS_PATH: ClassVar[str] = "../../kdash/kdash.tcss"

    def __init__(self, pane: VcpuPane) -> None:
        super().__init__()
        self.pane = pane

    def compose(self) -> ComposeResult:
        yield self.pane
        yield CommandLine()
        yield KeyLine()

    def on_mount(self) -> None:
        self.pane.focus_content()


def parts(app: App[Any]) -> VcpuParts:
    return app.query_one(VcpuParts)


def drawn(part: LinePart) -> str:
    return "\n".join(part.render_line(y).text.rstrip() for y in range(part.size.height))


def given(*snapshots: Snapshot) -> tuple[PaneApp, GivenSession]:
    session = GivenSession(*snapshots)
    return PaneApp(GivenPane(session)), session


async def until(pilot: Pilot[Any], holds: Callable[[], bool]) -> None:
    for _ in range(PATIENCE):
        if holds():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never came")


# -- on snapshots given -----------------------------------------------------------------


@pytest.mark.no_cover
@pytest.mark.parametrize("size", [SMALL, (118, 40), LARGE, (53, 48)])
async def test_the_first_picture_has_registers_code_and_state(size: tuple[int, int]) -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert "rax 00000002" in drawn(parts(app).registers)
        assert "▶ 1000" in drawn(parts(app).code)
        assert "hlt" in drawn(parts(app).code)
        assert drawn(parts(app).status).startswith("○ ready")


async def test_s_does_as_many_steps_as_the_step_size_says() -> None:
    app, session = given(snapshot())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("s")
        app.pane.run_command("step 20")
        await pilot.press("s")
        assert session.asked == [("step", 1), ("step", 20), ("step", 20)]
        await pilot.pause()
        assert "s 20 steps" in drawn(parts(app).status)


async def test_a_step_marks_changed_registers_and_tells_what_it_did() -> None:
    after = snapshot(
        registers=Registers(rax=4, rbx=2, rip=0x1005),
        changed=frozenset({"rax", "rip"}),
        steps=1,
        state=RunState.STOPPED,
    )
    before = snapshot(registers=Registers(rax=2, rbx=2, rip=0x1003))
    app, _ = given(before, after)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("s")
        await pilot.pause()
        assert "rax 00000004*" in drawn(parts(app).registers)
        assert "rbx 00000002 " in drawn(parts(app).registers)
        assert "add al,bl ; rax 2→4" in drawn(parts(app).code)


async def test_what_a_run_changed_is_not_told_of_the_instruction_it_began_with() -> None:
    registers = Registers(rax=4, rbx=2, rip=0x1005)
    after = snapshot(registers=registers, steps=1, state=RunState.STOPPED, full_speed=True)
    app, _ = given(snapshot(registers=Registers(rax=2, rbx=2, rip=0x1003)), after)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("space")
        await pilot.pause()
        assert "rax 00000004" in drawn(parts(app).registers)
        assert "2→4" not in drawn(parts(app).code)


async def test_space_runs_a_guest_that_stands_and_pauses_one_that_runs() -> None:
    app, session = given(snapshot(), snapshot(state=RunState.RUNNING), snapshot())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("space")
        await pilot.pause()
        assert "▶ running" in drawn(parts(app).status)
        await pilot.press("space")
        assert session.asked == ["run", "pause"]


async def test_keys_reach_the_session() -> None:
    app, session = given(snapshot())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("n", "c", "R", "b", "j", "u")
        assert session.asked == [
            "over",
            "continue",
            "restart",
            ("break", 0x1000),
            ("until", 0x1003),
        ]


async def test_e_opens_the_source_of_the_cursor_and_says_why_it_can_not(tmp_path: Path) -> None:
    here = tmp_path / "guest.c"
    here.write_text("int main;\n")
    lines = (None, SourceLine("gone.c", 7), SourceLine("guest.c", 1, "int main;", str(here)))
    code = tuple(replace(one, source=line) for one, line in zip(listing(), lines, strict=False))
    app, _ = given(snapshot(disassembly=code))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("e", "j", "e", "j", "e")
        told = [notification.message for notification in app._notifications]
        assert "needs DWARF (gcc -g)" in told[0]
        assert told[1] == "gone.c: no such file here"
        assert "terminal can't be handed over" in told[2]


async def test_b_deletes_a_breakpoint_that_is_there() -> None:
    app, session = given(snapshot(breakpoints=frozenset({0x1000})))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("b")
        assert session.asked == [("delete", 0x1000)]


async def test_an_end_is_told_with_the_key_to_restart() -> None:
    ended = snapshot(state=RunState.ENDED, outcome=Outcome.HLT, detail="HLT at 0x100b")
    app, _ = given(ended)
    async with app.run_test(size=SMALL):
        assert "HLT at 0x100b   R restarts" in drawn(parts(app).status)
        for line in ("step", "next", "continue", "until 0x1000"):
            with pytest.raises(CommandError, match="restart loads it anew"):
                app.pane.run_command(line)


async def test_a_mode_switch_gives_the_registers_the_lines_they_need() -> None:
    wide = snapshot(registers=Registers(rip=0x1000, cr0=1, efer=0x400, r15=7), steps=1)
    app, _ = given(snapshot(), wide)
    async with app.run_test(size=LARGE) as pilot:
        low = parts(app).registers.size.height
        await pilot.press("s")
        await until(pilot, lambda: parts(app).registers.size.height > low)
        assert "r15 0000000000000007" in drawn(parts(app).registers)


async def test_views_show_one_part_and_escape_all_again() -> None:
    app, _ = given(snapshot(exits=(io_exit(0),), exits_total=1))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("greater_than_sign")
        await pilot.pause()
        assert app.pane.view == 1
        assert parts(app).code.size.height == parts(app).size.height - 2
        assert not parts(app).exits.display
        await pilot.press("greater_than_sign", "greater_than_sign")
        await pilot.pause()
        assert parts(app).exits.display
        assert app.focused is parts(app).exits.table
        await pilot.press("escape")
        await pilot.pause()
        assert parts(app).registers.display
        await pilot.press("less_than_sign")
        assert app.pane.view == len(app.pane.VIEWS) - 1


async def test_a_text_screen_never_written_to_is_no_view() -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=SMALL) as pilot:
        app.pane.show_view(app.pane.VIEWS.index("memory"))
        await pilot.press("less_than_sign")
        assert app.pane.VIEWS[app.pane.view] == "serial"


async def test_the_text_screen_is_a_view_once_the_guest_wrote_to_it() -> None:
    cells = b"H\x1f".ljust(4000, b"\0")
    app, _ = given(snapshot(screen=TextScreen(80, 25, cells)))
    async with app.run_test(size=SMALL) as pilot:
        app.pane.show_view(app.pane.VIEWS.index("memory"))
        await pilot.press("less_than_sign")
        await pilot.pause()
        assert app.pane.VIEWS[app.pane.view] == "screen"
        assert drawn(parts(app).screen_text).startswith("H")


WRITTEN = TextScreen(80, 25, b"H\x1fi\x1f".ljust(4000, b"\0"))


@pytest.mark.no_cover
@pytest.mark.parametrize("size", [SMALL, (118, 40), LARGE, (200, 60)])
async def test_the_text_screen_comes_beside_the_other_parts(size: tuple[int, int]) -> None:
    app, session = given(snapshot(), snapshot(screen=WRITTEN, state=RunState.STOPPED), snapshot())
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: parts(app).serial.display)
        assert not parts(app).screen_text.display
        await pilot.press("s")
        await until(pilot, lambda: parts(app).screen_text.display)
        await until(pilot, lambda: drawn(parts(app).screen_text).startswith("Hi"))
        assert parts(app).code.display
        assert parts(app).exits.display
        await pilot.press("R")
        await until(pilot, lambda: not parts(app).screen_text.display)
        assert session.asked == [("step", 1), "restart"]


async def test_a_silent_serial_port_says_where_the_output_is() -> None:
    app, _ = given(snapshot(screen=WRITTEN))
    async with app.run_test(size=SMALL) as pilot:
        app.pane.show_view(app.pane.VIEWS.index("serial"))
        await pilot.pause()
        assert "writes to its text screen" in " ".join(drawn(parts(app).serial).split())


async def test_i_types_into_the_part_that_the_guest_reads() -> None:
    waiting = snapshot(screen=WRITTEN, state=RunState.RUNNING, detail=KEY_WANTED)
    app, session = given(waiting)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: parts(app).screen_text.display)
        assert "it waits for a key: i types" in drawn(parts(app).status)
        await pilot.press("i", "i", "x")
        assert session.asked == [("keys", b"i"), ("keys", b"x")]
        await pilot.press("ctrl+right_square_bracket")
        assert not parts(app).screen_text.takes_keys


async def test_i_shows_the_part_that_has_no_place_beside_the_others() -> None:
    app, session = given(snapshot(state=RunState.RUNNING))
    async with app.run_test(size=(60, 14)) as pilot:
        await pilot.pause()
        assert not parts(app).serial.display
        await pilot.press("i", "x")
        assert parts(app).serial.display
        assert session.asked == [("serial", b"x")]


async def test_tab_visits_every_part_on_screen() -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        visited = set()
        for _ in range(4):
            visited.add(app.focused)
            await pilot.press("tab")
        views = parts(app)
        assert visited == {views.code, views.serial, views.exits.table, views.registers}


async def test_x_shows_memory_and_marks_what_a_step_changed() -> None:
    app, session = given(snapshot(), snapshot(steps=1))
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("x/16b 0x10")
        await until(pilot, lambda: "0010  10 11 12" in drawn(parts(app).memory))
        session.memory = b"\xff" * 32
        await pilot.press("s")
        await until(pilot, lambda: "ff*ff*" in drawn(parts(app).memory))


async def test_on_a_large_terminal_memory_is_there_from_the_start() -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: drawn(parts(app).memory).startswith("1000  00 01"))


async def test_a_refusal_is_told_and_the_guest_stays() -> None:
    app, session = given(snapshot())
    async with app.run_test(size=SMALL) as pilot:
        session.refusal = KvmError("KVM_SET_SREGS: [bold]Invalid argument", "choose another value")
        app.pane.run_command("set cr0=1")
        await pilot.pause()
        assert [note.message for note in app._notifications] == [str(session.refusal)]
        assert "rax" in drawn(parts(app).registers)


async def test_a_value_that_does_not_fit_is_a_mistake_of_the_command() -> None:
    app, session = given(snapshot(registers=Registers(rax=2, rip=0x1000)))
    async with app.run_test(size=SMALL):
        app.pane.run_command("set rbx=rax+1")
        assert session.asked == [("set", "rbx", 3)]


async def test_deleting_names_the_breakpoints_there_are() -> None:
    app, session = given(stopped_by_a_watchpoint())
    async with app.run_test(size=SMALL):
        with pytest.raises(CommandError, match=r"stop point 77, nor .* 0x4d; .*: 1 \(main\), 2 \("):
            app.pane.run_command("delete 77")
        app.pane.run_command("delete 0x1003")
        app.pane.run_command("delete 2")
        assert app.pane.run_command("delete") == "2 stop points deleted"
        assert session.asked == [("delete", 0x1003), ("forget", 2), ("forget", 1), ("forget", 2)]


async def test_stop_points_are_set_by_command() -> None:
    app, session = given(snapshot())
    async with app.run_test(size=SMALL):
        app.pane.run_command("break 0x1008 if al == 3")
        told = app.pane.run_command("watch 0x2000:4")
        app.pane.run_command("ignore 1 5")
        app.pane.run_command("until exit IO 0x3f8")
        with pytest.raises(CommandError, match="no register and no symbol"):
            app.pane.run_command("break 0x1008 if nowhere == 3")
        assert told == "the guest is stepped while memory is watched, which is slower"
        assert session.asked == [
            ("stop", Wanted(StopKind.BREAKPOINT, 0x1008, condition="al == 3")),
            ("stop", Wanted(StopKind.WATCH, 0x2000, 4)),
            ("ignore", 1, 5),
            ("exit", "IO", 0x3F8, None),
        ]


async def test_the_list_of_stop_points_comes_once_there_are_any() -> None:
    app, session = given(stopped_by_a_watchpoint())
    async with app.run_test(size=LARGE) as pilot:
        app.pane.run_command("info screen")
        await pilot.press("greater_than_sign", "greater_than_sign")
        assert app.pane.VIEWS[app.pane.view] == "stops"
        shown = parts(app).stops
        assert shown is not None
        lines = [line.text for line in shown.lines]
        assert lines == [
            "   1  break  main      if rax == 5  hits 0  in a debug register",
            "▶  2  watch  0x2000:4  hits 3  ignores 7",
        ]
        await pilot.press("j", "d")
        await until(pilot, lambda: session.asked == [("forget", 2)])
        await pilot.press("less_than_sign")
        assert app.pane.VIEWS[app.pane.view] == "memory"


async def test_what_stopped_the_guest_is_told() -> None:
    app, _ = given(stopped_by_a_watchpoint())
    async with app.run_test(size=LARGE):
        assert "watchpoint 2: 0x0 -> 0x5" in parts(app).status.lines[0].text
        app.pane.run_command("info stops")
        shown = parts(app).stops
        assert shown is not None
        title = str(shown.border_title)
        assert "watchpoint 2: 0x0 -> 0x5, watching at 40.0k steps/s" in title


async def test_a_stop_without_words_leaves_the_title_of_the_stops_whole() -> None:
    app, _ = given(replace(stopped_by_a_watchpoint(), detail=""))
    async with app.run_test(size=LARGE):
        app.pane.run_command("info stops")
        shown = parts(app).stops
        assert shown is not None
        assert str(shown.border_title) == " Stops  watching at 40.0k steps/s "


async def test_w_asks_for_a_watchpoint_at_the_memory_shown() -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=LARGE) as pilot:
        asked: list[str] = []

        def ask(line: str) -> None:
            asked.append(line)

        app.action_command = ask  # type: ignore[attr-defined] # the whole app has the prompt
        await pilot.press("w")
        app.pane.run_command("x/4xw 0x2000")
        await pilot.press("w")
        assert asked == ["watch ", "watch 0x2000:4"]


async def test_what_a_guest_sends_is_neither_markup_nor_command() -> None:
    evil = snapshot(
        guest="[red]x[/] \x1b[31m.bin",
        serial=b"\x1b]0;title\x07[bold]x[/nope]",
        exits=(io_exit(0, "[/] \x1b[2J"),),
        exits_total=1,
        state=RunState.ENDED,
        failure="KVM_RUN: [/] \x1b[2J",
    )
    app, _ = given(evil)
    async with app.run_test(size=LARGE) as pilot:
        await pilot.pause()
        assert r"\x1b]0;title\x07[bold]x[/nope]" in drawn(parts(app).serial)
        assert r"KVM_RUN: [/] \x1b[2J" in drawn(parts(app).status)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KvmError("/dev/kvm: permission denied", "join the group kvm"), "join the group kvm"),
        (GuestError("boot.bin: the file is empty"), "boot.bin: the file is empty"),
    ],
)
async def test_without_a_guest_the_pane_says_why_and_what_to_do(
    error: Exception, told: str
) -> None:
    app = PaneApp(GivenPane(error))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("s", "space", "R", "slash", "y", "greater_than_sign")
        assert told in str(app.query_one(Notice).render())
        with pytest.raises(CommandError):
            app.pane.run_command("step")


async def test_r_tries_again_where_no_guest_could_be_loaded() -> None:
    pane = GivenPane(KvmError("/dev/kvm: permission denied", "join the group kvm"))
    app = PaneApp(pane)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: bool(app.query(Notice)) and not app.workers)
        assert "r tries again" in str(app.query_one(Notice).render())
        pane.given = GivenSession(snapshot())
        await pilot.press("r")
        await until(pilot, lambda: bool(app.query(VcpuParts)) and not app.query(Notice))
        await until(pilot, lambda: "▶ 1000" in drawn(parts(app).code))
        await pilot.press("s")
        assert pane.given.asked == [("step", 1)]


async def test_another_guest_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"\xf4")
    first, second = GivenSession(snapshot()), GivenSession(snapshot(guest="other.bin"))
    pane = GivenPane(first)
    app = PaneApp(pane)
    async with app.run_test(size=LARGE) as pilot:
        pane.given = second
        app.pane.run_command(f"open {tmp_path}/other.bin --mode long")
        await until(pilot, lambda: "other.bin" in drawn(parts(app).status))
        assert first.closed
        assert pane.settings.guest == tmp_path / "other.bin"
        assert pane.settings.options is not None
        assert pane.settings.options.mode == "long"


async def test_where_another_guest_cant_be_loaded_the_old_one_stays(tmp_path: Path) -> None:
    (tmp_path / "other.bin").touch()
    session = GivenSession(snapshot())
    pane = GivenPane(session)
    app = PaneApp(pane)
    async with app.run_test(size=SMALL) as pilot:
        pane.given = GuestError("other.bin: the file is empty")
        app.pane.run_command(f"open {tmp_path}/other.bin")
        await until(pilot, lambda: bool(app._notifications))
        assert [note.message for note in app._notifications] == ["other.bin: the file is empty"]
        assert not session.closed
        await pilot.press("s")
        assert session.asked == [("step", 1)]
        with pytest.raises(CommandError, match="No such file"):
            app.pane.run_command("open /no/such/guest")


async def test_reload_keeps_the_breakpoints() -> None:
    pane = GivenPane(GivenSession(stopped_by_a_watchpoint()))
    app = PaneApp(pane)
    async with app.run_test(size=SMALL) as pilot:
        pane.given = anew = GivenSession(snapshot())
        app.pane.run_command("reload")
        await until(pilot, lambda: len(anew.asked) == 2)
        assert anew.asked == [
            ("stop", Wanted(StopKind.BREAKPOINT, 0x1003, condition="rax == 5")),
            ("stop", Wanted(StopKind.WATCH, 0x2000, 4, ignore=7)),
        ]


class RunningPane(GivenPane):
    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(GivenSession(snapshot(state=RunState.RUNNING)))


async def test_a_guests_console_takes_every_key_until_it_is_left() -> None:
    app = KdashApp(Settings(), (Place("vcpu", "VCPU", __name__, "RunningPane"),))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.focused is parts(app).code)
        session = app.query_one(RunningPane).session
        assert isinstance(session, GivenSession)
        await pilot.pause(0.1)  # the shell gives the keyboard to the pane once
        parts(app).serial.focus()
        await until(pilot, lambda: app.focused is parts(app).serial)
        await pilot.press("enter", "colon", "u", "slash", "q", "ctrl+q", "2", "s")
        await pilot.pause()
        typed = (b":", b"u", b"/", b"q", b"\x11", b"2", b"s")
        assert session.asked == [("serial", byte) for byte in typed]
        assert "keys go to the guest, ctrl+] leaves" in drawn(parts(app).status)
        await pilot.press("ctrl+right_square_bracket", "n")
        await pilot.pause()
        assert session.asked[-1] == "over"
        assert "keys go" not in drawn(parts(app).status)


async def test_a_goes_on_step_by_step_until_space() -> None:
    app, session = given(*(snapshot(steps=n, state=RunState.STOPPED) for n in range(900)))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("a", "plus")
        assert app.pane.speed == 20
        await pilot.pause()
        assert "▶ animated   20 steps/s (+ -)" in drawn(parts(app).status)
        assert "stopped" not in drawn(parts(app).status)
        await until(pilot, lambda: session.asked[2:] != [])
        assert set(session.asked) == {("step", 1)}
        await pilot.press("space")
        assert not app.pane.animated
        app.pane.run_command("animate 1000")
        await until(pilot, lambda: session.asked[-1] == ("step", 66))
        await pilot.press("space")
        with pytest.raises(CommandError, match="'0' is no number of steps a second"):
            app.pane.run_command("animate 0")


async def test_a_breakpoint_ends_the_animation() -> None:
    stop = snapshot(steps=1, state=RunState.STOPPED, stopped_at=(1,), detail="breakpoint 1 at main")
    app, session = given(snapshot(), stop)
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("animate 15")
        await until(pilot, lambda: not app.pane.animated)
        assert session.asked == [("step", 1)]
        assert "‖ stopped   breakpoint 1 at main" in drawn(parts(app).status)


async def test_an_animation_goes_on_through_a_recorded_run_at_full_speed() -> None:
    moments = [replace(recorded(place), steps=min(place, 3)) for place in range(300)]
    app, session = given(*moments)
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("animate 15")
        await until(pilot, lambda: len(session.asked) > 5)
        assert app.pane.animated


async def test_an_animation_ends_where_a_file_does_and_does_not_go_live() -> None:
    end = replace(recorded(340), detail="the recording ends here; s and c go on LIVE")
    assert end.recording is not None
    end = replace(end, recording=replace(end.recording, from_file=True))
    app, session = given(recorded(339), end)
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("animate 15")
        await until(pilot, lambda: not app.pane.animated)
        assert session.asked == [("step", 1)]
        assert "the recording ends here" in drawn(parts(app).status)


async def test_a_guest_that_sends_nothing_new_has_a_rate_that_falls() -> None:
    running = snapshot(state=RunState.RUNNING, exits_total=5)
    app, session = given(snapshot(), running)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("space")
        await until(pilot, lambda: "0 exits/s" in drawn(parts(app).status))
        session.snapshots = [replace(running, detail=KEY_WANTED)]
        await until(pilot, lambda: "exits/s" not in drawn(parts(app).status))


async def test_the_time_line_is_drawn_while_it_has_the_keyboard() -> None:
    app, _ = given(recorded(120))
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: parts(app).timeline is not None)
        line = parts(app).timeline
        assert line is not None
        line.focus()
        await pilot.pause()
        assert line.size.height == 1
        assert "moment 120" in drawn(line)


@pytest.mark.no_cover
@pytest.mark.kvm
async def test_a_run_that_changed_nothing_can_be_gone_back_over(tmp_path: Path) -> None:
    app = real(tmp_path, b"\xeb\xfe")  # jmp $
    async with app.run_test(size=LARGE) as pilot:
        await pilot.press("space")
        await until(pilot, lambda: state(app) == "running")
        await pilot.press("space")
        await until(pilot, lambda: "moment 1" in status_of(app))
        assert "ran at full speed" in status_of(app)
        await pilot.press("S")
        await until(pilot, lambda: "REPLAY moment 0 of 1" in status_of(app))
        assert "the recording begins here" in status_of(app)


def status_of(app: PaneApp) -> str:
    line = parts(app).timeline
    return drawn(parts(app).status) + (drawn(line) if line is not None else "")


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_device_that_raises_shows_its_cause_and_traceback(size: tuple[int, int]) -> None:
    cause = "device Lamp: ValueError: the lamp takes no 8, at 0x1006"
    trace = 'Traceback (most recent call last):\n  File "lamp.py", line 8, in \x1b[2J\n' * 9
    end = snapshot(
        state=RunState.ENDED,
        outcome=Outcome.UNHANDLED_EXIT,
        detail=cause,
        failure=f"{cause}\n{trace}ValueError: the lamp takes no 8",
    )
    app, _ = given(snapshot(), end)
    async with app.run_test(size=size) as pilot:
        await pilot.press("space")
        await until(pilot, lambda: parts(app).ending is not None)
        ending = parts(app).ending
        assert ending is not None
        await until(pilot, lambda: "device Lamp: ValueError" in drawn(ending))
        assert "device Lamp: ValueError" in drawn(parts(app).status)
        app.pane.run_command("info ending")
        await until(pilot, lambda: parts(app).view == "ending" and ending.size.height > 15)
        assert "\\x1b[2J" in drawn(ending)
        await pilot.press("G")
        await until(pilot, lambda: "ValueError: the lamp takes no 8" in drawn(ending)[-300:])


async def test_who_lets_an_ended_guest_go_is_told_what_there_is_to_do() -> None:
    app, session = given(replace(recorded(340), state=RunState.ENDED, detail="HLT at 0x100b"))
    async with app.run_test(size=SMALL) as pilot:
        for key in ("s", "n", "c", "space", "a"):
            await pilot.press(key)
        await until(pilot, lambda: "R restarts it, S goes back" in told(app))
        assert session.asked == []


async def test_the_room_of_an_ending_is_given_back_when_the_guest_is_restarted() -> None:
    end = snapshot(state=RunState.ENDED, detail="gone", failure="gone\nTraceback")
    app, session = given(snapshot(), end)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("space")
        await until(pilot, lambda: parts(app).ending is not None)
        await until(pilot, lambda: parts(app).registers.region.y > 3)
        session.snapshots = [end, snapshot()]
        await pilot.press("R")
        ending = parts(app).ending
        assert ending is not None
        await until(pilot, lambda: not ending.display)


@pytest.mark.no_cover
@pytest.mark.kvm
async def test_a_run_back_says_what_stopped_it(tmp_path: Path) -> None:
    app = real(tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        app.pane.run_command("break 0x1003")
        app.pane.run_command("step 6")
        await until(pilot, lambda: "breakpoint 1 at 0x1003" in status_of(app))
        await pilot.press("s", "C")
        await until(pilot, lambda: "REPLAY moment 1 of 7" in status_of(app))
        assert "breakpoint 1 at 0x1003" in status_of(app)
        await pilot.press("C")
        await until(pilot, lambda: "the recording begins here" in status_of(app))


@pytest.mark.kvm
async def test_a_guest_that_is_opened_while_another_is_animated_stands_still(
    tmp_path: Path,
) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(b"\x40\xeb\xfd")
    app = real(tmp_path, b"\x40\xeb\xfd")
    async with app.run_test(size=LARGE) as pilot:
        await pilot.press("a")
        await until(pilot, lambda: app.pane.animated)
        app.pane.run_command(f"open {other}")
        await until(pilot, lambda: state(app) == "ready")
        assert not app.pane.animated


def told(app: PaneApp) -> str:
    return " ".join(one.message for one in app._notifications)


def two_vcpus(shown: int) -> Snapshot:
    briefs = (
        VcpuBrief(0, VcpuState.HALTED, Registers()),
        VcpuBrief(1, VcpuState.RUNNABLE, Registers()),
    )
    return snapshot(vcpu=shown, vcpus=briefs)


async def test_v_and_a_click_on_a_tab_show_another_vcpu() -> None:
    app, session = given(two_vcpus(0), two_vcpus(1), two_vcpus(0))
    async with app.run_test(size=SMALL) as pilot:
        assert "VCPU[0‖] 1" in drawn(parts(app).status)
        await pilot.press("v")
        await pilot.pause()
        assert "VCPU 0‖ [1]" in drawn(parts(app).status)
        x = drawn(parts(app).status).index(" 0‖") + 1
        await pilot.click(parts(app).status, offset=(x, 0))
        assert session.asked == [("vcpu", 1), ("vcpu", 0)]
        with pytest.raises(CommandError, match="no VCPU 2; there are 2, from 0"):
            app.pane.run_command("vcpu 2")


async def test_what_is_typed_on_the_text_screen_goes_to_the_keyboard() -> None:
    app, session = given(snapshot(screen=TextScreen(80, 25, bytes(4000))))
    async with app.run_test(size=SMALL) as pilot:
        app.pane.show_view(app.pane.VIEWS.index("screen"))
        await pilot.pause()
        await pilot.press("enter", "a", "enter")
        await pilot.pause()
        assert session.asked == [("keys", b"a"), ("keys", b"\r")]


async def test_memory_follows_a_register() -> None:
    there = snapshot(registers=Registers(rsp=0x20, rip=0x1003), steps=1)
    app, _ = given(snapshot(registers=Registers(rsp=0x10, rip=0x1000)), there)
    async with app.run_test(size=LARGE) as pilot:
        app.pane.run_command("x/16b 0")
        app.pane.run_command("follow rsp")
        await until(pilot, lambda: drawn(parts(app).memory).startswith("0010  10 11"))
        await pilot.press("s")
        await until(pilot, lambda: drawn(parts(app).memory).startswith("0020  20 21"))
        with pytest.raises(CommandError, match="'stack' is no number and no register"):
            app.pane.run_command("follow stack")


async def test_memory_and_registers_are_set_in_place() -> None:
    app, session = given(snapshot())
    async with app.run_test(size=LARGE) as pilot:
        app.pane.run_command("x/16b 0x10")
        await until(pilot, lambda: drawn(parts(app).memory).startswith("0010  10 11"))
        parts(app).memory.focus()
        await pilot.press("enter", *"ee", *"dd", "escape")
        await until(pilot, lambda: drawn(parts(app).memory).startswith("0010  ee*dd*12"))
        parts(app).registers.focus()
        await pilot.press("enter", "9", "enter")
        app.pane.run_command("set {short}0x12=-2")
        await pilot.pause()
        assert session.asked == [
            ("write", 0x10, b"\xee"),
            ("write", 0x11, b"\xdd"),
            ("set", "rax", 9),
            ("write", 0x12, b"\xfe\xff"),
        ]


def recorded(position: int) -> Snapshot:
    recording = RecordingView(first=0, last=340, position=position, bytes=1 << 20, limit=1 << 29)
    return snapshot(steps=position, state=RunState.STOPPED, recording=recording)


async def test_capital_keys_go_back() -> None:
    app, session = given(recorded(340))
    async with app.run_test(size=SMALL) as pilot:
        app.pane.step_size = 20
        await pilot.press("S", "N", "C")
        app.pane.run_command("rs 3")
        app.pane.run_command("seek 120")
        app.pane.run_command("save all.kdash")
        app.pane.run_command("save-snapshot one.kdash")
        assert session.asked == [
            ("back", 20), "back over", "back to a stop", ("back", 3), ("seek", 120),
            ("save", "all.kdash"), ("save moment", "one.kdash"),
        ]  # fmt: skip


async def test_a_moment_that_is_not_recorded_is_refused_in_words() -> None:
    app, session = given(recorded(340))
    async with app.run_test(size=SMALL):
        with pytest.raises(CommandError, match="moment 341 is not recorded; there are 0 to 340"):
            app.pane.run_command("seek 341")
        assert session.asked == []


@pytest.mark.no_cover
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_past_is_labelled_and_has_a_time_line(size: tuple[int, int]) -> None:
    app, _ = given(recorded(340), recorded(120))
    async with app.run_test(size=size) as pilot:
        await pilot.press("S")
        await until(pilot, lambda: parts(app).timeline is not None)
        await pilot.pause()
        assert "REPLAY moment 120 of 340" in drawn(parts(app).status)
        assert "output is not sent again" in drawn(parts(app).status)
        line = parts(app).timeline
        assert line is not None
        await until(pilot, lambda: "●" in drawn(line))
        assert line.region.y == parts(app).status.region.y + 1
        assert status_words(recorded(120)) == ("REPLAY 120/340", "warning")


async def test_scrubbing_asks_only_for_the_newest_moment_while_one_is_on_its_way() -> None:
    app, session = given(recorded(340))
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: parts(app).timeline is not None)
        pending: Future[Snapshot] = Future()
        asked: list[int] = []

        def seek(moment: int) -> Future[Snapshot]:
            asked.append(moment)
            return pending

        session.seek = seek  # type: ignore[method-assign]
        assert parts(app).timeline is not None
        parts(app).timeline.focus()  # type: ignore[union-attr]
        await pilot.press("left", "left", "left")
        assert asked == [339]
        pending.set_result(recorded(339))
        await until(pilot, lambda: asked == [339, 337])


async def test_going_on_from_the_past_asks_first() -> None:
    app, session = given(recorded(120))
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("run-from-here")
        await pilot.pause()
        await pilot.press("n")
        await pilot.pause()
        assert session.asked == []
        app.pane.run_command("run-from-here")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: session.asked == ["from here"])


async def test_going_back_from_the_first_moment_says_that_there_is_none_before() -> None:
    app, _ = given(recorded(0))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("S")
        await until(pilot, lambda: "Nothing lies before moment 0" in told(app))


async def test_a_search_back_that_takes_long_is_told_and_space_stops_it() -> None:
    app, session = given(recorded(340))
    pending: Future[Snapshot] = Future()
    session.reverse_continue = lambda: pending  # type: ignore[method-assign]
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("C")
        await until(pilot, lambda: "searches back; space stops it" in drawn(parts(app).status))
        await pilot.press("space")
        assert session.asked == ["pause"]
        pending.set_result(recorded(340))
        await until(pilot, lambda: "searches back" not in drawn(parts(app).status))


async def test_why_nothing_is_recorded_is_told_to_who_goes_back() -> None:
    app, _ = given(snapshot(unrecorded="nothing is recorded: --recording off"))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("S")
        await until(pilot, lambda: "--recording off" in told(app))


async def test_without_a_recording_going_back_says_so() -> None:
    app, session = given(snapshot())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("S")
        assert session.asked == []
        with pytest.raises(CommandError, match="nothing is recorded"):
            app.pane.run_command("seek 3")


@pytest.mark.usefixtures("own_state")
async def test_borders_are_moved_by_key_and_mouse_and_put_back() -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        code = parts(app).code
        before = code.region
        await pilot.press("J", "J", "H")
        await pilot.pause()
        assert code.region.height == before.height + 2
        assert code.region.x == before.x - 1
        await pilot.press("equals_sign")
        await pilot.pause()
        assert code.region == before
        top = parts(app).memory.region
        await pilot.mouse_down(parts(app).memory, offset=(5, 0))
        await pilot.hover(parts(app).memory, offset=(5, 4))
        await pilot.mouse_up(parts(app).memory, offset=(5, 0))
        await pilot.pause()
        assert parts(app).memory.region.y == top.y + 4


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's for what is kept from one start to the next."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "kdash"


async def test_borders_stand_where_they_were_left(own_state: Path) -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        before = parts(app).code.region
        await pilot.press("J", "J", "H")
    app, _ = given(snapshot())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert parts(app).code.region.height == before.height + 2
        assert parts(app).code.region.x == before.x - 1
        await pilot.press("equals_sign")
    app, _ = given(snapshot())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert parts(app).code.region == before
    assert [file.name for file in own_state.iterdir()] == ["vcpu-borders.json"]


async def test_nothing_is_kept_of_borders_nobody_moved(own_state: Path) -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
    assert not own_state.exists()


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{", '{"code": "2", "column": true, "registers": 1e9, "nonsense": 3, "exits": 0}'],
)
def test_a_damaged_file_of_borders_moves_none(own_state: Path, text: str) -> None:
    own_state.mkdir()
    (own_state / "vcpu-borders.json").write_text(text)
    assert kept_borders() == {}


async def test_leaving_closes_the_session() -> None:
    app, session = given(snapshot())
    async with app.run_test(size=SMALL):
        assert not session.closed
    assert session.closed


async def test_a_guest_that_stands_is_not_looked_at_all_the_time() -> None:
    app, session = given(snapshot(state=RunState.STOPPED))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("s")
        await pilot.pause(0.3)
        looks = 0

        def count() -> Snapshot:
            nonlocal looks
            looks += 1
            return session.snapshots[0]

        session.snapshot = count  # type: ignore[method-assign]
        await pilot.pause(0.3)
        assert looks == 0


async def test_every_key_has_an_id_and_a_tooltip_and_few_are_in_the_footer() -> None:
    bindings = [
        binding
        for base in VcpuPane.__mro__
        for binding in vars(base).get("BINDINGS", ())
        if isinstance(binding, Binding) and base.__module__.startswith("kdash.")
    ]
    assert all(binding.id and binding.tooltip for binding in bindings)
    # "Try again" is there only where the others are not.
    assert sum(binding.show for binding in bindings if binding.action != "retry") <= 6


async def test_y_copies_the_line_under_the_cursor() -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("y")
        assert app.clipboard.endswith("mov dx,0x3f8")


async def test_the_filter_opens_the_exits_where_they_have_no_room() -> None:
    app, _ = given(snapshot(exits=(io_exit(0),), exits_total=1))
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.pause()
        assert not parts(app).exits.display
        await pilot.press("slash", *"hlt")
        await pilot.pause()
        assert parts(app).exits.display
        assert parts(app).exits.table.row_count == 0


async def test_a_listing_that_goes_on_keeps_its_place() -> None:
    later = replace(snapshot(registers=Registers(rip=0x1003)), disassembly=listing(0x1003)[1:])
    app, _ = given(snapshot(), later)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("s")
        await pilot.pause()
        assert drawn(parts(app).code).splitlines()[0].split()[0] == "1000"


# -- on /dev/kvm ------------------------------------------------------------------------


def real(tmp_path: Path, code: bytes = b"", *options: str) -> PaneApp:
    if not code:
        return PaneApp(VcpuPane(Settings(), id="vcpu"))
    file = tmp_path / "guest.bin"
    file.write_bytes(code)
    return PaneApp(VcpuPane(read_settings([str(file), *options]), id="vcpu"))


def state(app: PaneApp) -> str:
    return drawn(parts(app).status).split()[1]


@pytest.mark.no_cover
@pytest.mark.kvm
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_stepping_the_article_guest_to_its_end(size: tuple[int, int], tmp_path: Path) -> None:
    app = real(tmp_path)
    async with app.run_test(size=size) as pilot:
        await pilot.press("s")
        await until(pilot, lambda: "rdx 000003f8*" in drawn(parts(app).registers))
        await pilot.press("s")
        await until(pilot, lambda: "rax 00000004*" in drawn(parts(app).registers))
        await pilot.press("s", "s")
        await until(pilot, lambda: "4" in drawn(parts(app).serial))
        meanings = [row.meaning for row in parts(app).exits.table.shown_rows]
        assert meanings and meanings[0].startswith("out 0x3f8")
        await pilot.press("s", "s", "s")
        await until(pilot, lambda: state(app) == "ended")
        assert "HLT at 0x100b" in drawn(parts(app).status)
        names = [row.name for row in parts(app).exits.table.shown_rows]
        assert names == ["IO", "IO", "HLT"]


@pytest.mark.kvm
async def test_running_to_a_breakpoint_then_on_and_anew(tmp_path: Path) -> None:
    app = real(tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("break 0x1008")
        await pilot.press("space")
        await until(pilot, lambda: "▶ 1008" in drawn(parts(app).code))
        assert drawn(parts(app).code).splitlines()[4].startswith("●▶ 1008")
        await pilot.press("c")
        await until(pilot, lambda: state(app) == "ended")
        await pilot.press("R")
        await until(pilot, lambda: state(app) == "ready")
        assert parts(app).exits.table.total_count == 0
        assert "nothing sent yet" in drawn(parts(app).serial)


@pytest.mark.no_cover
@pytest.mark.kvm
async def test_a_spinning_guest_leaves_the_keys_alive(tmp_path: Path) -> None:
    app = real(tmp_path, b"\xeb\xfe")  # jmp $
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("space")
        await until(pilot, lambda: state(app) == "running")
        await pilot.press("space")
        await until(pilot, lambda: state(app) == "stopped")
        await pilot.press("s")
        await until(pilot, lambda: "steps 1 " in drawn(parts(app).status))


@pytest.mark.kvm
async def test_a_register_that_was_set_is_marked(tmp_path: Path) -> None:
    app = real(tmp_path)
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("set rbx=7")
        await until(pilot, lambda: "rbx 00000007*" in drawn(parts(app).registers))


@pytest.mark.kvm
async def test_memory_written_by_the_guest_is_marked(tmp_path: Path) -> None:
    code = b"\xc6\x06\x00\x20\x5a\xf4"  # mov byte [0x2000],0x5a; hlt
    app = real(tmp_path, code)
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("x/4b 0x2000")
        await until(pilot, lambda: "2000  00 00 00 00" in drawn(parts(app).memory))
        await pilot.press("s")
        await until(pilot, lambda: "2000  5a*00 00 00" in drawn(parts(app).memory))


@pytest.mark.no_cover
@pytest.mark.kvm
async def test_what_is_typed_reaches_a_guest_that_polls_its_serial_port(tmp_path: Path) -> None:
    # mov dx,0x3fd; in al,dx; test al,1; jz back; mov dx,0x3f8; in al,dx; out dx,al; jmp back
    app = real(tmp_path, bytes.fromhex("bafd03eca80174f8baf803ecee ebf1".replace(" ", "")))
    async with app.run_test(size=LARGE) as pilot:
        await pilot.press("space")
        await until(pilot, lambda: state(app) == "running")
        parts(app).serial.focus()
        await pilot.press("enter", *"hi", "!")
        await until(pilot, lambda: "hi!" in drawn(parts(app).serial))


@pytest.mark.kvm
async def test_memory_is_set_and_shown_by_physical_address(tmp_path: Path) -> None:
    app = real(tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        app.pane.run_command("set {int}0x2000=0x11223344")
        app.pane.run_command("xp/4b 0x2000")
        await until(pilot, lambda: "2000  44 33 22 11" in drawn(parts(app).memory))
        parts(app).memory.focus()
        await pilot.press("enter", *"77", "escape")
        await until(pilot, lambda: "2000  77*33 22 11" in drawn(parts(app).memory))


@pytest.mark.no_cover
@pytest.mark.kvm
async def test_a_guest_goes_back_and_forward_and_on_from_its_past(tmp_path: Path) -> None:
    app = real(tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await pilot.press("c")
        await until(pilot, lambda: state(app) == "ended")
        await pilot.press("S", "S", "S")
        await until(pilot, lambda: "REPLAY moment 4 of 7" in drawn(parts(app).status))
        assert "▶ 1008" in drawn(parts(app).code)
        line = parts(app).timeline
        assert line is not None
        line.focus()
        await pilot.press("home")
        await until(pilot, lambda: "▶ 1000" in drawn(parts(app).code))
        await pilot.press("s")
        await until(pilot, lambda: "REPLAY moment 1 of 7" in drawn(parts(app).status))
        parts(app).registers.focus()
        await pilot.press("l", "enter", "5", "enter")
        await until(pilot, lambda: "moment 1: the 6 moments recorded" in question(app))
        await pilot.press("y")
        await until(pilot, lambda: "REPLAY" not in drawn(parts(app).status))
        await pilot.press("c")
        await until(pilot, lambda: drawn(parts(app).serial).startswith("7"))


@pytest.mark.kvm
async def test_a_recording_is_not_saved_over_the_guest(tmp_path: Path) -> None:
    app = real(tmp_path, b"\x90\xf4")
    async with app.run_test(size=LARGE) as pilot:
        await pilot.press("s")
        await until(pilot, lambda: app.pane.session.snapshot().steps == 1)
        guest = app.pane.settings.guest
        assert guest is not None
        before = guest.read_bytes()
        with pytest.raises(CommandError, match=r"save: .* would be lost"):
            app.pane.run_command(f"save {guest}")
        assert guest.read_bytes() == before
        app.pane.run_command(f"save {tmp_path / 'kept.kdash'}")
        await until(pilot, (tmp_path / "kept.kdash").exists)


def question(app: PaneApp) -> str:
    return " ".join(str(each.render()) for each in app.screen.query(Static))


@pytest.mark.kvm
async def test_long_mode_shows_sixteen_digits_and_its_bits(tmp_path: Path) -> None:
    app = real(tmp_path, b"\x48\xff\xc0\xf4", "--mode", "long")  # inc rax; hlt
    async with app.run_test(size=LARGE) as pilot:
        await pilot.press("s")
        await until(pilot, lambda: "rax 0000000000000001*" in drawn(parts(app).registers))
        assert "LME LMA" in drawn(parts(app).registers)
        assert "inc rax" in drawn(parts(app).code)


@pytest.mark.kvm
async def test_u_asks_for_an_address_where_the_cursor_stands_on_the_next_instruction() -> None:
    app = KdashApp(Settings())
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.focused is parts(app).code)
        await pilot.press("u")
        await pilot.press(*"0x1007", "enter")
        await until(pilot, lambda: "▶ 1007" in drawn(parts(app).code))


@pytest.mark.kvm
async def test_a_recording_from_a_file_is_shown_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "four.kdash"
    run_guest(Request(article_guest(), max_steps=4, record=str(file)))
    app = PaneApp(VcpuPane(read_settings([str(file)]), id="vcpu"))

    def status() -> str:
        return drawn(parts(app).status)

    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: "▶ 1008" in drawn(parts(app).code))
        assert "RECORDED" in status()
        await pilot.press("S")
        await until(pilot, lambda: "RECORDED   four.kdash   moment 3 of 4" in status())
        await pilot.press("s")
        await until(pilot, lambda: "moment 4 of 4" in status())
        app.pane.run_command("run-from-here")
        await until(pilot, lambda: "LIVE from moment 4" in status() and state(app) == "stopped")
        await until(pilot, lambda: "goes on LIVE" in told(app))
        await pilot.press("s", "s", "s")
        await until(pilot, lambda: state(app) == "ended")
        await pilot.press("S")
        await until(pilot, lambda: "REPLAY moment 6 of 7" in status())


@pytest.mark.kvm
async def test_all_recorded_exits_are_filtered_not_the_last_alone(tmp_path: Path) -> None:
    # mov cx,1000; out 0x80,al; loop back; out 0xe9,al; mov cx,1000; out 0x80,al; loop back; hlt
    app = real(tmp_path, bytes.fromhex("b9e803 e680 e2fc e6e9 b9e803 e680 e2fc f4"))
    async with app.run_test(size=LARGE) as pilot:
        await pilot.press("c")
        await until(pilot, lambda: state(app) == "ended")
        exits = parts(app).exits
        exits.table.focus()
        app.pane.run_command("info exits")
        await pilot.press("slash")
        await until(pilot, lambda: exits.table.total_count == 2002)
        await pilot.press(*"port:0xe9", "enter")
        await until(pilot, lambda: exits.table.row_count == 1)
        assert exits.table.current is not None
        assert exits.table.current.index == 1000


#: mov al,1; jmp to the far part, which is 600 bytes on: inc ax; ret, and no code behind it.
FAR_PART = 0x1000 + 602
FAR = (
    b"\xb0\x01"
    + b"\xe9"
    + (597).to_bytes(2, "little")
    + b"\x90" * 597
    + b"\x40\xc3"
    + b"\xf4" * 500
)


@pytest.mark.no_cover
@pytest.mark.kvm
async def test_code_elsewhere_is_listed_and_takes_breakpoints_until_the_guest_goes_on(
    tmp_path: Path,
) -> None:
    app = real(tmp_path, FAR)
    async with app.run_test(size=LARGE) as pilot:
        code = parts(app).code
        app.pane.run_command(f"list {FAR_PART:#x}")
        await until(pilot, lambda: code.cursor == FAR_PART)
        assert "inc ax" in drawn(code)
        code.focus()
        await pilot.press("j", "b")
        await until(pilot, lambda: "●" in drawn(code))
        assert code.cursor == FAR_PART + 1
        await pilot.press("s")
        await until(pilot, lambda: code.cursor == 0x1002)
        assert "inc ax" not in drawn(code)


@pytest.mark.kvm
async def test_enter_on_a_jump_lists_its_target_however_far_it_is(tmp_path: Path) -> None:
    app = real(tmp_path, FAR)
    async with app.run_test(size=LARGE) as pilot:
        code = parts(app).code
        code.focus()
        await pilot.press("j", "enter")
        await until(pilot, lambda: code.cursor == FAR_PART)
        await pilot.press("j", "enter")  # ret has no target: back to CS:IP
        app.pane.run_command("list")
        await until(pilot, lambda: code.cursor == 0x1000)


@pytest.mark.kvm
async def test_going_down_lists_what_comes_behind(tmp_path: Path) -> None:
    app = real(tmp_path, FAR)
    async with app.run_test(size=LARGE) as pilot:
        code = parts(app).code
        code.focus()
        await pilot.press("G")
        last = code.cursor
        assert last is not None
        await pilot.press("j")
        await until(pilot, lambda: code.cursor == last + 1)


@pytest.mark.kvm
async def test_where_there_is_no_memory_no_code_is_listed(tmp_path: Path) -> None:
    app = real(tmp_path, FAR)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        before = drawn(parts(app).code)
        app.pane.run_command("list 0xffff0000")
        await until(pilot, lambda: any("no memory at" in n.message for n in app._notifications))
        assert drawn(parts(app).code) == before
