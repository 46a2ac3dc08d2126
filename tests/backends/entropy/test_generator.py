import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy import devices
from kdash.backends.entropy.generator import HZ, INITIAL_JIFFIES, Generator


def seeded(bits: int = 0) -> Generator:
    """A generator past boot whose input pool was credited `bits`."""
    generator = Generator()
    generator.credit(generator.nonblocking, 129)
    if bits:
        generator.credit(generator.input, bits)
        generator.queued.clear()
    return generator


def test_the_first_spill_goes_to_the_nonblocking_pool_and_moves_eight_bytes() -> None:
    generator = Generator()
    generator.credit(generator.input, 129)
    generator.credit(generator.input, 2000)
    generator.run_work()
    assert generator.nonblocking.entropy_bits == 48
    assert generator.blocking.entropy_bits == 0


def test_the_output_pools_take_turns() -> None:
    generator = Generator()
    generator.credit(generator.input, 129)
    for _ in range(4):
        generator.credit(generator.input, 1500)
        generator.run_work()
    assert generator.blocking.entropy_total == generator.nonblocking.entropy_total


def test_nothing_spills_at_the_write_threshold_or_below() -> None:
    generator = Generator()
    generator.credit(generator.input, 129)
    generator.input.entropy_count = 0
    while generator.input.entropy_bits <= generator.write_wakeup:
        assert not generator.queued
        generator.credit(generator.input, 64)
    assert generator.queued


def test_an_output_pool_above_three_quarters_is_passed_over() -> None:
    generator = Generator()
    generator.nonblocking.entropy_count = 7000
    generator.blocking.entropy_count = 7000
    generator.credit(generator.input, 129)
    generator.credit(generator.input, 4000)
    assert not generator.queued


def test_a_pool_is_initialised_above_128_bits_not_at_them() -> None:
    generator = Generator()
    states = []
    for bits in (128, 1):
        generator.credit(generator.nonblocking, bits)
        states.append((generator.nonblocking.initialized, generator.wakeups.seed_waiters))
    assert states == [(False, 0), (True, 1)]


def test_urandom_pulls_once_in_its_reseed_interval() -> None:
    generator = seeded(4000)
    generator.machine.jiffies = INITIAL_JIFFIES + 60 * HZ
    devices.read_urandom(generator, 32)
    devices.read_urandom(generator, 32)
    assert generator.transfers == 1
    generator.machine.jiffies += 60 * HZ
    devices.read_urandom(generator, 32)
    assert generator.transfers == 2


def test_urandom_leaves_sixteen_bytes_to_the_readers_of_random() -> None:
    generator = seeded()
    generator.input.entropy_count = 24 * 64
    generator.machine.jiffies = INITIAL_JIFFIES + 60 * HZ
    devices.read_urandom(generator, 64)
    assert generator.input.entropy_count == 16 * 64


def test_a_read_of_random_is_shorter_than_asked() -> None:
    assert devices.read_random(seeded(2000), 64, nonblock=True).ret == 48


def test_an_empty_random_answers_eagain_or_sleeps() -> None:
    assert devices.read_random(Generator(), 8, nonblock=True).ret == -devices.EAGAIN
    assert devices.read_random(Generator(), 8, nonblock=False).blocked


def test_getrandom_waits_until_the_nonblocking_pool_is_initialised() -> None:
    assert devices.getrandom(Generator(), 16, 1).ret == -devices.EAGAIN
    assert devices.getrandom(Generator(), 16, 0).blocked
    assert devices.getrandom(seeded(), 16, 0).ret == 16


def test_getrandom_refuses_flags_of_later_kernels() -> None:
    assert devices.getrandom(seeded(), 16, 4).ret == -devices.EINVAL


@pytest.mark.parametrize(
    ("bits", "mask"), [(0, devices.POLL_OUT), (3000, devices.POLL_IN | devices.POLL_OUT)]
)
def test_poll_tells_readers_and_writers_apart(bits: int, mask: int) -> None:
    generator = Generator()
    generator.credit(generator.input, bits)
    expected = mask if generator.input.entropy_bits < 896 else devices.POLL_IN
    assert devices.poll(generator).ret == expected


def test_a_write_is_mixed_into_both_output_pools_without_credit() -> None:
    generator = Generator()
    devices.write(generator, b"not secret")
    assert any(generator.blocking.words)
    assert generator.blocking.words == generator.nonblocking.words
    assert [pool.entropy_count for pool in generator.pools] == [0, 0, 0]


@given(
    st.lists(st.tuples(st.sampled_from(["credit", "read", "urandom", "zap"]), st.integers(0, 600)))
)
def test_no_sequence_of_operations_leaves_the_bounds(steps: list[tuple[str, int]]) -> None:
    generator = Generator()
    for name, amount in steps:
        if name == "credit":
            generator.credit(generator.input, amount)
        elif name == "read":
            answer = devices.read_random(generator, amount, nonblock=True)
            assert len(answer.out) <= amount
        elif name == "urandom":
            assert len(devices.read_urandom(generator, amount).out) == amount
        else:
            devices.ioctl_zapentcnt(generator)
        generator.run_work()
        for pool in generator.pools:
            assert 0 <= pool.entropy_count <= pool.geometry.frac
            assert all(0 <= word <= 0xFFFFFFFF for word in pool.words)
