"""The line that says how far a long run is."""

from __future__ import annotations

import io

import pytest

from kdash.backends.stack.facts import FileReport
from kdash.backends.stack.formats import TextForm
from kdash.commands import stack_progress
from kdash.commands.stack_output import print_reports
from kdash.commands.stack_progress import ERASE, Progress
from tests.backends.stack.test_sarif import BARE


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on which every run is long and every beat is over."""
    monkeypatch.setattr(stack_progress, "LONG", 0.0)
    monkeypatch.setattr(stack_progress, "BEAT", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    return Terminal()


def test_only_a_terminal_gets_one() -> None:
    assert Progress.on(io.StringIO(), ["x.o"]) is None
    assert Progress.on(Terminal(), ["x.o"]) is not None


def test_a_short_run_draws_nothing() -> None:
    terminal = Terminal()
    progress = Progress(terminal, 2)
    progress.done("x.o", 0)
    progress.end()
    assert terminal.getvalue() == ""


def test_it_tells_files_and_findings_and_fits_the_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    progress = Progress(terminal, 4)
    progress.done("a/very/long/path/that/does/not/fit/x\x1b.o", 3)
    line = terminal.getvalue().removeprefix(ERASE)
    assert line.startswith("[######..................] of 4: 1 files, 3 findings  ")
    assert line.endswith("x\\x1b.o")
    assert len(line) < 70


def test_findings_are_printed_where_it_stood_and_nothing_of_it_stays(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(terminal, 2)
    reports = [FileReport("a.o"), FileReport("b.o", (BARE,))]
    print_reports(reports, TextForm(), progress)
    assert capsys.readouterr().out.count("\n") == 1
    drawn = terminal.getvalue()
    assert drawn.count("of 2: 1 files") == 2  # drawn, and again behind the finding
    assert drawn.endswith(ERASE)


def test_where_the_number_of_files_is_not_known_there_is_no_bar(terminal: Terminal) -> None:
    progress = Progress.on(terminal, [])
    assert progress is not None
    progress.done("x.o", 2)
    assert terminal.getvalue() == f"{ERASE}1 files, 2 findings  x.o"
