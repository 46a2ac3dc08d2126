"""The status line says what matters, and the most important part last of all goes."""

import pytest

from kdash.backends.kvm.facts import Outcome, RunState
from kdash.widgets.vcpu.rate import Rate
from kdash.widgets.vcpu.status import amount, status_line

from .made import snapshot


def test_a_guest_just_loaded_is_ready() -> None:
    assert status_line(snapshot(), 1, "", 100).text == (
        "○ ready   step 0   exits 0   s steps 1   article guest (12 bytes)   on kvm"
    )


def test_a_run_at_full_speed_counts_no_steps() -> None:
    ended = snapshot(state=RunState.ENDED, exits_total=3, outcome=Outcome.HLT, detail="HLT")
    text = status_line(ended, 1, "", 100).text
    assert "at full speed   exits 3" in text
    assert "step 0" not in text


def test_the_step_size_is_shown() -> None:
    assert "s steps 20" in status_line(snapshot(), 20, "", 100).text


def test_an_end_says_how_and_what_to_press() -> None:
    ended = snapshot(state=RunState.ENDED, outcome=Outcome.HLT, detail="HLT at 0x100b")
    line = status_line(ended, 1, "", 100)
    assert line.text.startswith("■ ended   HLT at 0x100b   R restarts")
    assert ("HLT at 0x100b", "good") in line.pieces


def test_a_bad_end_is_not_green() -> None:
    ended = snapshot(state=RunState.ENDED, outcome=Outcome.SHUTDOWN, detail="SHUTDOWN at 0x1000")
    assert ("SHUTDOWN at 0x1000", "bad") in status_line(ended, 1, "", 100).pieces


def test_a_failure_of_kvm_is_told_before_anything_else() -> None:
    failed = snapshot(state=RunState.ENDED, failure="KVM_RUN: Bad address: restart the guest")
    assert "KVM_RUN: Bad address" in status_line(failed, 1, "", 100).text


@pytest.mark.parametrize("width", range(10, 100, 7))
def test_the_line_fits_and_keeps_the_state(width: int) -> None:
    line = status_line(snapshot(steps=1_000_000, exits_total=123_456), 1, "", width)
    assert line.text.startswith("○ ready")
    assert line.width <= width


def test_a_title_with_control_characters_is_shown_escaped() -> None:
    assert r"a\x1b[31m b" in status_line(snapshot(guest="a\x1b[31m\nb"), 1, "", 100).text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (950, "950"), (12_300, "12.3k"), (950_000, "950k"), (4_100_000, "4.1M")],
)
def test_amounts_are_short(count: float, text: str) -> None:
    assert amount(count) == text


def test_the_rate_is_that_of_the_last_second() -> None:
    rate = Rate()
    assert not rate.add(0.0, snapshot(steps=0))
    assert rate.add(0.5, snapshot(steps=50)) == "100 steps/s"
    rate.add(1.0, snapshot(steps=50))
    rate.add(1.5, snapshot(steps=50))
    assert rate.add(2.0, snapshot(steps=2050)) == "2000 steps/s"


def test_at_full_speed_the_rate_counts_exits() -> None:
    rate = Rate()
    rate.add(0.0, snapshot(exits_total=0))
    assert rate.add(1.0, snapshot(exits_total=50_000)) == "50.0k exits/s"
