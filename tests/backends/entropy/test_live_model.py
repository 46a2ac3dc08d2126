from collections.abc import Iterator

import pytest

from kdash.backends.entropy.facts import ModelStep
from kdash.backends.entropy.live_model import LiveModel
from kdash.backends.entropy.machine_feed import EventFeed, Kind, Sample, machine_feed

MS = 1_000_000  # ns


def feed_of(*gaps_ms: int) -> Iterator[Sample]:
    now = 5_000 * MS
    number = 0
    while True:
        for gap in gaps_ms:
            now += gap * MS
            number += 3
            yield Sample(now, number)


def model(*gaps_ms: int, seed: bytes = b"seed", extract_every: int = 64) -> LiveModel:
    samples = feed_of(*(gaps_ms or (90, 130, 40, 310)))
    return LiveModel(lambda: next(samples), seed=seed, extract_every=extract_every)


def run(live: LiveModel, steps: int) -> list[ModelStep]:
    return [live.step() for _ in range(steps)]


def test_equal_seeds_and_feeds_give_equal_steps() -> None:
    assert run(model(), 200) == run(model(), 200)


def test_another_seed_gives_other_words() -> None:
    assert model(seed=b"one").state() != model(seed=b"two").state()


def test_a_step_mixes_sixteen_bytes_and_tells_the_words_it_changed() -> None:
    live = model()
    before = live.state()
    step = live.step()
    after = live.state()
    changed = {i for i in range(128) if before.words[i] != after.words[i]}
    assert step.operation.startswith("mix 16 bytes, credit ")
    assert step.changed_words == changed
    assert len(changed) == 16
    assert (step.index, step.input) == (0, after)


def test_irregular_events_fill_the_pool_until_it_spills() -> None:
    steps = run(model(extract_every=0), 400)
    spills = [step for step in steps if "spill to" in step.operation]
    assert "spill to nonblocking" in spills[0].operation
    assert any("spill to blocking" in step.operation for step in spills)


def test_a_reader_takes_ten_bytes_now_and_then() -> None:
    steps = run(model(extract_every=20), 60)
    taken = [step for step in steps if step.operation == "extract 10 bytes"]
    assert taken
    assert all(len(step.output) == 10 for step in taken)


def test_an_extraction_debits_what_it_returns() -> None:
    live = model()
    live.credit(400)
    before = live.state().entropy_count
    step = live.extract(10)
    assert step.operation == "extract 10 bytes"
    assert step.input.entropy_count == before - 10 * 64


def test_an_extraction_from_an_empty_pool_says_how_short_it_is() -> None:
    step = model().extract(10)
    assert (step.operation, step.output) == ("extract 0 of 10 bytes", b"")


def test_mixing_changes_words_and_not_the_count() -> None:
    live = model()
    step = live.mix(b"\x00\xff")
    assert step.operation == "mix 2 bytes"
    assert len(step.changed_words) == 2
    assert step.input.entropy_count == 0


@pytest.mark.parametrize(
    ("bits", "text"), [(1, "credit 1 bit"), (64, "credit 64 bits"), (-5, "debit 5 bits")]
)
def test_a_credit_is_told_in_words(bits: int, text: str) -> None:
    assert model().credit(bits).operation == text


def test_a_clock_that_goes_backwards_is_borne() -> None:
    samples = iter([Sample(5000, 1), Sample(10, 2), Sample(6000, 3)])
    live = LiveModel(lambda: next(samples), seed=b"")
    assert [step.index for step in run(live, 3)] == [0, 1, 2]


def test_this_machine_feeds_the_model() -> None:
    live = LiveModel()
    first, second = live.step(), live.step()
    assert (first.index, second.index) == (0, 1)
    assert first.input.words != second.input.words
    assert [pool.name for pool in live.outputs()] == ["blocking", "nonblocking"]


def test_a_machine_without_interrupts_feeds_the_model_with_its_clock(tmp_path: object) -> None:
    feed = machine_feed(str(tmp_path))
    assert feed().monotonic_ns <= feed().monotonic_ns


def step_of(live: LiveModel, sample: Sample) -> ModelStep:
    live._feed = lambda: sample
    return live.step()


def test_interrupts_gather_by_cpu_and_the_sixty_fourth_reaches_the_pool() -> None:
    live = model(extract_every=0)
    steps = [step_of(live, Sample(n * 1000, 36, Kind.INTERRUPT, cpu=1)) for n in range(65)]
    # The first one comes long after the last flush, which was never.
    assert steps[0].operation.startswith("1 interrupt, CPU 1: mix 16 bytes, credit 1 bit")
    assert steps[1].operation == "1 interrupt, CPU 1: 1 in its fast pool"
    assert steps[1].changed_words == frozenset()
    assert steps[64].operation.startswith("64 interrupts, CPU 1: mix 16 bytes, credit 1 bit")
    assert len(steps[64].changed_words) == 16


def test_disk_and_input_events_are_credited_by_their_timing() -> None:
    live = model(extract_every=0)
    disk = [step_of(live, Sample(n**3 * MS, 8 << 20, Kind.DISK)) for n in range(9)]
    keys = [step_of(live, Sample(n**3 * MS, 30, Kind.INPUT)) for n in range(10, 19)]
    assert disk[-1].operation.startswith("disk 8:0: mix 16 bytes, credit ")
    assert keys[-1].operation.startswith("key: mix 16 bytes, credit ")
    assert not disk[-1].operation.endswith(" 0 bits")


def test_a_reader_of_dev_random_waits_until_the_pool_has_enough() -> None:
    live = model(extract_every=0)
    read = Sample(0, 16, Kind.RANDOM)
    assert step_of(live, read).operation == "read /dev/random: waits"
    assert live.waiting == 1
    assert step_of(live, read).operation == "read /dev/random: still waits"
    assert "1 reader of /dev/random waiting" in live.feed_words()
    live.credit(400)
    served = step_of(live, read)
    assert served.operation.startswith("read /dev/random: ")
    assert served.output
    assert live.waiting == 0


def test_readers_of_urandom_and_getrandom_never_wait() -> None:
    live = model(extract_every=0)
    for kind in (Kind.URANDOM, Kind.GETRANDOM):
        step = step_of(live, Sample(0, 16, kind))
        assert (step.operation, len(step.output)) == (f"read {kind.value}: 16 of 16 bytes", 16)


class Clock:
    now = 7 * 1_000_000_000

    def __call__(self) -> int:
        return self.now


def seeded(seed: int, clock: Clock) -> LiveModel:
    return LiveModel(EventFeed(seed=seed, clock=clock), seed=b"%d" % seed, extract_every=0)


def test_a_seed_determines_every_step_whatever_the_time_between_looks() -> None:
    clock = Clock()
    one, two = seeded(5, clock), seeded(5, clock)
    first = []
    for _ in range(20):
        clock.now += 300 * MS
        first += one.catch_up()
    second = two.catch_up()  # after more than a pause may last: the feed stood still
    clock.now += 2_000 * MS
    second += two.catch_up()
    clock.now += 4_000 * MS
    second += two.catch_up()
    assert len(second) > 100
    assert second == first[: len(second)]
    assert one.state() != seeded(6, clock).state()


def test_the_clock_factor_is_part_of_what_feeds_it() -> None:
    live = LiveModel(EventFeed(seed=1, clock=Clock()), speed=3600)
    assert live.feed is not None
    live.feed.set_reads("urandom", 10)
    assert live.feed_words() == "clock x3600, seed 1, load 100/s, urandom 10 reads/s"
