"""The command prompt alone."""

from __future__ import annotations

import gc
import weakref

from textual.app import App, ComposeResult
from textual.widget import Widget

from kdash.widgets.command_line import CommandLine


class Prompts(App[None]):
    def compose(self) -> ComposeResult:
        yield CommandLine()


async def test_a_prompt_that_was_left_is_not_kept() -> None:
    app = Prompts()
    async with app.run_test(size=(40, 10)) as pilot:
        left: list[weakref.ref[Widget]] = []
        for _ in range(4):
            await app.query_one(CommandLine).open(lambda _: ())
            assert app.focused is not None
            left.append(weakref.ref(app.focused))
            await pilot.press("h", "escape")
            await pilot.pause()
        gc.collect()
        assert [prompt() for prompt in left[:2]] == [None, None]
