import math
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.facts import Extent
from kdash.backends.entropy.history import TIERS, History
from kdash.backends.entropy.history_file import Memory, NoHistoryError, load, save

BOOT = "0f2d37a8-6f0e-4a79-9a4f-3c6b7f2f8a01"


def history_of(*samples: tuple[float, float]) -> History:
    history = History()
    for when, value in samples:
        history.add(when, {"irq": value})
    return history


def test_readings_land_in_the_second_they_were_taken() -> None:
    history = history_of((97.0, 1.0), (98.4, 3.0), (100.0, 4.0))
    assert history.window("irq", 100.0, 1.0, 5) == [
        None, Extent(1, 1, 1), Extent(3, 3, 3), None, Extent(4, 4, 4),
    ]  # fmt: skip


def test_a_column_tells_the_least_mean_and_greatest_of_its_readings() -> None:
    history = history_of(*((100.0 + n, float(n)) for n in range(10)))
    assert history.window("irq", 109.0, 10.0, 1) == [Extent(0.0, 4.5, 9.0)]


def test_columns_stand_still_when_time_goes_on() -> None:
    history = history_of(*((float(n), float(n % 7)) for n in range(300)))
    before = history.window("irq", 290.0, 10.0, 20)
    assert history.window("irq", 299.0, 10.0, 20) == before


def test_a_short_gap_holds_what_was_before_and_a_long_one_stays() -> None:
    history = history_of((100.0, 1.0), (103.0, 2.0), (110.0, 3.0))
    held = [e and e.mean for e in history.window("irq", 110.0, 1.0, 11, hold=3.0)]
    assert held == [1, 1, 1, 2, None, None, None, None, None, None, 3]


def test_hours_are_remembered_more_coarsely_than_minutes() -> None:
    history = History()
    day = 86_400
    for second in range(0, day, 5):
        history.add(second, {"irq": 1.0, "level": 256.0})
    history.add(day - 1000, {"irq": 50.0})
    spans = history.window("irq", day - 1, 600.0, 143)
    assert all(spans)
    assert max(span.high for span in spans if span) == 50.0


def test_the_past_beyond_the_fine_slots_comes_from_the_coarse_ones() -> None:
    history = history_of(*((float(second), second / 60.0) for second in range(3600)))
    spans = history.window("irq", 100.0, 1.0, 3)
    assert [span and (span.low, span.high) for span in spans] == [
        (90 / 60, 99 / 60), (90 / 60, 99 / 60), (100 / 60, 109 / 60),
    ]  # fmt: skip


def test_a_slot_that_two_histories_have_keeps_the_extremes_of_both() -> None:
    before, after = history_of((50_225.0, 648.0)), history_of((50_235.0, 142.0))
    for _ in range(2):  # taken in again it changes nothing
        after.merge(before)
    for step in (60.0, 600.0):
        (found,) = after.window("irq", 50_235.0, step, 1)
        assert found is not None
        assert (found.low, found.high) == (142.0, 648.0)


def test_what_is_no_number_is_left_out() -> None:
    history = history_of((100.0, math.nan), (101.0, math.inf), (-5.0, 1.0))
    assert history.newest == -math.inf


def test_a_time_that_steps_back_disturbs_nothing() -> None:
    history = history_of((5000.0, 1.0), (100.0, 9.0), (5001.0, 2.0))
    assert history.newest == 5001.0
    assert [e and e.mean for e in history.window("irq", 5001.0, 1.0, 2)] == [1.0, 2.0]


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=30),
    st.floats(0, 1e6),
    st.sampled_from([1.0, 2.0, 7.0, 60.0, 600.0]),
    st.integers(1, 60),
)
def test_every_window_has_its_columns_in_order(
    samples: list[tuple[float, float]], end: float, step: float, count: int
) -> None:
    spans = history_of(*samples).window("irq", end, step, count)
    assert len(spans) == count
    assert all(span.low <= span.mean <= span.high for span in spans if span)


def test_a_file_gives_back_what_was_put_into_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history"
    history, memory = history_of((100.0, 1.0), (101.0, 3.0)), Memory(7, 90.0, 91.0, "tpm")
    save(path, BOOT, history, memory)
    loaded, remembered = load(path, BOOT, 102.0)
    assert loaded.columns() == history.columns()
    assert (loaded.newest, remembered) == (101.0, memory)


def test_the_file_is_for_its_owner_alone_and_of_a_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "history"
    history = History()
    for second in range(0, 86_400, 10):
        history.add(second, dict.fromkeys(("irq", "level", "latency"), second * 1.37))
    save(path, BOOT, history, Memory())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    slots = sum(count for _, count in TIERS)
    assert path.stat().st_size < 8 * slots * 25 + 4096
    assert [found.name for found in tmp_path.iterdir()] == ["history"]


def test_what_claims_to_be_of_the_future_is_dropped(tmp_path: Path) -> None:
    save(tmp_path / "h", BOOT, history_of((100.0, 1.0), (9000.0, 3.0)), Memory(7, 1.0, 8000.0))
    loaded, memory = load(tmp_path / "h", BOOT, 200.0)
    assert loaded.newest == 100.0
    assert memory == Memory()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data.replace(b"0f2d37a8", b"ffffffff"), "of another boot"),
        (lambda data: data.replace(b'"version": 1', b'"version": 2'), "of another version"),
        (lambda data: data.replace(b"900", b"901"), "of another version"),
        (lambda data: data[:-20], "damaged"),
        (lambda data: data[:-20] + b"x" * 20, "damaged"),
        (lambda data: b"", "no history of kdash"),
        (lambda data: b"[" * 4000 + b"\n", "no history of kdash"),
        (lambda data: data + b"x" * (1 << 21), "too large"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(
    tmp_path: Path, change: object, why: str
) -> None:
    path = tmp_path / "h"
    save(path, BOOT, history_of((100.0, 1.0)), Memory())
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(NoHistoryError, match=why):
        load(path, BOOT, 200.0)


def test_a_folder_or_a_missing_file_holds_no_history(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NoHistoryError):
            load(path, BOOT, 200.0)


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "h"
    save(path, BOOT, history_of((100.0, 1.0)), Memory())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        save(path, BOOT, history_of((500.0, 1.0)), Memory())
    assert load(path, BOOT, 200.0)[0].newest == 100.0
    assert [found.name for found in tmp_path.iterdir()] == ["h"]
