"""The diagram of the running 4.3 model: what it shows of pools, flows, readers and a step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from textual.app import App, ComposeResult

from kdash.backends.entropy.facts import Changes, CounterChange, ModelStep, WordChange
from kdash.backends.entropy.model_facts import (
    FastPoolState,
    ModelState,
    PoolFlow,
    ReaderState,
    SourceState,
)
from kdash.widgets.entropy.diagram_boxes import box, branches, columns, marked_bar
from kdash.widgets.entropy.diagram_view import DiagramView
from kdash.widgets.entropy.step_lines import change_lines, spread_mark
from kdash.widgets.entropy.tone_lines import Span, plain

from .made import pool

SIZES = [(78, 21), (160, 44), (49, 40)]


def made(nodes: int = 0) -> ModelState:
    names = ["blocking", "nonblocking", *(f"nonblocking {n}" for n in range(1, nodes))]
    return ModelState(
        seconds=754.0, speed=60, reached=60.0, nodes=nodes, seed="",
        feed="this machine, counters", left_out=0, load=(("irq", 0.0), ("disk", 2.5)),
        fast_pools=tuple(FastPoolState(cpu, 19, 7, 210, busy=not cpu) for cpu in range(2)),
        sources=(
            SourceState("disk", 5243, 1025, busy=True), SourceState("input", 0, 0, busy=False),
        ),
        pools=(pool(1203), *(replace(pool(300, words=32), name=name) for name in names)),
        flows=(PoolFlow(0, 0, gained=12.5), *(PoolFlow(4, 9, pushed=True) for _ in names)),
        readers=(
            ReaderState("/dev/random", "blocking", 16, 0.1, 8, 100, 17.2, short=3),
            ReaderState("/dev/urandom", "nonblocking", 16, 0.5, 68, 1088, None),
            ReaderState("getrandom", "nonblocking", 32, 0.0, 0, 0, None),
        ),
        read_wakeup=64, write_wakeup=896, passed_above=0.75,
    )  # fmt: skip


class Host(App[None]):
    def compose(self) -> ComposeResult:
        yield DiagramView()


@asynccontextmanager
async def drawn(
    state: ModelState, size: tuple[int, int] = (78, 21), step: ModelStep | None = None
) -> AsyncIterator[tuple[DiagramView, Host]]:
    app = Host()
    async with app.run_test(size=size) as pilot:
        view = app.query_one(DiagramView)
        await pilot.pause()
        view.show_model(state, step)
        await pilot.pause()
        yield view, app


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("nodes", [0, 1, 4])
async def test_clock_design_and_every_pool_are_told_at_every_size(
    size: tuple[int, int], nodes: int
) -> None:
    async with drawn(made(nodes), size) as (view, _):
        text = view.text
        assert "clock x60" in text
        assert ("PER NODE" if nodes else "STOCK 4.3") in text
        assert "1203/4096 bits" in text
        assert text.count("300/1024") == 1 + max(1, nodes)
        assert all(f"┌ node {node} " in text for node in range(nodes))
        assert max(map(len, text.splitlines())) <= size[0]


async def test_the_stock_design_fits_a_small_terminal_without_scrolling() -> None:
    async with drawn(made()) as (view, _):
        assert len(view.text.splitlines()) <= 21


async def test_a_reader_that_sleeps_says_for_what() -> None:
    async with drawn(replace(made(), pools=(pool(41), *made().pools[1:]))) as (view, _):
        assert "WAITS 17 s, 41/64 bits" in view.text
        assert "68 reads" in view.text
        assert "getrandom not read" in view.text


async def test_a_clock_that_is_not_reached_says_what_is() -> None:
    async with drawn(replace(made(), speed=3600, reached=41.27)) as (view, _):
        assert "clock x3600, reached x41 " in view.text


async def test_boot_shows_that_events_pass_the_input_pool_by() -> None:
    state = made()
    booting = replace(state.pools[2], initialized=False, entropy_total=57)
    async with drawn(replace(state, pools=(*state.pools[:2], booting))) as (view, _):
        assert "BOOT: events pass by to the nonblocking pool" in view.text.replace("\n", " ")
        assert "57 so far" in view.text.replace("\n", " ")


async def test_sixty_four_nodes_are_a_line_each() -> None:
    async with drawn(made(64), (78, 100)) as (view, _):
        assert sum(line.lstrip(" ▼").startswith("node ") for line in view.text.splitlines()) == 64


async def test_hundreds_of_cpus_are_counted_beyond_those_there_is_room_for() -> None:
    many = tuple(FastPoolState(cpu, 1, 0, 1, busy=False) for cpu in range(600))
    async with drawn(replace(made(), fast_pools=many)) as (view, _):
        assert "CPU0 " in view.text
        assert "and 595 CPUs more" in view.text


async def test_a_step_lists_the_counters_and_words_it_changed() -> None:
    changes = (
        Changes("input", (CounterChange("entropy_count", 800, 808),), (WordChange(41, 1, 0xFF),)),
        Changes("fast pool of CPU 3", (CounterChange("count", 63, 0),)),
    )
    step = ModelStep(12, "irq 24 on CPU 3", b"", pool(), frozenset({41}), changes)
    async with drawn(made(), (78, 40), step) as (view, _):
        assert "#12 irq 24 on CPU 3" in view.text
        assert "entropy_count 800>808 (+1 bits)" in view.text
        assert "[41] 00000001>000000ff" in view.text
        assert "count 63>0" in view.text


async def test_a_flipped_bit_is_drawn_for_every_pool() -> None:
    spread = ((0,) * 120 + (16,) * 8, (1,) * 32, (0,) * 32)
    async with drawn(replace(made(), spread=spread, spread_events=9), (78, 40)) as (view, _):
        assert "one bit flipped, 9 events ago" in view.text
        assert "########" in view.text
        assert "." * 32 in view.text


@pytest.mark.parametrize(
    ("key", "message"), [("d", "Redesign"), ("plus", "Clock"), ("minus", "Clock"), ("b", "Flip")]
)
async def test_the_keys_ask_by_messages(key: str, message: str) -> None:
    heard: list[str] = []

    class Listening(Host):
        def on_diagram_view_redesign(self) -> None:
            heard.append("Redesign")

        def on_diagram_view_clock(self) -> None:
            heard.append("Clock")

        def on_diagram_view_flip(self) -> None:
            heard.append("Flip")

    app = Listening()
    async with app.run_test() as pilot:
        app.query_one(DiagramView).focus()
        await pilot.press(key)
        await pilot.pause()
    assert heard == [message]


def test_a_box_is_as_wide_as_asked_whatever_is_in_it() -> None:
    lines = box("a long title of a pool", [(Span("x" * 50),), (Span("y"),)], 24, outlet="┬")
    assert {len(plain(line)) for line in lines} == {24}
    assert "┬" in plain(lines[-1])


def test_blocks_of_different_heights_stand_side_by_side() -> None:
    rows = columns([[(Span("a"),)], [(Span("b"),), (Span("c"),)]], 3)
    assert [plain(row) for row in rows] == ["a   b  ", "    c  "]


@pytest.mark.parametrize("value", [0.0, 500.0, 768.0, 1024.0])
def test_a_mark_of_a_bar_stays_where_it_is(value: float) -> None:
    assert plain(marked_bar(value, 1024, 16, [768], "good")).index("┃") == 12


def test_marks_tell_how_many_bits_differ() -> None:
    assert [spread_mark(bits)[0] for bits in (0, 1, 4, 8, 13, 32)] == list("·.+*##")


def test_nothing_changed_is_no_lines() -> None:
    assert change_lines((), 80) == []


@pytest.mark.parametrize(
    ("stem", "ends", "drawn"),
    [
        (3, [3], "   │   "),
        (3, [1, 5], " ┌─┴─┐ "),
        (3, [1, 3, 5], " ┌─┼─┐ "),
        (0, [2, 4], "└─┬─┐  "),
    ],
)  # fmt: skip
def test_the_way_from_the_input_pool_meets_every_output_pool(
    stem: int, ends: list[int], drawn: str
) -> None:
    assert plain(branches(stem, ends, 7)) == drawn
