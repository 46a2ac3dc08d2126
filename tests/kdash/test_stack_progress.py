"""The line that says how far a long run is."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from kdash.backends.stack.facts import FileReport
from kdash.backends.stack.formats import TextForm
from kdash.commands import stack_progress
from kdash.commands.stack_output import print_reports
from kdash.commands.stack_progress import ERASE, Progress
from kdash.commands.stack_reports import in_order
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
    assert line.startswith("[######..................] of 4: 1 file, 3 findings  ")
    assert line.endswith("x\\x1b.o")
    assert len(line) < 70


def test_findings_are_printed_where_it_stood_and_nothing_of_it_stays(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(terminal, 2)
    reports = [FileReport("a.o"), FileReport("b.o", (BARE,))]
    print_reports(progress.watch(reports), TextForm(), progress)
    assert capsys.readouterr().out.count("\n") == 1
    drawn = terminal.getvalue()
    assert drawn.count("of 2: 2 files") == 2  # drawn, and again behind the finding
    assert drawn.endswith(ERASE)


def test_where_the_number_of_files_is_not_known_there_is_no_bar(terminal: Terminal) -> None:
    progress = Progress.on(terminal, [])
    assert progress is not None
    progress.done("x.o", 2)
    assert terminal.getvalue() == f"{ERASE}1 file, 2 findings  x.o"


def test_reports_come_in_the_order_of_their_files_whatever_is_done_first() -> None:
    reports = [FileReport(name) for name in ("c.o", "new.o", "a.o", "b.o")]
    told = [one.file for one in in_order(reports, ["a.o", "b.o", "c.o"])]
    assert told == ["new.o", "a.o", "b.o", "c.o"]


def test_what_is_done_is_told_when_a_signal_ends_the_run() -> None:
    def interrupted() -> Iterator[FileReport]:
        yield FileReport("c.o")
        raise KeyboardInterrupt

    told = in_order(interrupted(), ["a.o", "c.o"])
    assert next(told).file == "c.o"
    with pytest.raises(KeyboardInterrupt):
        next(told)
