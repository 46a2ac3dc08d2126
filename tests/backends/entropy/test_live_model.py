"""The Linux 4.3 model at work: events, spill, readers, both designs, one event at a time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.facts import ModelStep
from kdash.backends.entropy.happenings import Happening, Kind, Window
from kdash.backends.entropy.live_model import DEFAULT_READS, LiveModel
from kdash.backends.entropy.model_facts import ModelState, ReaderState

from .given_feed import SECOND, GivenFeed, half_seconds, window_of

NOBODY: dict[str, float] = {}


def model(
    seed: bytes = b"seed", nodes: int = 0, reads: dict[str, float] | None = None, speed: int = 60
) -> LiveModel:
    return LiveModel(GivenFeed(), seed=seed, nodes=nodes, reads=reads or NOBODY, speed=speed)


def seeded(seed: bytes, windows: int = 10) -> LiveModel:
    live = LiveModel(GivenFeed(), seed=seed)
    live.set_feed(GivenFeed(Window(n * SECOND, (n + 1) * SECOND) for n in range(windows)))
    live.set_load("irq", 40.0)
    live.set_load("disk", 2.0)
    return live


def run(live: LiveModel, windows: int) -> list[ModelStep]:
    return [step for _ in range(windows) for step in live.advance()]


def booted(live: LiveModel) -> LiveModel:
    for _ in range(100):
        if live.snapshot().pools[2].initialized:
            return live
        live.advance()
    raise AssertionError("it never came up")


def reader(state: ModelState, device: str) -> ReaderState:
    return next(one for one in state.readers if one.device == device)


def test_equal_seeds_and_feeds_give_equal_runs() -> None:
    assert run(seeded(b"one"), 10) == run(seeded(b"one"), 10)


def test_another_seed_gives_another_run() -> None:
    assert run(seeded(b"one"), 10) != run(seeded(b"two"), 10)


def test_a_seeded_run_taken_in_single_steps_has_the_same_pools() -> None:
    whole, single = seeded(b"one", 1), seeded(b"one", 1)
    whole.advance()
    events = sum(cpu.interrupts for cpu in whole.snapshot().fast_pools) + sum(
        source.events for source in whole.snapshot().sources
    )
    seen = 0
    while seen < events:
        seen += not single.step().operation.startswith(("/dev", "getrandom"))
    assert single.snapshot().fast_pools[0].interrupts == whole.snapshot().fast_pools[0].interrupts
    assert single.outputs()[1].words == whole.outputs()[1].words


def test_at_boot_events_go_to_the_nonblocking_pool_and_then_to_the_input_pool() -> None:
    live = model()
    assert "into nonblocking" in next(
        text for text in (live.step().operation for _ in range(200)) if "into its" not in text
    )
    booted(live)
    assert "into input" in next(
        text for text in (live.step().operation for _ in range(200)) if "into its" not in text
    )


def test_interrupts_gather_in_the_fast_pool_of_their_cpu_and_flush_once_a_second() -> None:
    live = model(speed=1)
    run(live, 40)
    pools = live.snapshot().fast_pools
    assert [pool.cpu for pool in pools] == [0, 1]
    assert [pool.interrupts for pool in pools] == [80, 80]
    assert all(15 <= pool.flushes <= 21 for pool in pools)


def test_the_rate_of_events_stays_when_the_clock_runs_faster() -> None:
    live = model(speed=60)
    run(live, 4)
    state = live.snapshot()
    assert state.seconds == 120
    assert sum(pool.interrupts for pool in state.fast_pools) == 16 * 60


def test_disk_requests_feed_a_history_for_each_disk() -> None:
    disks = [Happening(n, Kind.DISK, 0, (8 << 20) + n % 2) for n in range(4)]
    live = LiveModel(GivenFeed([window_of(*disks)]), seed=b"", speed=1, reads=NOBODY)
    run(live, 1)
    assert live.snapshot().sources[0].events == 4
    assert {"disk 8:0", "disk 8:1"} <= set(live._fed.inventory())


def test_input_events_with_the_value_before_are_autorepeat() -> None:
    keys = [Happening(n, Kind.INPUT, 0, 30, 7) for n in range(3)]
    live = LiveModel(GivenFeed([window_of(*keys)]), seed=b"", speed=1, reads=NOBODY)
    texts = [live.step().operation for _ in range(3)]
    assert "16 bytes into nonblocking" in texts[0]
    assert all("ignored" in text for text in texts[1:])


@pytest.mark.no_cover
def test_a_load_fills_the_pools_until_they_spill_and_stand_above_three_quarters() -> None:
    live = LiveModel(GivenFeed(half_seconds(0)), seed=b"full", reads=NOBODY, speed=600)
    live.set_load("disk", 1.0)
    run(live, 20)
    state = live.snapshot()
    assert all(flow.pushes for flow in state.flows[1:])
    assert all(pool.entropy_count / 8 > 0.75 * pool.size_bits for pool in state.pools[1:])


def test_a_reader_of_dev_random_waits_for_the_wake_up_and_goes_on() -> None:
    live = booted(model())
    live.read_at("/dev/random", 1000.0, 64)
    texts = [live.step().operation for _ in range(20)]
    assert "/dev/random: the reader sleeps, the pools give nothing" in texts
    assert reader(live.snapshot(), "/dev/random").waiting is not None
    step = live.credit(2000)
    assert "/dev/random wakes" in step.operation
    after = reader(live.snapshot(), "/dev/random")
    assert after.waiting is None
    assert after.reads == 1


@pytest.mark.no_cover
def test_getrandom_waits_for_the_first_seed() -> None:
    live = model(reads={"getrandom": 100.0})
    run(live, 1)
    assert reader(live.snapshot(), "getrandom").waiting is not None
    booted(live)
    run(live, 1)
    assert reader(live.snapshot(), "getrandom").reads > 0


def test_a_reader_that_is_set_to_never_is_not_waiting_any_more() -> None:
    live = model(reads={"getrandom": 100.0})
    run(live, 1)
    live.read_at("getrandom", 0)
    assert reader(live.snapshot(), "getrandom").waiting is None


@pytest.mark.parametrize("nodes", [1, 2, 8, 64])
def test_the_design_is_switched_without_losing_what_the_pools_hold(nodes: int) -> None:
    live = booted(model())
    live.credit(1200)
    before = live.state(), live.outputs()[0], live.outputs()[1].entropy_count
    live.set_nodes(nodes)
    assert (live.state(), live.outputs()[0], live.outputs()[1].entropy_count) == before
    assert len(live.snapshot().pools) == 2 + nodes
    words = {pool.words for pool in live.outputs()[1:]}
    assert len(words) == nodes
    run(live, 2)
    live.set_nodes(0)
    assert len(live.snapshot().pools) == 3
    run(live, 2)


def test_with_one_node_a_run_is_that_of_the_stock_design() -> None:
    stock, one = seeded(b"one"), seeded(b"one")
    one.set_nodes(1)
    assert run(stock, 10) == run(one, 10)
    assert stock.outputs() == one.outputs()


@pytest.mark.no_cover
def test_before_the_first_seed_other_nodes_take_nothing() -> None:
    live = model(nodes=4, reads={"/dev/urandom": 10.0})
    live.step()
    assert [pool.initialized for pool in live.outputs()[1:]] == [False] * 4
    booted(live)
    assert all(pool.initialized for pool in live.outputs()[1:])


def test_a_single_step_lists_every_word_and_counter_it_changed() -> None:
    live = booted(model())
    before = live.state()
    step = next(s for s in iter(live.step, None) if "into input" in s.operation)
    after = live.state()
    (pool,) = [change for change in step.changes if change.place == "input"]
    assert {(w.index, w.before, w.after) for w in pool.words} == {
        (i, old, new)
        for i, (old, new) in enumerate(zip(before.words, after.words, strict=True))
        if old != new
    }  # fmt: skip
    counters = {counter.name: (counter.before, counter.after) for counter in pool.counters}
    assert counters["add_ptr"] == (before.add_ptr, after.add_ptr)
    assert counters["entropy_count"] == (before.entropy_count, after.entropy_count)
    assert step.changed_words == {word.index for word in pool.words}
    assert any(change.place.startswith("fast pool of CPU") for change in step.changes)


def test_where_nothing_happens_the_key_that_asks_for_a_step_is_the_event() -> None:
    live = LiveModel(GivenFeed([]), seed=b"", reads=NOBODY)
    assert "input code 31" in live.step().operation


def test_a_flipped_bit_spreads_over_the_pool_and_one_that_was_not_flipped_does_not() -> None:
    live = booted(model())
    live.set_speed(1)
    live.flip()
    assert not any(itertools.chain(*live.snapshot().spread))
    run(live, 4)
    reached = [sum(map(bool, words)) for words in live.snapshot().spread]
    assert 0 < reached[0] < 128
    run(live, 20)
    assert sum(map(bool, live.snapshot().spread[0])) > reached[0]
    live.unflip()
    assert live.snapshot().spread == ()


def test_a_twin_without_a_flipped_bit_stays_equal() -> None:
    live = booted(model(reads=DEFAULT_READS))
    live.flip()
    live._twin._flip_next = False
    run(live, 5)
    assert not any(itertools.chain(*live.snapshot().spread))


def test_following_a_bit_changes_nothing_in_the_model() -> None:
    plain, followed = model(), model()
    followed.flip()
    run(plain, 6)
    run(followed, 6)
    assert plain.outputs() == followed.outputs()
    assert plain.state() == followed.state()


def test_too_many_events_slow_the_clock_and_that_is_told() -> None:
    live = LiveModel(GivenFeed(half_seconds(1500)), seed=b"", speed=3600, reads=NOBODY)
    run(live, 2)
    state = live.snapshot()
    assert state.speed == 3600
    assert 0 < state.reached < 60
    assert state.seconds == pytest.approx(state.reached, rel=0.01)


def test_a_clock_that_is_asked_for_may_cost_more_than_the_usual_one() -> None:
    usual, given, asked = (
        LiveModel(GivenFeed(half_seconds(100)), reads=NOBODY, speed=speed)
        for speed in (None, 60, None)
    )
    asked.set_speed(60)
    for live in (usual, given, asked):
        run(live, 1)
    assert usual.reached < given.reached == asked.reached == 60


def test_an_extraction_debits_what_it_returns() -> None:
    live = booted(model())
    live.credit(400)
    before = live.state().entropy_count
    step = live.extract(10)
    assert step.operation == "extract 10 bytes"
    assert len(step.output) == 10
    assert step.input.entropy_count == before - 10 * 64


def test_an_extraction_from_an_empty_pool_says_how_short_it_is() -> None:
    step = model().extract(10)
    assert (step.operation, step.output) == ("extract 0 of 10 bytes", b"")


def test_mixing_changes_words_and_not_the_count() -> None:
    step = model().mix(b"\x00\xff")
    assert step.operation == "mix 2 bytes"
    assert len(step.changed_words) == 2
    assert step.input.entropy_count == 0


@pytest.mark.parametrize(
    ("bits", "text"), [(1, "credit 1 bit"), (64, "credit 64 bits"), (-5, "debit 5 bits")]
)
def test_a_credit_is_told_in_words(bits: int, text: str) -> None:
    assert model().credit(bits).operation.startswith(text)


def test_booting_from_a_seed_leaves_this_machine_out() -> None:
    feed = GivenFeed()
    live = LiveModel(feed, reads=NOBODY)
    live.restart(b"\x12")
    state = live.snapshot()
    assert feed.closed == 1
    assert (state.seed, state.seconds, state.feed) == ("12", 0.0, "load generator alone")
    assert dict(state.load)["irq"] > 0


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (lambda live: live.set_speed(0), "x1 to x3600"),
        (lambda live: live.set_speed(3601), "x1 to x3600"),
        (lambda live: live.set_load("irq", float("nan")), "0 to 10000"),
        (lambda live: live.set_load("disk", -1), "0 to 1000"),
        (lambda live: live.read_at("/dev/random", 1, 513), "1 to 512"),
        (lambda live: live.read_at("/dev/hwrng", 1), "no device"),
        (lambda live: live.read_at("getrandom", 1e9), "0 to 1000"),
        (lambda live: live.set_nodes(65), "1 to 64"),
        (lambda live: live.set_nodes(-1), "1 to 64"),
    ],
)
def test_what_is_out_of_range_is_refused_and_changes_nothing(operation: object, told: str) -> None:
    live = model()
    before = live.snapshot()
    with pytest.raises(ValueError, match=told):
        operation(live)  # type: ignore[operator]
    assert live.snapshot() == before


def test_this_machine_feeds_the_model() -> None:
    live = LiveModel()
    live.advance()
    assert live.snapshot().feed.startswith("this machine")
    live.close()


happenings = st.builds(
    Happening,
    st.integers(-SECOND, 3 * SECOND),
    st.sampled_from(Kind),
    st.integers(0, 700),
    st.integers(0, 1 << 32),
    st.integers(0, 255),
)


@given(
    st.lists(
        st.builds(
            Window, st.integers(0, 4 * SECOND), st.integers(0, 4 * SECOND),
            st.lists(happenings, max_size=8), st.integers(0, 9),
        ),
        max_size=4,
    ),
    st.integers(1, 3600), st.integers(0, 5),
)  # fmt: skip
def test_no_feed_however_odd_turns_the_models_clock_back(
    windows: list[Window], speed: int, nodes: int
) -> None:
    live = LiveModel(GivenFeed(windows), seed=b"odd", speed=speed, nodes=nodes, reads=NOBODY)
    before = 0.0
    for _ in windows:
        live.advance()
        state = live.snapshot()
        assert state.seconds >= before
        assert all(0 <= pool.entropy_count <= pool.size_bits * 8 for pool in state.pools)
        before = state.seconds


def test_what_passes_unwatched_sets_the_clock_on_and_takes_no_event_in() -> None:
    hour = Window(0, 3600 * SECOND, (), 50)
    live = LiveModel(
        GivenFeed([*itertools.islice(half_seconds(), 2), hour]), reads={"getrandom": 1}
    )
    run(live, 2)
    before = live.snapshot()
    (step,) = live.catch_up()
    after = live.snapshot()
    assert step.operation == "rested for 3600 s unwatched: the clock went on, 50 events left out"
    assert after.seconds == pytest.approx(before.seconds + 3600 * before.reached)
    assert after.pools == before.pools
    (waiting,) = [one.waiting for one in after.readers if one.device == "getrandom"]
    assert waiting == reader(before, "getrandom").waiting


def test_a_model_rests_only_where_no_single_event_counts() -> None:
    live = LiveModel(GivenFeed(half_seconds(64)), speed=60, reads={})
    rests = [live.may_rest]
    rests.append(booted(live).may_rest)
    live.flip()
    rests.append(live.may_rest)
    assert rests == [False, True, False]
    assert not booted(model()).may_rest  # from a seed
