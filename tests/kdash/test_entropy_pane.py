"""The Entropy pane with readings given, and with this machine's own."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from kdash.backends.entropy.facts import Reading
from kdash.backends.entropy.health import sources
from kdash.backends.entropy.history import History
from kdash.backends.entropy.live_model import LiveModel
from kdash.backends.entropy.procfs import Unavailable
from kdash.panes.entropy import EntropyPane
from kdash.panes.entropy_laboratory import Experiment
from kdash.panes.entropy_sources import Model, Sampler, status
from kdash.panes.entropy_views import DIAGRAM, HEALTH
from kdash.settings import Settings
from kdash.widgets.entropy.contention_view import ContentionView
from kdash.widgets.entropy.diagram_view import DiagramView
from kdash.widgets.entropy.health_view import HealthView
from kdash.widgets.entropy.kernel_view import KernelView
from kdash.widgets.entropy.pool_view import PoolView
from kdash.widgets.entropy.tone_lines import ToneLines
from kdash.widgets.key_line import KeyLine
from kdash.widgets.notice import Notice
from kdash.widgets.pane import CommandError, Pane
from tests.backends.entropy.given_feed import GivenFeed
from tests.widgets.entropy.made import BOOTING, BY_ERA, MODERN, OLD, history, trend

NARROW, WIDE = (80, 24), (160, 48)


class GivenSampler:
    """Hands out what it was given."""

    def __init__(self, readings: Sequence[Reading], error: Exception | None = None) -> None:
        self.readings = list(readings)
        self.error = error
        self.running = False
        self.interval = 1.0
        self.measured = False

    def start(self) -> None:
        self.running = True

    def latest(self) -> Reading | None:
        if self.error is not None:
            raise self.error
        return self.readings[-1] if self.readings else None

    @property
    def history(self) -> History:
        return trend(self.readings)

    def trace_callers(self, on: bool) -> None:
        raise Unavailable("needs root")

    def trace_random_events(self, on: bool) -> None:
        raise Unavailable("not on this kernel")

    def measure_hwrng(self) -> None:
        self.measured = True

    def stop(self) -> None:
        self.running = False


class GivenPane(EntropyPane):
    """The pane on readings given, and a model whose every step is determined."""

    LOOK = 0.02
    STEP = 0.05

    def __init__(self, sampler: GivenSampler) -> None:
        self.given = sampler
        self.intervals: list[float] = []
        super().__init__(Settings(), id="entropy")

    def make_sampler(self, interval: float) -> Sampler:
        self.intervals.append(interval)
        return self.given

    def make_model(self) -> Model:
        return LiveModel(GivenFeed(), seed=b"given", reads={})


class Host(App[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]  # fmt: skip

    def __init__(self, pane: EntropyPane, *, columns: int = 1) -> None:
        super().__init__()
        self.pane = pane
        self.columns = columns
        self.told: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        with Horizontal():
            for _ in range(self.columns - 1):
                yield Notice("another pane")
            yield self.pane
        yield KeyLine()

    def on_pane_status_changed(self, event: Pane.StatusChanged) -> None:
        self.told.append((event.text, event.tone))


async def until(pilot: Any, condition: Callable[[], Any]) -> None:
    for _ in range(400):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(pilot.app.query_one(EntropyPane).query(ToneLines).first().text)


@asynccontextmanager
async def opened(
    readings: Sequence[Reading], size: tuple[int, int] = NARROW, *, columns: int = 1
) -> AsyncIterator[tuple[GivenPane, Any]]:
    pane = GivenPane(GivenSampler(readings))
    app = Host(pane, columns=columns)
    async with app.run_test(size=size) as pilot:
        pane.focus_content()
        await until(pilot, lambda: app.told and not pane.query_one(PoolView).empty)
        await pilot.pause()
        yield pane, pilot


def texts(pane: EntropyPane) -> tuple[str, str]:
    return pane.query_one(KernelView).text, pane.query_one(PoolView).text


@pytest.mark.no_cover
@pytest.mark.parametrize("size", [NARROW, WIDE])
@pytest.mark.parametrize("reading", [*BY_ERA.values(), BOOTING])
async def test_every_era_shows_its_meaning_and_no_fuel_gauge_on_boot_progress(
    reading: Reading, size: tuple[int, int]
) -> None:
    async with opened(history(reading, (1.0, 2.0)), size) as (pane, _):
        kernel, _pool = texts(pane)
        assert reading.meaning.split(" ")[0] in kernel
        assert ("█" in kernel) is reading.gauge


@pytest.mark.parametrize(
    ("reading", "told"),
    [
        (MODERN, ("ready", "good")),
        (BOOTING, ("not seeded", "bad")),
        (replace(MODERN, alerts=("no-reseed: none for 200 s",)), ("1 alert", "bad")),
        (OLD, ("2300/4096", "good")),
        (replace(OLD, entropy_avail=120), ("120/4096", "warning")),
        (replace(MODERN, ready=None), ("unknown", "warning")),
    ],
)
def test_the_status_says_how_the_generator_is(reading: Reading, told: tuple[str, str]) -> None:
    assert status(reading) == told


async def test_the_status_is_told_once_until_it_changes() -> None:
    async with opened([BOOTING]) as (pane, pilot):
        await pilot.pause(0.2)
        assert pilot.app.told == [("not seeded", "bad")]
        pane.given.readings.append(replace(MODERN, monotonic=1001.0))
        await until(pilot, lambda: len(pilot.app.told) == 2)
        assert pilot.app.told[-1] == ("ready", "good")


async def test_on_a_small_terminal_one_view_is_shown_and_the_angle_keys_switch() -> None:
    async with opened([MODERN]) as (pane, pilot):
        kernel, pool = pane.query_one(KernelView), pane.query_one(PoolView)
        assert (kernel.display, pool.display) == (True, False)
        await pilot.press("greater_than_sign")
        await pilot.pause()
        assert (kernel.display, pool.display) == (False, True)
        assert pool.has_focus
        await pilot.press("less_than_sign")
        await pilot.pause()
        assert (kernel.display, pool.display) == (True, False)


@pytest.mark.no_cover
@pytest.mark.parametrize(("size", "columns"), [(WIDE, 1), (WIDE, 3), ((120, 40), 1)])
async def test_with_room_both_views_are_shown(size: tuple[int, int], columns: int) -> None:
    async with opened([MODERN], size, columns=columns) as (pane, _):
        kernel, pool = texts(pane)
        assert "● READY" in kernel
        assert "MODEL of Linux 4.3's" in pool


async def test_both_views_fit_a_column_of_a_wide_terminal_without_scrolling() -> None:
    async with opened(history(MODERN, (1.0, 2.0)), (147, 45), columns=3) as (pane, pilot):
        await pilot.press("x")
        await pilot.pause()
        shown = [view for view in pane.query(ToneLines) if view.display]
        assert [view.max_scroll_y for view in shown] == [0, 0]


async def test_the_footer_holds_six_keys_on_eighty_columns() -> None:
    async with opened([MODERN]) as (_, pilot):
        shown = [a.binding for a in pilot.app.screen.active_bindings.values() if a.binding.show]
        own = [binding for binding in shown if binding.key != "ctrl+p"]
        assert len(own) <= 6
        assert sum(len(b.description) + len(b.key_display or b.key) + 3 for b in own) <= 80


def test_every_binding_has_an_id_and_a_tooltip() -> None:
    for owner in (EntropyPane, ToneLines):
        for binding in owner.BINDINGS:
            assert isinstance(binding, Binding)
            assert binding.id
            assert binding.tooltip


async def test_space_freezes_the_views_and_the_feed_while_the_status_goes_on() -> None:
    async with opened([MODERN], WIDE) as (pane, pilot):
        await pilot.press("space")
        pane._model.do(lambda _: [])
        await pilot.pause(0.2)
        kernel, pool = texts(pane)
        assert "FROZEN" in kernel
        assert "FROZEN" in pool
        pane.given.readings.append(replace(BOOTING, monotonic=1001.0))
        await until(pilot, lambda: pilot.app.told[-1][0] == "not seeded")
        assert "NOT SEEDED" not in texts(pane)[0]
        assert texts(pane)[1] == pool
        await pilot.press("space")
        await until(pilot, lambda: "NOT SEEDED" in texts(pane)[0])
        await until(pilot, lambda: texts(pane)[1] != pool)


async def frozen(pane: GivenPane, pilot: Any) -> None:
    await pilot.press("space")
    pane._model.do(lambda _: [])
    pane._look_at_model()


async def test_the_keys_step_extract_and_mix_and_show_the_pool_they_act_on() -> None:
    async with opened([MODERN]) as (pane, pilot):
        await frozen(pane, pilot)
        await pilot.press("s")
        await pilot.pause()
        assert pane.query_one(PoolView).display
        assert "irq 24 on CPU" in texts(pane)[1]
        await pilot.press("m")
        await pilot.pause()
        assert "mix 8 bytes;" in texts(pane)[1]
        pane.run_command("model credit 2000")
        await pilot.press("x")
        await pilot.pause()
        assert "extract 10 bytes; 20 words changed" in texts(pane)[1]
        assert len(pane.query_one(PoolView).last_output) == 10


async def test_p_plots_the_next_signal() -> None:
    async with opened(history(MODERN, (1.0, 2.0))) as (pane, pilot):
        assert "\ninterrupts  now" in texts(pane)[0]
        await pilot.press("p")
        assert "since the last reseed  now 12.3 s" in texts(pane)[0]


async def test_commands_of_the_model_tell_what_they_did() -> None:
    async with opened([MODERN]) as (pane, pilot):
        await frozen(pane, pilot)
        assert "credit 2,000 bits" in pane.run_command("model credit 2000")
        assert "extract 20 bytes" in pane.run_command("model extract 20")
        assert "mix 2 bytes" in pane.run_command("model mix 00ff")
        first = pane.run_command("model step")
        last = pane.run_command("model step 20")
        assert int(last[1:].split()[0]) - int(first[1:].split()[0]) == 20


async def test_a_thousand_events_go_in_without_holding_up_the_keys() -> None:
    async with opened([MODERN]) as (pane, pilot):
        await frozen(pane, pilot)
        first = int(pane.run_command("model step")[1:].split()[0])
        assert "1,000 events" in pane.run_command("model step 1000")
        await until(pilot, lambda: f"#{first + 1000} " in texts(pane)[1])


async def test_plot_takes_a_name_and_refuses_a_signal_that_is_missing() -> None:
    async with opened(history(OLD, (1.0, 2.0))) as (pane, _):
        assert pane.run_command("plot irq") == ""
        assert "\ninterrupts  now" in texts(pane)[0]
        with pytest.raises(CommandError, match="draw from the pool"):
            pane.run_command("plot latency")


async def test_another_interval_is_set_in_the_sampler_that_runs() -> None:
    async with opened([MODERN]) as (pane, _):
        assert "0.5 s" in pane.run_command("interval 0.5")
        assert (pane.intervals, pane.given.interval) == ([1.0], 0.5)


async def test_what_needs_root_is_refused_in_words_and_what_does_not_is_done() -> None:
    async with opened([MODERN]) as (pane, _):
        with pytest.raises(CommandError, match="callers: needs root"):
            pane.run_command("callers on")
        with pytest.raises(CommandError, match="random-events: not on this kernel"):
            pane.run_command("random-events on")
        assert "reading the hardware source" in pane.run_command("hwrng")
        assert pane.given.measured


async def test_zoom_plots_at_least_the_time_asked_for() -> None:
    async with opened(history(MODERN, (1.0, 2.0))) as (pane, pilot):
        pane.run_command("zoom 1h")
        await pilot.pause()
        oldest = texts(pane)[0].splitlines()[-1].split()[:2]
        assert oldest[1] == "min"
        assert -120 < int(oldest[0]) <= -60
        with pytest.raises(CommandError, match="no span of time"):
            pane.run_command("zoom 2d")


async def test_a_sampler_that_fails_leaves_a_notice_and_keys_without_effect() -> None:
    pane = GivenPane(GivenSampler([], OSError(2, "No such file or directory", "/proc")))
    app = Host(pane)
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: pane.query(Notice))
        await until(pilot, lambda: app.told[-1:] == [("unavailable", "bad")])
        assert "No such file or directory" in str(pane.query_one(Notice).render())
        pane.focus_content()
        await pilot.press("space", "s", "x", "m", "p", "greater_than_sign")
        with pytest.raises(CommandError, match="not running"):
            pane.run_command("model step")


async def test_a_model_that_fails_leaves_the_live_view_at_work() -> None:
    class Failing(GivenPane):
        def make_model(self) -> Model:
            raise OSError("no interrupts to read")

    pane = Failing(GivenSampler([MODERN]))
    async with Host(pane).run_test(size=WIDE) as pilot:
        await until(pilot, lambda: "no interrupts to read" in texts(pane)[1])
        assert "● READY" in texts(pane)[0]
        pane.focus_content()
        await pilot.press("s")
        with pytest.raises(CommandError, match="not running"):
            pane.run_command("model extract")


async def test_the_threads_end_with_the_pane() -> None:
    async with opened([MODERN]) as (pane, _):
        running = [pane.given.running]
    running.append(pane.given.running)
    assert running == [True, False]
    assert pane._model._stopped.is_set()


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_the_generator_of_this_machine_is_shown(size: tuple[int, int]) -> None:
    pane = EntropyPane(Settings(), id="entropy")
    app = Host(pane)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.told)
        reading = pane._shown
        assert reading is not None
        kernel, _ = texts(pane)
        assert " ".join(reading.meaning.split()[:5]) in " ".join(kernel.split())
        assert ("█" in kernel) is (reading.gauge and bool(reading.entropy_avail))
        assert (f"{reading.entropy_avail}") in kernel


async def test_a_machine_without_proc_says_so_in_the_pane(tmp_path: Any) -> None:
    from kdash.backends.entropy.sampler import EntropySampler

    class Elsewhere(EntropyPane):
        def make_sampler(self, interval: float) -> Sampler:
            return EntropySampler(tmp_path, interval)

    pane = Elsewhere(Settings(), id="entropy")
    app = Host(pane)
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: app.told and "not available" in texts(pane)[0])


async def test_the_laboratory_has_views_of_its_own() -> None:
    async with opened([MODERN], WIDE) as (pane, pilot):
        await pilot.press(*["greater_than_sign"] * 3)
        view = pane.query_one(ContentionView)
        await until(pilot, lambda: "calibrated to" in view.text)
        assert not pane.query_one(KernelView).display
        await pilot.press("greater_than_sign")
        health = pane.query_one(HealthView)
        await until(pilot, lambda: "FIPS 140-2" in health.text)
        assert not view.display
        await pilot.press("greater_than_sign")
        assert pane.query_one(KernelView).display
        assert pane.query_one(PoolView).display


async def diagram_of(pane: GivenPane, pilot: Any) -> DiagramView:
    pane.show_view(DIAGRAM)
    view = pane.query_one(DiagramView)
    await until(pilot, lambda: "input pool" in view.text)
    return view


async def test_the_diagram_switches_between_both_designs_by_one_key() -> None:
    async with opened([MODERN]) as (pane, pilot):
        view = await diagram_of(pane, pilot)
        assert "STOCK 4.3" in view.text
        await pilot.press("d")
        await until(pilot, lambda: "PER NODE, 2 nodes" in view.text)
        assert "┌ node 1 " in view.text
        pane.run_command("model nodes 5")
        await pilot.press("d")
        await until(pilot, lambda: "STOCK 4.3" in view.text)
        await pilot.press("d")
        await until(pilot, lambda: "PER NODE, 5 nodes" in view.text)


async def test_a_step_in_the_diagram_stays_there_and_lists_what_it_changed() -> None:
    async with opened([MODERN], WIDE) as (pane, pilot):
        view = await diagram_of(pane, pilot)
        await pilot.press("space", "s")
        await until(pilot, lambda: "fast pool of CPU" in view.text)
        assert "FROZEN" in view.text
        assert pane.view == DIAGRAM


async def test_the_keys_of_the_diagram_set_the_clock_and_flip_a_bit() -> None:
    async with opened([MODERN], WIDE) as (pane, pilot):
        view = await diagram_of(pane, pilot)
        assert "clock x1 " in view.text
        await pilot.press("plus", "plus")
        await until(pilot, lambda: "clock x5" in view.text)
        await pilot.press("minus")
        await until(pilot, lambda: "clock x2" in view.text)
        await pilot.press("b")
        await until(pilot, lambda: "flipped" in view.text)
        await pilot.press("b")
        await until(pilot, lambda: "flipped" not in view.text)


@pytest.mark.parametrize(
    ("line", "told", "drawn"),
    [
        ("model speed 3600", "clock x3600", "clock x3600"),
        ("model load 100", "80 irq, 15 disk, 5 input", "made up: irq 80/s, disk 15/s, input 5/s"),
        ("model load irq 80", "80 irq", "made up: irq 80/s"),
        ("model readers random 5 32", "/dev/random is read 5 times", "random 32 B 5/s"),
        ("model seed 00ff", "booted anew", "seed 00ff"),
        ("model feed load", "fed by load", "fed by load generator alone"),
        ("model flip on", "is flipped", "flipped"),
    ],
)
async def test_commands_set_the_model(line: str, told: str, drawn: str) -> None:
    async with opened([MODERN], WIDE) as (pane, pilot):
        view = await diagram_of(pane, pilot)
        assert told in pane.run_command(line)
        await until(pilot, lambda: drawn in view.text)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("model speed 3601", "x1 to x3600"),
        ("model nodes 65", "1 to 64"),
        ("model load irq 1e9", "0 to 10000"),
        ("model readers random nan", "0 to 1000"),
        ("model readers random 1 513", "1 to 512"),
    ],
)
async def test_settings_out_of_range_are_refused_in_words(line: str, told: str) -> None:
    async with opened([MODERN]) as (pane, _):
        with pytest.raises(CommandError, match=told):
            pane.run_command(line)


async def test_measuring_is_told_and_stopped_by_the_same_key() -> None:
    async with opened([MODERN], WIDE) as (pane, pilot):
        await pilot.press(*["greater_than_sign"] * 3, "r")
        view = pane.query_one(ContentionView)
        measuring = re.compile(r"measuring, (the first point|\d+ of [1-9]\d* points); r stops")
        await until(pilot, lambda: measuring.search(view.text))
        await pilot.press("r")
        await until(pilot, lambda: "r stops" not in view.text)


async def test_a_source_that_gives_nothing_is_told_where_its_verdicts_would_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(_source: str, _nbytes: int) -> Iterator[bytes]:
        raise sources.SourceError("/dev/hwrng can be read by root alone")

    monkeypatch.setattr(sources, "live_bytes", nothing)
    async with opened([MODERN], WIDE) as (pane, pilot):
        pane.show_view(HEALTH)
        view = pane.query_one(HealthView)
        await until(pilot, lambda: "root alone" in view.text)


def test_an_experiment_begun_anew_hears_no_more_of_the_one_before() -> None:
    going, done = threading.Event(), threading.Event()

    def slow(_step: Callable[[], None]) -> Iterator[int]:
        going.wait(30)
        yield 1
        done.set()

    def quick(_step: Callable[[], None]) -> Iterator[int]:
        yield 2
        done.set()

    experiment = Experiment[int]("test")
    experiment.start(slow)
    experiment.start(quick)
    assert done.wait(30)
    done.clear()
    going.set()
    assert done.wait(30)
    assert experiment.latest == 2


def test_what_ends_an_experiment_is_kept() -> None:
    ended = threading.Event()

    def broken(_step: Callable[[], None]) -> Iterator[int]:
        yield 1
        try:
            raise OSError("no threads left")
        finally:
            ended.set()

    experiment = Experiment[int]("test")
    experiment.start(broken)
    assert ended.wait(30)
    for _ in range(1000):
        if experiment.error:
            break
        time.sleep(0.01)
    assert (experiment.latest, experiment.error) == (1, "no threads left")
