"""Signals in words: what is told, what is late, what can't be had."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdash.backends.entropy.facts import (
    DeviceHolder,
    GeneratorEvent,
    HardwareSource,
    Holders,
    PoolTraffic,
    RandomEvents,
    Reading,
    Reseed,
    Throughput,
)
from kdash.widgets.entropy.signals import (
    Signal,
    duration,
    nanoseconds,
    signal_lines,
    signals,
)
from kdash.widgets.entropy.tone_lines import plain

from .made import MODERN, OLD


def named(reading: Reading) -> dict[str, Signal]:
    return {signal.name: signal for signal in signals(reading)}


def test_the_hardware_source_is_told_with_its_quality_and_the_others() -> None:
    assert named(MODERN)["hardware source"].value == (
        "virtio_rng.0, quality 1024/1024 (also tpm-rng-0)"
    )


@pytest.mark.parametrize(
    ("seconds", "tone", "words"),
    [(12.3, "good", "12 s ago, generation 41"), (76.0, "warning", "76 s ago, late, generation 41"),
     (181.0, "bad", "181 s ago, MISSED, generation 41")],
)  # fmt: skip
def test_a_late_reseed_is_told_in_words_as_well(seconds: float, tone: str, words: str) -> None:
    signal = named(replace(MODERN, reseed=Reseed(41, seconds, "vdso")))["last reseed"]
    assert (signal.tone, signal.value) == (tone, words)


def test_a_reseed_not_seen_yet_gives_a_lower_bound() -> None:
    reading = replace(MODERN, reseed=Reseed(41, None, "vdso", at_least=17.0))
    assert named(reading)["last reseed"].value == "over 17 s ago, generation 41"


def test_what_is_missing_is_listed_muted_with_its_reason() -> None:
    found = named(MODERN)
    assert found["read wake-up"] == Signal("read wake-up", "(not on this kernel)", "muted")
    assert found["hardware rate"] == Signal("hardware rate", "(needs root)", "muted")


def test_thresholds_without_effect_say_so() -> None:
    assert named(MODERN)["wake-ups"].value == "write 256 bits (inert here)"
    assert named(OLD)["wake-ups"].value == "read 64 bits, write 896 bits"


def test_latency_of_both_ways_in_is_told() -> None:
    values = [signal.value for signal in signals(MODERN)]
    assert "syscall p50 441 ns, p99 1.6 us" in values
    assert "vDSO p50 40 ns, p99 60 ns" in values


def test_interrupts_are_told_by_cpu() -> None:
    assert named(MODERN)["interrupts"].value == "12.5/s (by CPU: 2.5 10)"
    assert named(OLD)["interrupts"].value == "3/s"


def test_interrupts_say_over_how_many_seconds_they_were_counted() -> None:
    assert named(replace(OLD, irq_seconds=1.04))["interrupts"].value == "3/s over 1.0 s"


def test_what_moved_in_the_kernels_own_pools_is_a_line_a_pool() -> None:
    pools = (PoolTraffic("blocking", pulled=64, extracted=8), PoolTraffic("input", credited=1200))
    told = signals(replace(OLD, random_events=RandomEvents((("credit_entropy_bits", 3),), pools)))
    place = [signal.name for signal in told].index("random:* events")
    assert told[place].value == "blocking 64 bits pulled, 8 B extracted"
    assert told[place + 1] == Signal("", "input 1,200 bits credited")
    quiet = named(replace(OLD, random_events=RandomEvents((), ())))
    assert quiet["random:* events"].value == "no event"


def test_many_cpus_are_counted_rather_than_listed() -> None:
    rates = [0.0] * 256
    rates[200], rates[7] = 300.0, 45.0
    many = replace(MODERN, irq_per_second_by_cpu=tuple(rates))
    told = named(many)["interrupts"].value
    assert told == "12.5/s (busiest of 256 CPUs: #0 0 #1 0 #7 45 #200 300)"


def test_a_long_value_goes_on_below_itself() -> None:
    lines = [plain(line) for line in signal_lines(Signal("name", "word " * 20), 50)]
    assert len(lines) > 1
    assert all(len(line) <= 50 for line in lines)
    assert lines[1].startswith(" " * 17 + "word")


def test_a_source_named_like_an_escape_sequence_is_shown_and_not_obeyed() -> None:
    evil = replace(MODERN, hwrng=HardwareSource("\x1b[2J[red]x", (), None))
    text = "\n".join(plain(line) for s in signals(evil) for line in signal_lines(s, 78))
    assert "\x1b" not in text
    assert "\\x1b[2J[red]x" in text


def test_times_are_said_as_people_say_them() -> None:
    assert [nanoseconds(n) for n in (441, 1581, 3_400_000)] == ["441 ns", "1.6 us", "3.4 ms"]
    assert [duration(s) for s in (42, 200, 18600, 1047600)] == [
        "42 s", "3 min", "5 h 10 min", "12 d 3 h",
    ]  # fmt: skip


def test_the_newest_events_come_first_and_grave_ones_stand_out() -> None:
    events = tuple(
        GeneratorEvent(900.0 + n, "vm-fork" if n == 3 else "forced-reseed", f"event {n}")
        for n in range(5)
    )
    found = [s for s in signals(replace(MODERN, events=events)) if "event" in s.value]
    assert [(s.name, s.value, s.tone) for s in found] == [
        ("events", "1 min ago: event 4", ""),
        ("", "1 min ago: event 3", "bad"),
        ("", "1 min ago: event 2", ""),
    ]


def test_throughput_is_told_by_the_size_of_calls() -> None:
    throughput = (Throughput(16, 46e6, 380e6), Throughput(4096, 389e6, None))
    values = [s.value for s in signals(replace(MODERN, throughput=throughput))]
    assert "syscall 16 B 46 MB/s, 4096 B 389 MB/s".replace(" MB/s,", ",") in values
    assert "vDSO 16 B 380 MB/s" in values


def test_who_holds_the_devices_is_told_and_who_is_hidden() -> None:
    found = tuple(DeviceHolder("/dev/urandom", pid, "sshd") for pid in range(1, 6))
    holders = named(replace(MODERN, holders=Holders(found, 5, 80, 60)))["device holders"]
    assert holders.value == (
        "urandom sshd 1, urandom sshd 2, urandom sshd 3, 2 more (60 processes hidden from you)"
    )


def test_forced_reseeds_are_counted_beside_the_clock() -> None:
    forced = named(replace(MODERN, forced_reseeds=2))["last reseed"]
    assert forced.value == "12 s ago, generation 41, 2 forced"


def test_signals_that_share_a_reason_share_a_line() -> None:
    missing = {"lrng": "not on this kernel", "holders": "not on this kernel", "hwrng": "needs root"}
    told = [s for s in signals(replace(MODERN, unavailable=missing)) if s.tone == "muted"]
    assert told == [
        Signal("hardware source", "(needs root)", "muted"),
        Signal("not available", "not on this kernel: LRNG, device holders", "muted"),
    ]
