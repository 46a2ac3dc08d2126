"""The real program on a pseudo-terminal: start, keys, signals, unfit terminals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal.program import ROOT, Program

pytestmark = pytest.mark.terminal


@pytest.mark.kvm
def test_it_opens_on_the_article_guest_with_its_registers() -> None:
    with Program() as program:
        screen = program.wait_for("rax", "rbx", "1000", "mov dx,0x3f8")
        assert "1 VCPU" in screen
        program.press("q")
        assert program.end() == 0
        assert program.restored


@pytest.mark.kvm
def test_stepping_to_the_end_prints_4_and_halts() -> None:
    with Program() as program:
        program.wait_for("rax")
        program.press(*"ssss")
        program.wait_for("out 0x3f8")
        program.press(" ")
        program.wait_for("HLT")
        program.press("q")
        assert program.end() == 0


def test_the_digits_switch_panes() -> None:
    with Program() as program:
        program.wait_for("1 VCPU", "3 Entropy")
        program.press("2")
        program.wait_for("▸2 Stack")
        program.press("3")
        program.wait_for("▸3 Entropy", "boot progress")
        program.press("1")
        program.wait_for("▸1 VCPU")
        program.press("q")
        assert program.end() == 0


def test_three_panes_stand_side_by_side_on_a_wide_terminal() -> None:
    with Program(columns=160, lines=48) as program:
        program.wait_for("─ VCPU", "─ Stack", "─ Entropy")
        program.press("2", "z")
        program.wait_without("─ Entropy")
        program.press("z")
        program.wait_for("─ Entropy")
        program.press("q")
        assert program.end() == 0


def test_the_help_lists_the_keys_and_closes() -> None:
    with Program(columns=100, lines=40) as program:
        program.wait_for("1 VCPU")
        program.press("?")
        program.wait_for("VCPU pane", "Step the guest")
        program.press("\x1b[6~", "\x1b[6~")  # page down: the keys of every pane stand below
        program.wait_for("Everywhere", "Leave kdash")
        program.press("\x1b")
        program.wait_without("Leave kdash")
        program.press("q")
        assert program.end() == 0


def test_an_unknown_command_word_is_answered_with_the_known_ones() -> None:
    with Program(columns=120, lines=40) as program:
        program.wait_for("1 VCPU")
        program.press("3", ":")
        program.press(*"dance\r")
        program.wait_for("unknown command 'dance'")
        program.press("q")
        assert program.end() == 0


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGQUIT, 131)],
)
def test_a_signal_ends_it_with_its_status_and_restores_the_terminal(
    number: signal.Signals, status: int
) -> None:
    with Program() as program:
        program.wait_for("1 VCPU", "q Quit")
        program.child.kill(number)
        assert program.end() == status
        assert program.restored


@pytest.mark.kvm
@pytest.mark.parametrize(("size", "word"), [((20, 6), "too small"), ((160, 48), "VCPU")])
def test_a_terminal_that_vanishes_ends_it(size: tuple[int, int], word: str, tmp_path: Path) -> None:
    guest = tmp_path / "exits.bin"
    guest.write_bytes(bytes.fromhex("e680ebfc"))  # out 0x80,al; jmp back: much to draw
    with Program(str(guest), columns=size[0], lines=size[1]) as program:
        program.wait_for(word)
        program.press("c")
        assert program.vanish() == 129


@pytest.mark.kvm
def test_a_guests_console_takes_every_key_and_gives_the_keyboard_back(tmp_path: Path) -> None:
    guest = tmp_path / "echo.bin"
    # mov dx,0x3fd; in al,dx; test al,1; jz back; mov dx,0x3f8; in al,dx; out dx,al; jmp back
    guest.write_bytes(bytes.fromhex("bafd03eca80174f8baf803eceeebf1"))
    with Program(str(guest), columns=120, lines=40) as program:
        program.wait_for("ready")
        program.press(" ")
        program.wait_for("running")
        program.press("i")
        program.wait_for("keys go to the guest, ctrl+] leaves")
        program.press(*"q:2?")
        program.child.send("\x1b[200~pasted text\x1b[201~")
        program.wait_for("q:2?pasted text")
        program.press("\x1d")
        program.wait_without("keys go to the guest")
        program.press("q")
        assert program.end() == 0


def test_suspend_goes_back_to_the_shell_and_fg_brings_the_screen_back() -> None:
    with Program(shell=True) as program:
        program.wait_for("q Quit")
        program.press("\x1a")
        program.wait_for("Stopped")
        before = len(program.raw)
        program.press(*"fg\r")
        # The terminal keeps nothing of the alternate screen: every part is sent again.
        program.wait_for_sent(b"VCPU", b"rax", b"Exits", b"Quit", since=before)
        program.press("q")
        program.wait_restored()
        program.press(*"echo status $?\r")
        program.wait_for("status 0")


def test_nothing_is_left_running_after_the_end() -> None:
    with Program(columns=160, lines=48) as program:
        program.wait_for("3 Entropy")
        child = program.child.pid
        program.press("q")
        program.end()
        assert processes_of_session(child) == []


def processes_of_session(session: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(folder.name))
    return found


def test_markup_and_escapes_in_a_file_name_are_shown_not_obeyed(tmp_path: Path) -> None:
    evil = tmp_path / "[red]x\x1b]0;owned\x07.o"
    evil.write_bytes(b"not an object")
    with Program(str(evil), columns=160, lines=40) as program:
        program.wait_for("[red]x")
        assert b"\x1b]0;owned" not in program.raw
        program.press("q")
        assert program.end() == 0


def test_sixteen_colours_use_no_other_colours() -> None:
    with Program(env={"TERM": "xterm", "COLORTERM": ""}) as program:
        program.wait_for("1 VCPU", "q Quit")
        program.press("q")
        assert program.end() == 0
        assert b"38;2;" not in program.raw
        assert b"48;2;" not in program.raw


def test_no_color_draws_no_colour() -> None:
    with Program(env={"NO_COLOR": "1"}) as program:
        program.wait_for("1 VCPU", "q Quit")
        program.press("q")
        assert program.end() == 0


@pytest.mark.parametrize(("term", "words"), [("dumb", "TERM is dumb"), ("", "TERM is not set")])
def test_an_unfit_terminal_is_named_in_one_line(term: str, words: str) -> None:
    with Program(env={"TERM": term}) as program:
        assert program.end() == 2
        assert words in program.text.replace("\n", "")
        assert b"\x1b[?1049h" not in program.raw


def test_with_standard_error_redirected_it_draws_on_standard_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Program(
        "--engine", "emulator", within=("sh", "-c", f'exec "$@" 2>{log}', "sh")
    ) as program:
        program.wait_for("1 VCPU", "rax")
        program.press("?")
        program.wait_for("VCPU pane")
        program.press("\x1b")
        program.wait_without("VCPU pane")
        program.press("q")
        assert program.end() == 0
        assert program.restored
    assert log.read_bytes() == b""


def test_bytes_that_are_no_utf8_do_no_harm() -> None:
    with Program("--engine", "emulator") as program:
        program.wait_for("1 VCPU", "rax")
        program.child.send(b"\xe9\xff\xfe\x80")
        program.press("?")
        program.wait_for("VCPU pane")
        program.press("\x1b")
        program.wait_without("VCPU pane")
        program.press("q")
        assert program.end() == 0


def test_a_terminal_nobody_is_told_of_ends_it_as_a_hangup_when_it_goes() -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kdash", "--engine", "emulator"], stdin=terminal, stdout=terminal,
        stderr=terminal, cwd=ROOT, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(terminal)
    drawn = b""
    while b"rax" not in drawn:
        drawn += os.read(controller, 1 << 16)
    os.close(controller)
    assert process.wait(30) == 129


def test_a_storm_of_sizes_ends_in_the_picture_of_the_last_one() -> None:
    with Program("--engine", "emulator", columns=160, lines=48) as program:
        program.wait_for("─ VCPU", "─ Entropy")
        for step in range(15):
            program.child.setwinsize(1 + step * 7 % 50, 1 + step * 37 % 200)
            program.pump(0.01)
        program.child.setwinsize(48, 160)
        since = len(program.raw)
        program.wait_for_sent(b"VCPU", b"Stack", b"Entropy", b"Quit", since=since)
        program.press("q")
        assert program.end() == 0
        assert program.restored


def test_40x12_says_too_small_and_the_panes_are_there_again_once_there_is_room() -> None:
    with Program("--engine", "emulator", columns=40, lines=12) as program:
        screen = program.wait_for("too small", "40x12; kdash needs 48x12")
        assert "rax" not in screen
        program.resize(80, 24)
        program.wait_for("rax", "q Quit")
        program.wait_without("too small")
        program.resize(40, 12)
        program.wait_for("too small")
        program.press("q")
        assert program.end() == 0
        assert program.restored


def test_the_first_start_names_a_key_that_shows_what_to_try_and_no_later_one_does(
    tmp_path: Path,
) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path)}
    with Program("--engine", "emulator", env=state) as program:
        program.wait_for("EMULATED ready", "3 Entropy")
        assert not (tmp_path / "kdash" / "first-start").exists()  # who gives arguments knows
        program.press("q")
        program.end()
    with Program(env=state, lines=48) as program:
        program.wait_for("First time here? F2")
        program.press("\x1bOQ")
        program.wait_for("What to try", "VCPU: step a guest", "Entropy: is this machine seeded?")
        program.press("\x1b")
        program.wait_without("What to try")
        program.press("q")
        assert program.end() == 0
    with Program(env=state, lines=48) as program:
        program.wait_for("1 VCPU", "ready", "3 Entropy ready")
        assert "First time here" not in program.text
        program.press("q")
        assert program.end() == 0
