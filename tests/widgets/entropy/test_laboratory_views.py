"""The views of the laboratory: curves, contention, the health of a stream."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult

from kdash.backends.entropy.contention_facts import MEASURED, SIMULATED, Contention, Point, Shares
from kdash.backends.entropy.health.stream import HealthStream
from kdash.backends.entropy.health_facts import (
    AdaptiveProportion,
    Fips140,
    Health,
    RepetitionCount,
    Verdict,
)
from kdash.widgets.entropy.braille import BLANK
from kdash.widgets.entropy.contention_view import ContentionView
from kdash.widgets.entropy.curves import LABELS, Curve, curve_lines, short
from kdash.widgets.entropy.health_view import SOURCES, HealthView
from kdash.widgets.entropy.tone_lines import ToneLines, plain

SIZES = [(78, 20), (49, 30), (118, 40), (156, 44)]


def point(threads: int, pools: int, rate: float, spin: float, origin: str = MEASURED) -> Point:
    kind = "node" if origin == SIMULATED else "pool"
    design = f"{pools} {kind}{'' if pools == 1 else 's'}" if pools else "getrandom"
    shares = Shares(spin, (1 - spin) / 2, (1 - spin) / 2) if pools else None
    return Point(design, threads, pools, rate, rate * 1.5, 500.0, 0.9, shares, 10, origin)


MEASURED_HERE = Contention(
    4, 1, tuple(
        point(threads, pools, 1e6 * max(1, pools) / threads, 0.85 if pools == 1 else 0.0)
        for threads in (1, 2, 4) for pools in sorted({1, threads, 0})
    ),
)  # fmt: skip
SIMULATED_THERE = tuple(
    point(30 * sockets, nodes, 250_000.0 * nodes, 0.5, SIMULATED)
    for sockets in (1, 2, 4) for nodes in sorted({1, sockets, 30 * sockets})
)  # fmt: skip


class Host(App[None]):
    def __init__(self, view: ToneLines) -> None:
        super().__init__()
        self.view = view
        self.asked: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.view

    def on_contention_view_measure(self) -> None:
        self.asked.append("measure")

    def on_health_view_test(self, event: HealthView.Test) -> None:
        self.asked.append(f"{event.source} {event.again}")


curves = st.builds(
    Curve,
    points=st.lists(
        st.tuples(st.floats(0, 1000), st.floats(0, 1e9)), min_size=1, max_size=6
    ).map(lambda points: tuple(sorted(points))),
    tone=st.sampled_from(["good", "bad"]),
    dotted=st.booleans(),
)  # fmt: skip


@given(st.lists(curves, max_size=4), st.integers(LABELS + 8, 150), st.integers(4, 30))
def test_curves_fill_exactly_the_room_they_are_given(
    drawn: list[Curve], width: int, height: int
) -> None:
    lines = curve_lines(drawn, width, height, "reads/s", "threads")
    assert len(lines) == height
    assert max(cell_len(plain(line)) for line in lines) == width


def dots(curve: Curve) -> int:
    """How many dots of a chart a curve fills."""
    rows = [plain(line)[LABELS + 1 :] for line in curve_lines([curve], 80, 12, "", "")[:-2]]
    return sum((ord(char) - BLANK).bit_count() for row in rows for char in row)


def test_a_dotted_curve_has_fewer_dots_than_a_solid_one() -> None:
    points = ((1.0, 10.0), (100.0, 500.0))
    solid, dotted = (dots(Curve(points, "good", dotted)) for dotted in (False, True))
    assert 0 < dotted < solid / 2


def test_letters_of_curves_that_meet_stand_side_by_side() -> None:
    ends = (("a", 1.0), ("b", 9.0), ("c", 5.0))
    met = [Curve(((0.0, 5.0), (9.0, y)), "good", mark=mark) for mark, y in ends]
    drawn = [plain(line) for line in curve_lines(met, 40, 8, "reads/s", "threads")]
    assert any("abc" in line for line in drawn)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (9999, "9999"), (167_000, "167k"), (2_150_000, "2.15M")],
)
def test_rates_are_told_in_few_characters(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize("size", SIZES)
async def test_contention_fits_the_width_and_keeps_both_experiments_apart(
    size: tuple[int, int],
) -> None:
    view = ContentionView()
    app = Host(view)
    async with app.run_test(size=size) as pilot:
        view.show_measured(MEASURED_HERE, "")
        view.show_simulated(SIMULATED_THERE)
        await pilot.pause()
        lines = view.text.splitlines()
        assert max(cell_len(line.rstrip()) for line in lines) <= size[0]
        assert "MEASURED on this machine" in view.text
        assert "4 processors, 1 NUMA node" in view.text
        assert f"SIMULATED  {SIMULATED}" in view.text
        assert "getrandom" in view.text
        assert "4 nodes" in view.text


async def test_curves_are_known_by_letters_as_well_as_by_colours() -> None:
    view = ContentionView()
    async with Host(view).run_test(size=(156, 44)) as pilot:
        view.show_measured(MEASURED_HERE, "")
        view.show_simulated(SIMULATED_THERE)
        await pilot.pause()
        assert "a⠒ 1 pool for all threads" in view.text
        assert "n⠂ a pool for each node" in view.text
        assert "c⠂ a pool for each CPU" in view.text
        assert "!85%" in view.text
        assert "80% ▼" in view.text


async def test_a_measurement_beside_other_work_says_that_it_is_too_low() -> None:
    view = ContentionView()
    poor = replace(MEASURED_HERE, points=(replace(MEASURED_HERE.points[0], cpu_share=0.3),))
    async with Host(view).run_test(size=(156, 44)) as pilot:
        view.show_measured(MEASURED_HERE, "")
        await pilot.pause()
        assert "Other work" not in view.text
        view.show_measured(poor, "")
        await pilot.pause()
        assert "Other work" in view.text


async def test_before_anything_is_measured_the_view_says_how_to() -> None:
    view = ContentionView()
    app = Host(view)
    async with app.run_test(size=SIZES[0]) as pilot:
        await pilot.pause()
        assert "nothing yet: r measures" in view.text
        view.focus()
        await pilot.press("r")
        await pilot.pause()
        assert app.asked == ["measure"]


async def test_a_measurement_that_failed_says_why() -> None:
    view = ContentionView()
    async with Host(view).run_test(size=SIZES[0]) as pilot:
        view.show_measured(None, "no threads \x1b[31m", failed=True)
        await pilot.pause()
        assert "no threads \\x1b[31m" in view.text


def health(*, fails: bool) -> Health:
    verdicts = (
        Verdict("fips140", not fails, "94 of 100 blocks failed", "about 0.08%"),
        Verdict("mcv_bits", None, "too few bytes", ""),
    )
    counts = Fips140(100, 94, 94, 48, 13, 0, 0) if fails else Fips140(100, 0, 0, 0, 0, 0, 0)
    return Health(
        250_004, 1.0, counts, RepetitionCount(21, 3, 0), AdaptiveProportion(512, 311, 488, 9, 0),
        verdicts=verdicts,
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
async def test_verdicts_are_told_with_what_they_do_not_say(size: tuple[int, int]) -> None:
    view = HealthView()
    async with Host(view).run_test(size=size) as pilot:
        view.show_health(health(fails=True), "")
        await pilot.pause()
        assert "FAIL" in view.text
        assert "monobit 94, poker 48, runs 13" in view.text.replace("\n", " ")
        assert "says nothing about seeding" in view.text.replace("\n", " ")


async def test_a_short_stream_says_which_tests_could_not_judge_it() -> None:
    view = HealthView()
    short_one = HealthStream()
    short_one.feed(bytes(range(40)))
    async with Host(view).run_test(size=(118, 40)) as pilot:
        view.show_health(short_one.health(), "")
        await pilot.pause()
        assert "Too few bytes to judge by: FIPS 140-2, adaptive proportion, most" in view.text


async def test_keys_test_a_source_again_and_choose_another() -> None:
    view = HealthView()
    app = Host(view)
    async with app.run_test(size=SIZES[0]) as pilot:
        view.focus()
        await pilot.press("r", "t")
        await pilot.pause()
        assert app.asked == [f"{SOURCES[0]} False", f"{SOURCES[1]} True"]
        for _ in SOURCES[1:]:
            await pilot.press("t")
        assert view.source == SOURCES[0]
