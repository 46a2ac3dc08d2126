"""The model's thread: steps of its own, operations in between, errors kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from kdash.backends.entropy.live_model import LiveModel
from kdash.panes.entropy_model import ModelThread
from tests.backends.entropy.given_feed import GivenFeed, half_seconds


def until(condition: Callable[[], Any]) -> Any:
    for _ in range(2000):
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError("it never came")


@pytest.fixture
def thread() -> Any:
    running = ModelThread(LiveModel, period=0.01)
    running.start()
    yield running
    running.stop()


def test_the_feed_steps_the_model_and_every_step_is_handed_out_once(thread: ModelThread) -> None:
    steps = [step for _ in range(5) for step in until(thread.take)]
    assert [step.index for step in steps] == list(range(len(steps)))


def test_a_frozen_feed_takes_no_steps_but_those_asked_for(thread: ModelThread) -> None:
    until(thread.take)
    thread.freeze(True)
    thread.do(lambda _: [])  # a step under way is over once the lock was had
    thread.take()
    (step,) = thread.do(lambda model: [model.mix(b"\x01")])
    time.sleep(0.05)
    assert [taken.index for taken in thread.take()] == [step.index]
    thread.freeze(False)
    until(thread.take)


def test_a_model_that_fails_ends_its_thread_and_keeps_the_cause() -> None:
    def broken() -> LiveModel:
        raise OSError("no interrupts here")

    failed = ModelThread(broken, period=0.01)
    failed.start()
    assert str(until(lambda: failed.error)) == "no interrupts here"
    with pytest.raises(RuntimeError, match="not running"):
        failed.do(lambda model: [model.step()])


def test_stop_ends_the_thread(thread: ModelThread) -> None:
    until(lambda: thread.model)
    thread.stop()
    until(lambda: all(t.name != "entropy-model" for t in threading.enumerate()))


def test_a_model_nobody_watches_rests_and_its_clock_is_set_on_when_somebody_does() -> None:
    live = LiveModel(GivenFeed(half_seconds(64)), reads={})
    while not live.may_rest:
        live.advance()
    resting = ModelThread(lambda: live, period=0.01)
    resting.watch(False)
    resting.start()
    until(lambda: resting._resting)
    before = live.snapshot()
    resting.freeze(True)
    resting.watch(True)
    first = until(resting.take)[0]
    assert "unwatched: the clock went on, 64 events left out" in first.operation
    assert live.seconds == pytest.approx(before.seconds + 0.5 * before.reached)
    resting.stop()
