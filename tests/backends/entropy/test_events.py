from kdash.backends.entropy import events
from kdash.backends.entropy.events import FastPool, InputEvents, TimerState
from kdash.backends.entropy.generator import HZ, Generator


def seeded() -> Generator:
    generator = Generator()
    generator.credit(generator.nonblocking, 129)
    return generator


def test_events_at_regular_times_are_credited_nothing() -> None:
    generator, timer = seeded(), TimerState()
    credits = []
    for _ in range(8):
        generator.machine.jiffies += 100
        credits.append(events.add_timer_randomness(generator, timer, 1))
    assert credits[3:] == [0] * 5


def test_an_irregular_event_is_credited_at_most_eleven_bits() -> None:
    generator, timer = seeded(), TimerState()
    generator.machine.jiffies += 10_000_000
    assert events.add_timer_randomness(generator, timer, 1) == 11


def test_an_input_event_equal_to_the_one_before_is_ignored() -> None:
    generator, keyboard = seeded(), InputEvents()
    keyboard.add(generator, 1, 30, 1)
    before = list(generator.input.words)
    keyboard.add(generator, 1, 31, 1)
    assert generator.input.words == before


def test_events_feed_the_nonblocking_pool_during_boot() -> None:
    generator = Generator()
    events.add_disk_randomness(generator, TimerState(), 0x800000)
    assert any(generator.nonblocking.words)
    assert not any(generator.input.words)


def test_sixty_four_interrupts_within_a_second_flush_the_fast_pool_once() -> None:
    generator, fast = seeded(), FastPool(last=Generator().machine.jiffies)
    credits = [fast.add_interrupt(generator, 24) for _ in range(64)]
    assert credits == [0] * 63 + [1]
    assert fast.count == 0


def test_an_interrupt_more_than_a_second_later_flushes_the_fast_pool() -> None:
    generator = seeded()
    fast = FastPool(last=generator.machine.jiffies)
    generator.machine.jiffies += HZ
    assert fast.add_interrupt(generator, 24) == 0
    generator.machine.jiffies += 1
    assert fast.add_interrupt(generator, 24) == 1


def test_a_hardware_seed_doubles_the_credit_of_a_flush() -> None:
    generator, fast = seeded(), FastPool()
    generator.machine.arch_seed.append(0x1234)
    assert fast.add_interrupt(generator, 24) == 2


def test_device_randomness_is_mixed_and_never_credited() -> None:
    generator = Generator()
    events.add_device_randomness(generator, b"00:11:22:33:44:55")
    assert any(generator.input.words)
    assert any(generator.nonblocking.words)
    assert [pool.entropy_count for pool in generator.pools] == [0, 0, 0]


def test_the_hardware_generator_sleeps_above_the_write_threshold() -> None:
    generator = seeded()
    assert not events.add_hwgenerator_randomness(generator, b"x" * 32, 2000)
    assert events.add_hwgenerator_randomness(generator, b"x" * 32, 256)


def test_pools_started_on_equal_machines_are_equal() -> None:
    one, other = Generator(), Generator()
    events.rand_initialize(one)
    events.rand_initialize(other)
    assert one.input.state() == other.input.state()
    assert one.input.last_pulled == one.machine.jiffies
