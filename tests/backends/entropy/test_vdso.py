import os
import signal
import sys
from collections.abc import Iterator

import pytest

from kdash.backends.entropy.latency import percentiles, typical
from kdash.backends.entropy.procfs import Unavailable
from kdash.backends.entropy.vdso import VdsoChild, facts_of
from kdash.backends.entropy.vdso_image import has_getrandom, read_vdso

needs_symbol = pytest.mark.skipif(not has_getrandom(), reason="the vDSO has no getrandom (6.11)")


@pytest.fixture
def child() -> Iterator[VdsoChild]:
    child = VdsoChild()
    yield child
    child.close()


@needs_symbol
def test_the_generation_is_small_and_does_not_fall(child: VdsoChild) -> None:
    seen = []
    for _ in range(3):
        child.ask()
        seen.append(child.answer().generation)
    assert all(generation is not None and 0 < generation < 1 << 32 for generation in seen)
    assert seen == sorted(seen, key=lambda generation: generation or 0)


def test_the_cost_of_a_system_call_is_measured(child: VdsoChild) -> None:
    latency = child.answer().latency
    assert latency is not None
    assert latency.syscall is not None
    assert 0 < latency.syscall.p50_ns <= latency.syscall.p99_ns


def test_the_throughput_is_measured_by_the_size_of_calls(child: VdsoChild) -> None:
    throughput = child.answer().throughput
    assert [sized.nbytes for sized in throughput] == [16, 256, 4096]
    assert all(sized.syscall is not None and sized.syscall > 0 for sized in throughput)


def test_the_mean_leaves_out_what_an_interrupt_lengthened() -> None:
    assert typical([10] * 49 + [90_000]) == 10.0
    assert typical([10, 10, 10, 10, 10, 200]) == pytest.approx(41.67, abs=0.01)
    assert typical([]) is None


def test_asking_twice_before_the_answer_asks_once(child: VdsoChild) -> None:
    child.ask()
    child.ask()
    first, second = child.answer(), child.answer()
    assert first.missing == second.missing


def test_a_child_that_is_killed_is_told_by_the_signal(child: VdsoChild) -> None:
    child.answer()
    assert child.process_id is not None
    os.kill(child.process_id, signal.SIGSEGV)
    with pytest.raises(Unavailable, match="was ended by SIGSEGV"):
        child.answer()
    with pytest.raises(Unavailable):
        child.answer()


def test_a_child_that_somebody_killed_is_followed_by_another(child: VdsoChild) -> None:
    child.answer()
    assert child.process_id is not None
    os.kill(child.process_id, signal.SIGKILL)
    with pytest.raises(Unavailable, match="was ended by SIGKILL"):
        child.answer()
    child.answer()
    assert child.process_id is not None


def test_a_child_that_cannot_be_started_is_told(
    child: VdsoChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(Unavailable, match="can't be started: No such file"):
        child.answer()


def test_a_child_that_ends_at_once_is_told(
    child: VdsoChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable, match="ended with status 1"):
        child.answer()


def test_a_closed_child_is_gone() -> None:
    child = VdsoChild()
    child.answer()
    process = child.process_id
    assert process is not None
    child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_closed_child_can_be_asked_again(child: VdsoChild) -> None:
    child.answer()
    child.close()
    assert child.answer().latency is not None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"7",
        b'{"generation": "5"}',
        b'{"generation": 5, "latency": {"syscall": [1]}}',
        b'{"generation": 5, "latency": {"syscall": [1, "2"]}}',
        b'{"generation": 5, "latency": [1, 2]}',
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        facts_of(line)


def test_the_image_of_the_vdso_is_an_elf_file() -> None:
    image = read_vdso()
    if image is None:
        pytest.skip("this kernel shows no vDSO")
    assert image.data.startswith(b"\x7fELF")
    assert image.base % 4096 == 0


@pytest.mark.parametrize(
    ("calls", "expected"),
    [([], None), ([7], (7, 7)), (list(range(1, 101)), (50, 99)), ([9, 1, 5], (5, 5))],
)
def test_percentiles_are_taken_from_the_calls(
    calls: list[int], expected: tuple[int, int] | None
) -> None:
    assert percentiles(calls) == expected
