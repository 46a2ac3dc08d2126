"""Views of state read on demand, in the pane: given states, and a real guest's."""

from __future__ import annotations

from typing import Any

import pytest
from textual.app import App

from kdash.backends.kvm.facts import Mode, RecordingView, RunState
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.state_facts import Msr, MsrState
from kdash.panes.vcpu_state import READERS
from kdash.widgets.pane import CommandError
from kdash.widgets.vcpu.arrangement import STATE_VIEWS
from kdash.widgets.vcpu.state_view import KINDS, StateView
from tests.kdash.test_vcpu_pane import SMALL, GivenPane, PaneApp, drawn, given, parts, until
from tests.widgets.vcpu.made import snapshot


class Msrs:
    """An inspector that counts what it is asked, one MSR that goes up."""

    def __init__(self) -> None:
        self.asked = 0

    def msrs(self, vcpu: int) -> MsrState:
        self.asked += 1
        return MsrState((Msr(0x10, "IA32_TSC", self.asked), Msr(0x11, "STILL", 7)))

    def physical(self, address: int, length: int) -> bytes:
        return bytes([0xAB]) * min(length, 4)


def state(app: App[Any]) -> StateView:
    return app.query_one(StateView)


def listed(app: App[Any]) -> str:
    table = state(app).table
    return "\n".join(table.render_line(y).text.rstrip() for y in range(table.size.height))


def test_every_view_has_a_reader_and_a_way_to_be_drawn() -> None:
    assert set(STATE_VIEWS) == set(READERS) == set(KINDS)


async def test_a_view_is_read_when_it_is_shown_and_changes_are_marked_at_the_next_stop() -> None:
    app, session = given(snapshot(), snapshot(steps=1, state=RunState.STOPPED))
    session.inspector = Msrs()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        assert session.inspector.asked == 0
        app.pane.run_command("info msrs")
        await until(pilot, lambda: bool(app.query(StateView)) and "IA32_TSC" in listed(app))
        assert "0000000000000001 " in listed(app)
        await pilot.press("s")
        await until(pilot, lambda: "0000000000000002*" in listed(app))
        assert "0000000000000007*" not in listed(app)
        assert session.inspector.asked == 2


async def test_a_stop_in_another_view_reads_nothing() -> None:
    app, session = given(snapshot(), snapshot(steps=1))
    session.inspector = Msrs()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("s")
        await pilot.pause(0.1)
        assert session.inspector.asked == 0


async def test_what_can_not_be_read_says_why_in_the_view() -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("info fpu")
        await until(pilot, lambda: bool(app.query(StateView)) and "KVM lacks" in listed(app))


async def test_in_the_past_the_title_says_of_which_moment_the_state_is() -> None:
    past = RecordingView(first=0, last=9, position=5, bytes=1, limit=2, state_as_of=3)
    app, session = given(snapshot(recording=past))
    session.inspector = Msrs()
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("info msrs")
        await until(pilot, lambda: bool(app.query(StateView)) and "STILL" in listed(app))
        assert "as of moment 3" in str(state(app).border_title)


async def test_slash_filters_the_view_and_enter_opens_a_row() -> None:
    app, session = given(snapshot())
    session.inspector = Msrs()
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("info msrs")
        await until(pilot, lambda: bool(app.query(StateView)) and "STILL" in listed(app))
        app.pane.focus_content()
        await pilot.press("slash", *"name:STI", "enter")
        await until(pilot, lambda: state(app).table.row_count == 1)
        assert "1 of 2 pass" in str(state(app).border_title)
        await pilot.press("enter")
        await pilot.pause()
        assert state(app).has_class("-detail")
        await pilot.press("escape")
        assert not state(app).has_class("-detail")


async def test_xp_shows_guest_physical_memory() -> None:
    app, session = given(snapshot())
    session.inspector = Msrs()
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command("xp/8xb 0x100000")
        await until(pilot, lambda: "100000  ab ab ab ab" in drawn(parts(app).memory))
        assert "physical 100000" in str(parts(app).memory.border_title)
        assert "no memory at 0x100004" in drawn(parts(app).memory)


async def test_info_names_the_views_there_are() -> None:
    app, _ = given(snapshot())
    async with app.run_test(size=SMALL):
        with pytest.raises(CommandError, match=r"no view 'nonsense'; there are: all, code, .*msrs"):
            app.pane.run_command("info nonsense")
        assert "info msrs" in app.pane.complete("info m")


@pytest.mark.kvm
async def test_all_views_of_a_real_guest_that_runs_and_stops() -> None:
    session = VcpuSession(flat(b"\xeb\xfe", "spin", mode=Mode.LONG))
    app = PaneApp(GivenPane(session))  # type: ignore[arg-type] # the real one
    expected = {
        "control": "PE MP ET NE WP AM PG", "fpu": "st0", "msrs": "IA32_TSC",
        "statistics": "cumulative", "cpuid": "version and features", "walk": "PML4[0]",
        "devices": "9600 baud, 8N1",
    }  # fmt: skip
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("space")
        for view, words in expected.items():
            app.pane.run_command(f"info {view}")
            await until(pilot, lambda: bool(app.query(StateView)) and words in listed(app))  # noqa: B023
        assert session.snapshot().state is RunState.RUNNING
        await pilot.press("space")
        await until(pilot, lambda: session.snapshot().state is RunState.STOPPED)
        app.pane.run_command("walk 0x40000000")
        await until(pilot, lambda: "PDPTE 0x1 is not present" in listed(app))


@pytest.mark.kvm
async def test_t_shows_vector_registers_as_the_next_type() -> None:
    app = PaneApp(GivenPane(VcpuSession()))  # type: ignore[arg-type] # the real one
    async with app.run_test(size=(120, 48)) as pilot:
        app.pane.run_command("info fpu")
        app.pane.focus_content()
        await until(pilot, lambda: bool(app.query(StateView)) and "xmm0" in listed(app))
        await pilot.press("t", "t")
        await until(pilot, lambda: "0.0 0.0 0.0 0.0" in listed(app))
