"""Exits by kind, with shares and rates."""

from __future__ import annotations

from kdash.backends.kvm.facts import RunState
from kdash.widgets.vcpu.exits import ExitList
from kdash.widgets.vcpu.histogram import MOST, histogram_lines
from tests.widgets.vcpu.made import PartApp, drawn, io_exit, snapshot

COUNTS = (("IO", 300), ("MMIO", 100))


def test_a_line_tells_count_share_and_has_a_bar_of_its_length() -> None:
    first, second = histogram_lines(COUNTS, {}, 60)
    assert first.text.split()[:3] == ["IO", "300", "75%"]
    assert second.text.split()[:3] == ["MMIO", "100", "25%"]
    assert first.text.count("█") == 3 * second.text.count("█") or first.width == 59
    assert first.width <= 60


def test_while_the_guest_runs_each_kind_has_its_rate() -> None:
    assert "12.0k/s" in histogram_lines(COUNTS, {"IO": 12_000.0}, 60)[0].text


def test_many_kinds_share_the_last_line() -> None:
    counts = tuple((f"K{i}", 10 - i) for i in range(9))
    lines = histogram_lines(counts, {}, 60)
    assert len(lines) == MOST
    assert lines[-1].text.startswith("4 others")


def test_without_exits_there_is_nothing() -> None:
    assert histogram_lines((), {}, 60) == []


async def test_the_list_of_exits_shows_the_kinds_where_it_has_all_the_room() -> None:
    part = ExitList()
    async with PartApp(part).run_test(size=(80, 20)) as pilot:
        shown = snapshot(
            exits=(io_exit(0),), exits_total=400, exit_counts=COUNTS, state=RunState.STOPPED
        )
        part.show(shown)
        assert "IO 300 MMIO 100" in str(part.border_title)
        part.set_alone(True)
        part.show(shown)
        await pilot.pause()
        assert part.histogram is not None
        assert drawn(part.histogram).splitlines()[0].startswith("IO")
        assert part.histogram.size.height == 2
