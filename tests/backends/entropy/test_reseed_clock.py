import pytest

from kdash.backends.entropy.procfs import Unavailable
from kdash.backends.entropy.reseed_clock import ReseedClock, Seen
from kdash.backends.entropy.vdso import VdsoFacts

DAY = 86_400.0  # seconds after boot, where the kernel reseeds once a minute


def watched(*looks: tuple[float, int]) -> ReseedClock:
    """A clock that was told a generation at each of these times."""
    clock = ReseedClock()
    for when, generation in looks:
        clock.tick(VdsoFacts(generation), when)
    return clock


def seconds(clock: ReseedClock, when: float, generation: int) -> float | None:
    return clock.tick(VdsoFacts(generation), when).seconds_since


def timed(start: float, generation: int, count: int) -> list[tuple[float, int]]:
    """Looks a second apart at a generator that reseeds every 61.44 s."""
    return [
        (start + second, generation + int(second // 61.44)) for second in range(int(count * 61.44))
    ]


def test_reseeds_of_the_kernels_own_are_not_forced() -> None:
    assert watched(*timed(DAY, 500, 6)).forced == 0


def test_the_first_minutes_after_boot_hold_no_forced_reseed() -> None:
    # crng_reseed_interval: max(1, uptime / 2) s, and 60 s from two minutes on.
    uptime, generation, looks = 1.0, 1, []
    second = 1
    while second < 300:
        if second >= uptime:
            generation += 1
            uptime = second + (60.0 if second >= 120 else max(1, second // 2)) + 0.5
        looks.append((float(second), generation))
        second += 1
    assert watched(*looks).forced == 0


def test_a_reseed_before_it_was_due_is_forced_and_the_next_of_the_kernels_own_is_not() -> None:
    clock = watched(*timed(DAY, 500, 2))  # the second one is 61 s old now
    start = DAY + 123
    for second, generation in ((0, 502), (20, 503), (61, 503), (62, 504), (123, 504), (124, 505)):
        clock.tick(VdsoFacts(generation), start + second)
    assert clock.forced == 1


def test_several_reseeds_between_two_looks_are_forced_but_for_the_due_ones() -> None:
    clock = watched((DAY, 10), (DAY + 1, 11), (DAY + 2, 11))
    clock.tick(VdsoFacts(14), DAY + 3)
    assert clock.forced == 3


def test_a_long_pause_between_looks_makes_no_reseed_forced() -> None:
    clock = watched((DAY, 10), (DAY + 1, 11))
    clock.tick(VdsoFacts(11 + 58), DAY + 3600)
    assert clock.forced == 0


def test_a_reseed_between_looks_far_apart_gives_a_lower_bound_alone() -> None:
    clock = watched((DAY, 10))
    reseed = clock.tick(VdsoFacts(11), DAY + 30)
    assert (reseed.seconds_since, reseed.at_least) == (None, 0.0)
    assert seconds(clock, DAY + 31, 11) is None


def test_what_an_earlier_process_saw_is_gone_on_from() -> None:
    before = watched((DAY, 10), (DAY + 1, 11))
    assert before.last == (11, Seen(DAY, DAY + 1))
    clock = ReseedClock()
    clock.resume(*before.last)
    assert seconds(clock, DAY + 41, 11) == 40.0


def test_what_an_earlier_process_saw_long_ago_is_no_time_of_a_reseed() -> None:
    clock = ReseedClock()
    clock.resume(11, Seen(DAY, DAY + 1))
    reseed = clock.tick(VdsoFacts(70), DAY + 3700)
    assert reseed.seconds_since is None
    assert clock.forced == 0


def test_a_clock_that_stands_before_what_it_showed_gives_no_negative_time() -> None:
    clock = watched((DAY, 10), (DAY + 1, 11))
    assert seconds(clock, DAY - 50, 11) == 0.0


def test_a_generation_that_falls_is_refused_and_counted_anew() -> None:
    clock = watched((DAY, 10), (DAY + 1, 11))
    with pytest.raises(Unavailable, match="fell"):
        clock.tick(VdsoFacts(3), DAY + 2)
    assert seconds(clock, DAY + 3, 3) is None
    assert clock.forced == 0
