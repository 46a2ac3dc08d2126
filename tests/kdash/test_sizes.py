"""Whatever size a terminal has for a moment, the program goes on and is there with the room."""

from __future__ import annotations

import asyncio

import pytest

from screenshots.recorded import recorded_app

SIZES = ((0, 0), (1, 1), (4, 1), (20, 6), (47, 11), (150, 3), (60, 40))


@pytest.mark.parametrize(
    "keys",
    [
        ("s", "s"),
        ("2", "enter", "greater_than_sign", "greater_than_sign", "greater_than_sign"),
        ("3",),
        ("3", "greater_than_sign", "greater_than_sign"),
        ("question_mark",),
        ("ctrl+p",),
        ("o",),
    ],
)
async def test_no_size_ends_it(keys: tuple[str, ...]) -> None:
    app = recorded_app()
    async with app.run_test(size=(160, 48)) as pilot:
        while not app.all_built:
            await asyncio.sleep(0.02)
        await pilot.press(*keys)
        for columns, lines in SIZES:
            await pilot.resize_terminal(columns, lines)
            await pilot.pause()
        await pilot.resize_terminal(160, 48)
        await pilot.pause()
        assert app.is_running
        assert app.screen.size == (160, 48)
