"""Counts over the files validated."""

import pytest

from kdash.backends.stack.facts import FileReport
from kdash.widgets.stack.tally import Tally
from tests.widgets.stack.made import BROKEN, UNREACHABLE, finding, mixed, report


def tally_of(*reports: FileReport) -> Tally:
    tally = Tally()
    for one in reports:
        tally.add(one)
    return tally


def test_everything_is_counted() -> None:
    tally = tally_of(*mixed())
    assert (tally.files, tally.functions, tally.unreadable) == (5, 40, 1)
    assert (tally.errors, tally.warnings, tally.findings) == (3, 1, 4)
    assert tally.kinds == {"call-without-frame": 2, "unreachable": 1, "return-modified": 1}


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ((report(),), "no findings"),
        ((report(finding()),), "1 error"),
        ((report(finding(), finding(), UNREACHABLE), BROKEN), "2 errors, 1 warning, 1 unreadable"),
        ((BROKEN,), "1 unreadable"),
    ],
)
def test_the_outcome_is_said_in_words(reports: tuple[FileReport, ...], outcome: str) -> None:
    assert tally_of(*reports).outcome() == outcome
