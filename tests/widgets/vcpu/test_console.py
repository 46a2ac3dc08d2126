"""Typing into the guest: which bytes a key sends, and who gets it."""

from __future__ import annotations

from typing import Any

import pytest
from textual import events

from kdash.widgets.vcpu.keystrokes import pasted_bytes, serial_bytes
from kdash.widgets.vcpu.serial import SerialView
from tests.widgets.vcpu.made import PartApp


@pytest.mark.parametrize(
    ("key", "character", "data"),
    [
        ("a", "a", b"a"),
        ("upper_a", "A", b"A"),
        ("é", "é", "é".encode()),
        ("colon", ":", b":"),
        ("enter", "\r", b"\r"),
        ("backspace", "\x7f", b"\x7f"),
        ("ctrl+c", "\x03", b"\x03"),
        ("ctrl+z", "\x1a", b"\x1a"),
        ("ctrl+at", "\x00", b"\x00"),
        ("ctrl+backslash", "\x1c", b"\x1c"),
        ("alt+x", None, b"\x1bx"),
        ("up", None, b"\x1b[A"),
        ("f12", None, b"\x1b[24~"),
        ("ctrl+f5", None, b""),
    ],
)
def test_a_key_sends_what_a_serial_terminal_sends(
    key: str, character: str | None, data: bytes
) -> None:
    assert serial_bytes(key, character) == data


def test_pasted_lines_end_as_if_with_enter() -> None:
    assert pasted_bytes("a\nb\r\nc") == b"a\rb\rc"


class ConsoleApp(PartApp):
    def __init__(self) -> None:
        super().__init__(SerialView())

    def on_console_part_typed(self, event: Any) -> None:
        self.heard.append(event.data)


async def test_only_between_enter_and_the_leaving_key_is_anything_sent() -> None:
    app = ConsoleApp()
    async with app.run_test() as pilot:
        app.part.focus()
        await pilot.press("x", "enter", "x", "tab", "escape", "ctrl+c", "enter")
        await pilot.press("ctrl+right_square_bracket", "y")
        await pilot.pause()
        assert app.heard == [b"x", b"\t", b"\x1b", b"\x03", b"\r"]


async def test_a_paste_is_sent_as_a_whole() -> None:
    app = ConsoleApp()
    async with app.run_test() as pilot:
        app.part.focus()
        await pilot.press("enter")
        app.part.post_message(events.Paste("one\ntwo"))
        await pilot.pause()
        assert app.heard == [b"one\rtwo"]


async def test_losing_the_focus_ends_it() -> None:
    app = ConsoleApp()
    async with app.run_test() as pilot:
        app.part.focus()
        await pilot.press("enter")
        app.screen.set_focus(None)
        await pilot.pause()
        assert not app.part.takes_keys  # type: ignore[attr-defined]


async def test_a_part_says_how_to_type_into_it() -> None:
    app = ConsoleApp()
    async with app.run_test() as pilot:
        await pilot.pause()
        app.set_focus(None)
        await pilot.pause()
        assert "types" not in str(app.part.border_title)
        app.part.focus()
        await pilot.pause()
        assert "Enter types" in str(app.part.border_title)
        await pilot.press("enter")
        assert "ctrl+] leaves" in str(app.part.border_title)


async def test_a_part_whose_guest_waits_for_a_key_says_how_to_give_it() -> None:
    app = ConsoleApp()
    async with app.run_test():
        assert isinstance(app.part, SerialView)
        app.part.want_keys(True)
        assert "waits for a key: i types" in str(app.part.border_title)
        app.part.want_keys(False)
        assert "waits" not in str(app.part.border_title)
