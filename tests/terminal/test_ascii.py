"""The real program where only ASCII is drawn: nothing else is sent, in any view."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal.program import Program

pytestmark = pytest.mark.terminal


def drawn(program: Program) -> str:
    """All characters sent so far that no terminal of ASCII has."""
    return "".join(sorted({one for one in program.raw.decode() if not one.isascii()}))


def walk(program: Program) -> None:
    """Through the panes, their views, the help, a dialog and the prompt."""
    program.wait_for("1 VCPU", "q Quit")
    for pane in "123":
        program.press(pane)
        program.wait_for(f">{pane} ")
        program.press(">", ">", ">", "j")
        program.pump(0.3)
    program.press("?")
    program.wait_for("Everywhere")
    program.press("\x1b")
    program.wait_without("Everywhere")
    program.press("1", *"ss", "o")
    program.wait_for("Enter opens")
    program.press("\x1b")
    program.wait_without("Enter opens")
    program.press("q")
    assert program.end() == 0


def test_no_other_character_is_sent_in_any_pane() -> None:
    with Program("--ascii", "--engine", "emulator", columns=160, lines=48) as program:
        walk(program)
        assert drawn(program) == ""


def test_the_locale_c_is_drawn_in_ascii() -> None:
    with Program("--engine", "emulator", env={"LC_ALL": "C"}) as program:
        program.wait_for("1 VCPU", "q Quit")
        program.press("q")
        assert program.end() == 0
        assert drawn(program) == ""


def test_names_of_the_users_are_drawn_in_ascii_too(tmp_path: Path) -> None:
    guest = tmp_path / "größe-日本.bin"
    guest.write_bytes(b"\xf4")
    with Program("--ascii", "--engine", "emulator", str(guest), columns=160) as program:
        program.wait_for("gro?e-????.bin")
        program.press("q")
        assert program.end() == 0
        assert drawn(program) == ""
