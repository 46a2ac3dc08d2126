"""The pool of Linux 4.3: its words, what changed, its count, what was extracted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from textual.app import App, ComposeResult

from kdash.backends.entropy.facts import Changes, CounterChange, ModelStep
from kdash.widgets.entropy.pool_map import full_width, heat, map_lines, strip_lines
from kdash.widgets.entropy.pool_view import PoolView
from kdash.widgets.entropy.tone_lines import plain

from .made import pool, step

SIZES = [(78, 22), (78, 21), (49, 17), (58, 38), (77, 44), (30, 10)]


class Host(App[None]):
    def compose(self) -> ComposeResult:
        yield PoolView()


@asynccontextmanager
async def drawn(
    steps: list[ModelStep], size: tuple[int, int] = (78, 22)
) -> AsyncIterator[PoolView]:
    app = Host()
    async with app.run_test(size=size) as pilot:
        view = app.query_one(PoolView)
        await pilot.pause()
        view.start(pool())
        view.set_feed("live, clock x60")
        view.add(steps)
        await pilot.pause()
        yield view


def test_a_change_is_marked_in_text_and_fades_with_the_steps() -> None:
    assert [heat(age)[1] for age in (0, 1, 4, 5, None)] == ["*", "+", "+", " ", " "]
    assert heat(0)[0] == "accent"


def test_all_words_are_drawn_whole_where_there_is_room() -> None:
    words = pool().words
    text = [plain(line) for line in map_lines(words, [None] * 128, full_width(), 16)]
    assert len(text) == 16
    assert [word for line in text for word in line.split()[1:]] == [f"{w:08x}" for w in words]


@pytest.mark.parametrize("width", [49, 58, 80, 20])
def test_all_words_are_drawn_short_where_there_is_not(width: int) -> None:
    lines = map_lines(pool().words, [0] * 128, width, 8)
    assert sum(plain(line).count("ab*") for line in lines) == 128
    assert all(len(plain(line)) <= width for line in lines)


async def test_the_words_of_the_last_step_are_marked_and_those_before_fade() -> None:
    async with drawn([step(0, {0, 1}), step(1, {1, 2})]) as view:
        assert "ab000000+ab000001*ab000002*ab000003 " in view.text


async def test_the_count_is_drawn_against_the_whole_pool_with_both_wake_ups() -> None:
    async with drawn([step(0, {3}, bits=1203)]) as view:
        assert "1203/4096 bits" in view.text
        assert "wake-ups: read 64, write 896" in view.text


@pytest.mark.parametrize("size", SIZES)
async def test_it_says_at_every_size_that_this_is_a_model_beside_the_kernel(
    size: tuple[int, int],
) -> None:
    async with drawn([step(0, {3}, b"\xde\xad")], size) as view:
        joined = " ".join(view.text.split())
        assert "MODEL of Linux 4.3's input pool" in joined
        assert "kernel's own pool." in joined or "not the kernel's pool" in joined


@pytest.mark.parametrize("size", [(78, 22), (78, 21), (49, 17), (58, 38), (77, 44)])
async def test_everything_fits_without_scrolling_where_the_pane_puts_it(
    size: tuple[int, int],
) -> None:
    async with drawn([step(i, {i}, bytes(range(10))) for i in range(9)], size) as view:
        assert len(view.text.splitlines()) <= size[1]
        assert "last extraction: 00 01 02" in view.text


@pytest.mark.parametrize("size", [(78, 22), (78, 21)])
async def test_a_line_taken_by_the_prompt_does_not_cost_the_whole_words(
    size: tuple[int, int],
) -> None:
    async with drawn([step(0, {3}, bytes(10))], size) as view:
        assert "ab00007f" in view.text


async def test_the_last_operation_and_extraction_stay_readable_words() -> None:
    async with drawn([step(0, {3, 4}, b"\xde\xad\xbe\xef"), step(1, {5})]) as view:
        assert "#1 mix 16 bytes, credit 3 bits; 1 word changed" in view.text
        assert "last extraction: de ad be ef" in view.text
        assert view.last_output == b"\xde\xad\xbe\xef"


async def test_a_long_extraction_is_cut_with_its_length() -> None:
    async with drawn([step(0, {3}, bytes(512))], (78, 44)) as view:
        assert "... 512 bytes" in view.text


async def test_before_the_first_step_the_keys_are_named() -> None:
    async with drawn([]) as view:
        assert "no step yet: s takes one" in view.text


async def test_a_model_that_failed_says_so_above_its_last_state() -> None:
    async with drawn([step(0, {3})]) as view:
        view.fail("The model ended: [red]oops")
        assert view.text.splitlines()[0] == "The model ended: [red]oops"
        assert "1203/4096" in view.text


async def test_earlier_steps_are_listed_where_there_is_room() -> None:
    async with drawn([step(i, {i}) for i in range(9)], (77, 44)) as view:
        assert "#7     mix 16 bytes" in view.text
        assert "#0     mix 16 bytes" in view.text


async def test_where_every_word_changed_those_mixed_last_stand_out() -> None:
    async with drawn([step(0, set(range(128)))]) as view:  # add_ptr 42: words 42 to 57 are last
        assert "ab00002a*" in view.text
        assert "ab000039*ab00003a+" in view.text
        assert "ab000029 " in view.text


@pytest.mark.parametrize("width", [20, 64, 130, 300])
def test_a_strip_of_words_fills_its_lines_and_shows_where_mixing_stands(width: int) -> None:
    lines = [plain(line) for line in strip_lines(pool(), width)]
    assert {len(line) for line in lines} == {width}
    assert {sign for line in lines for sign in line} == set("█▒░")


async def test_a_step_taken_alone_lists_what_it_changed_where_there_is_room() -> None:
    changes = (Changes("input", (CounterChange("add_ptr", 58, 42),)),)
    async with drawn([replace(step(0, {3}), changes=changes)], (78, 44)) as view:
        assert "add_ptr 58>42" in view.text


async def test_what_feeds_the_model_is_told_in_full_on_a_narrow_screen() -> None:
    async with drawn([step(1, {2})], (49, 30)) as view:
        words = "live, clock x1, boot: events go to the nonblocking pool, 2 readers waiting"
        view.set_feed(words)
        told = " ".join(plain(line).strip() for line in view.lines(49, 30))
        assert words in told
