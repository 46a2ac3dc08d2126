"""The status line says what matters, and the most important part last of all goes."""

from dataclasses import replace

import pytest

from kdash.backends.kvm.facts import KEY_WANTED, Outcome, RecordingView, RunState
from kdash.widgets.vcpu.rate import Rate
from kdash.widgets.vcpu.status import amount, status_line

from .made import snapshot


def test_a_guest_just_loaded_is_ready() -> None:
    assert status_line(snapshot(), 1, "", 100).text == (
        "○ ready   steps 0   exits 0   s 1 step   article guest (12 bytes)   on kvm"
    )


def test_a_run_at_full_speed_counts_no_steps() -> None:
    ended = snapshot(
        state=RunState.ENDED, exits_total=3, outcome=Outcome.HLT, detail="HLT", full_speed=True
    )
    text = status_line(ended, 1, "", 100).text
    assert "ran at full speed   exits 3" in text
    assert "steps" not in text
    assert "steps 3, then at full speed" in status_line(replace(ended, steps=3), 1, "", 100).text


def test_while_a_guest_runs_at_full_speed_no_steps_are_told() -> None:
    running = snapshot(state=RunState.RUNNING, full_speed=True)
    assert status_line(running, 1, "0 exits/s", 100).text.startswith(
        "▶ running   0 exits/s   at full speed   exits 0"
    )


def test_the_past_is_told_in_moments() -> None:
    past = RecordingView(first=0, last=20, position=12, bytes=0, limit=1)
    text = status_line(snapshot(state=RunState.STOPPED, steps=11, recording=past), 1, "", 100).text
    assert text.startswith("‖ stopped   REPLAY moment 12 of 20   output is not sent again")
    assert "steps 11" in text


def test_the_reason_of_a_stop_is_kept_before_the_long_form_of_the_place() -> None:
    past = RecordingView(first=0, last=20, position=0, bytes=0, limit=1)
    begin = snapshot(state=RunState.STOPPED, recording=past, detail="the recording begins here")
    assert status_line(begin, 1, "", 52).text == (
        "‖ stopped   the recording begins here   REPLAY 0/20"
    )


@pytest.mark.parametrize("width", [40, 52, 78])
def test_a_recording_from_a_file_keeps_its_name_and_its_place(width: int) -> None:
    made = RecordingView(
        0, 20, position=12, bytes=0, limit=1, from_file=True, file="boot.kdash"
    )  # fmt: skip
    text = status_line(snapshot(state=RunState.STOPPED, recording=made), 1, "", width).text
    assert text.startswith("‖ RECORDED   boot")
    assert "12" in text and "20" in text


def test_a_guest_of_a_file_that_went_on_is_live() -> None:
    made = RecordingView(0, 25, position=25, bytes=0, limit=1, live_from=20)
    text = status_line(snapshot(state=RunState.STOPPED, recording=made), 1, "", 80).text
    assert text.startswith("‖ stopped   LIVE from moment 20")


def test_the_step_size_is_shown() -> None:
    assert "s 20 steps" in status_line(snapshot(), 20, "", 100).text


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


def test_a_long_cause_is_cut_and_never_dropped() -> None:
    cause = "device Lamp: ValueError: the lamp takes no 8, at 0x1006"
    ended = snapshot(state=RunState.ENDED, failure=f"{cause}\nTraceback", detail=cause)
    assert cause in status_line(ended, 1, "", 120).text
    assert "Traceback" not in status_line(ended, 1, "", 120).text
    text = status_line(ended, 1, "", 49).text
    assert text.startswith("■ ended   device Lamp: ValueError")
    assert text.endswith("…")


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


def test_a_guest_that_waits_for_a_key_has_no_rate() -> None:
    rate = Rate()
    rate.add(0.0, snapshot(exits_total=0))
    assert rate.add(1.0, snapshot(exits_total=50)) == "50 exits/s"
    assert not rate.add(1.1, snapshot(exits_total=50, detail=KEY_WANTED))
    assert not rate.add(1.2, snapshot(exits_total=50))


def test_the_rate_of_a_guest_that_does_nothing_more_falls_to_zero() -> None:
    rate = Rate()
    still = snapshot(exits_total=50)
    rate.add(0.0, snapshot(exits_total=0))
    rate.add(0.5, still)
    rates = [rate.add(seconds / 10, still) for seconds in range(6, 40)]
    assert rates[-1] == "0 exits/s"
