"""The table that `make bench` writes, and that one benchmark's failure loses no other's figures."""

from __future__ import annotations

import platform
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))

from machine_facts import machine_facts  # noqa: E402
from measurement import Aim, Measurement, MissingError, Statistic  # noqa: E402
from readme_numbers import BEGIN, KEPT, TOLD, renewed  # noqa: E402
from results import Results, as_json, as_markdown, read  # noqa: E402
from run_all import FULL, run  # noqa: E402

RATE = Measurement(
    "steps", (90.0, 100.0, 95.0), "/s", "C loop", (100.0, 200.0, 100.0),
    Aim(0.9, least=True, ratio=True),
)  # fmt: skip
LATE = Measurement(
    "key", tuple(map(float, range(1, 101))), "ms", aim=Aim(50), statistic=Statistic.LATE
)


def benchmark(monkeypatch: pytest.MonkeyPatch, name: str, *given: object) -> None:
    def measure(*, full: bool) -> Iterator[object]:
        for one in given:
            if isinstance(one, BaseException):
                raise one
            yield one

    module = ModuleType(name)
    vars(module)["measure"] = measure
    monkeypatch.setitem(sys.modules, name, module)


def test_the_ratio_is_the_median_over_pairs_that_ran_in_turn() -> None:
    assert RATE.ratio == 0.9
    assert RATE.met


def test_a_figure_that_just_misses_its_aim_is_not_shown_as_the_aim() -> None:
    aim = Aim(0.95, least=True, ratio=True)
    assert [aim.beside(value) for value in (0.94963, 0.95, 0.9)] == ["0.94963", "0.95", "0.9"]


def test_a_late_figure_is_the_one_that_95_of_100_stay_below() -> None:
    assert 95 <= LATE.value <= 97
    assert LATE.verdict == "missed"


def test_the_json_holds_everything_that_the_table_is_made_of(tmp_path: Path) -> None:
    results = Results("2026-01-02", {"cores": "2"}, [RATE, LATE, Measurement("x", missing="no")])
    (tmp_path / "bench.json").write_text(as_json(results))
    again = read(tmp_path / "bench.json")
    assert again == results
    assert as_markdown(again) == as_markdown(results)


def test_a_row_tells_figure_peer_ratio_aim_and_whether_it_is_met() -> None:
    row = (
        "| steps | 95 /s (median of 3, 90 to 100) | C loop: 100 | 0.9 | ratio at least 0.9 | met |"
    )
    assert row in as_markdown(Results("2026-01-02", {}, [RATE]))


def test_a_benchmark_that_fails_leaves_the_others_their_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    benchmark(monkeypatch, "one", RATE, OSError("no room"))
    benchmark(monkeypatch, "two", SystemExit("nothing came"))
    benchmark(monkeypatch, "three", LATE)
    found, status = run(("one", "two", "three"), full=False, limit=60)
    assert (found[0], found[-1], status) == (RATE, LATE, 0)
    assert [one.missing for one in found[1:-1]] == [
        "OSError: no room",
        "SystemExit: nothing came",
    ]


def test_what_is_known_is_kept_when_the_run_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark(monkeypatch, "one", RATE, KeyboardInterrupt())
    known: list[int] = []
    found, status = run(
        ("one", "two"), full=False, limit=60, take=lambda all_so_far: known.append(len(all_so_far))
    )
    assert (found[0], status) == (RATE, 130)
    assert [one.missing for one in found[1:]] == 2 * ["the run was interrupted"]
    assert known == [1, 2, 3]


def test_a_run_without_time_left_names_what_was_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    benchmark(monkeypatch, "one", RATE)
    found, _ = run(("one",), full=False, limit=-1)
    assert "were over" in found[0].missing


def test_a_benchmark_that_has_no_end_is_ended_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*, full: bool) -> Iterator[Measurement]:
        yield RATE
        while True:
            signal.pause()

    module = ModuleType("one")
    vars(module)["measure"] = endless
    monkeypatch.setitem(sys.modules, "one", module)
    found, _ = run(("one",), full=False, limit=0.1)
    assert found[0] == RATE
    assert "were over" in found[1].missing


def test_what_is_not_there_to_measure_with_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    benchmark(monkeypatch, "one", MissingError("gcc is not installed"))
    benchmark(monkeypatch, "two", OSError(f"{FOLDER}/c_loop.c:\n| gone"))
    found, _ = run(("one", "two"), full=False, limit=60)
    assert [one.missing for one in found] == [
        "gcc is not installed",
        "OSError: benchmarks/c_loop.c: | gone",
    ]
    assert as_markdown(Results("2026-01-02", {}, found)).endswith(
        "c_loop.c: / gone |  |  |  |  |\n"
    )


@pytest.mark.parametrize("document", TOLD, ids=lambda path: path.name)
def test_the_figures_told_are_those_of_the_results_kept_with_them(document: Path) -> None:
    text = document.read_text()
    assert BEGIN in text
    assert renewed(text, TOLD[document]) == text


def test_every_part_of_a_subject_is_part_of_one_that_was_measured() -> None:
    subjects = [one.subject for one in read(KEPT).measurements]
    for parts in TOLD.values():
        assert [part for part in parts if not any(part in one for one in subjects)] == []


def test_the_facts_of_the_machine_name_neither_it_nor_its_folders() -> None:
    facts = "\n".join(machine_facts().values())
    assert not re.search(rf"\b{re.escape(platform.node())}\b", facts)
    assert not re.search(r"/(home|root|tmp|usr|var)\b", facts + KEPT.read_text())


def test_every_benchmark_is_there() -> None:
    assert [name for name in FULL if not (FOLDER / f"{name}.py").exists()] == []
