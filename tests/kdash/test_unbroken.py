"""Work that the signals which end a command do not break in two."""

import signal

import pytest

from kdash.commands.unbroken import unbroken


class EndedError(Exception):
    pass


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> signal.Signals:
    def end(*_: object) -> None:
        raise EndedError

    chosen: signal.Signals = request.param
    before = signal.signal(chosen, end)
    request.addfinalizer(lambda: signal.signal(chosen, before))
    return chosen


def test_a_signal_waits_until_the_work_is_done(number: signal.Signals) -> None:
    done = []
    with pytest.raises(EndedError), unbroken():
        signal.raise_signal(number)
        done.append("work")
    assert done == ["work"]


def test_a_second_signal_breaks_the_work(number: signal.Signals) -> None:
    done = []
    with pytest.raises(EndedError), unbroken():
        signal.raise_signal(number)
        signal.raise_signal(number)
        done.append("work")
    assert not done


def test_handlers_stand_again_afterwards(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with unbroken():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with unbroken():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
