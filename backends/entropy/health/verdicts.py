"""What each test's figures mean: the band a perfect stream stays in, and how often it leaves it.

Each verdict fails a perfect stream about once in a million times (the continuous tests of
SP 800-90B as often as that standard has them fail), so that one failure means something.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

from kdash.backends.entropy.health.estimators import compression_of_perfect_bits
from kdash.backends.entropy.health.fips140 import FALSE_ALARM
from kdash.backends.entropy.health_facts import ESTIMATED_BYTES, TOO_FEW, Health, Verdict

ALARM = 1e-6  # false-alarm rate of a verdict
_ALARM_TEXT = "1 in 1,000,000"
_ONE_SIDED = NormalDist().inv_cdf(1 - ALARM)
_TWO_SIDED = NormalDist().inv_cdf(1 - ALARM / 2)
_ESTIMATE = NormalDist().inv_cdf(1 - 0.01 / 2)  # the bound the estimators themselves subtract
_FREEDOM = 255  # of chi-square over 256 byte values
_BYTE_DEVIATION = math.sqrt((256**2 - 1) / 12)


def judged(health: Health) -> Health:
    """The same figures with the verdicts on them."""
    found = (_fips(health), *_continuous(health), *_estimates(health), *_whole(health))
    return replace(health, verdicts=found)


def _fips(health: Health) -> Verdict:
    fips = health.fips140
    expected = f"about {FALSE_ALARM:.2%} of the blocks fail"
    if not fips.blocks:
        return Verdict("fips140", None, TOO_FEW, expected)
    passes = poisson_tail(fips.failures, fips.blocks * FALSE_ALARM) >= ALARM
    return Verdict(
        "fips140", passes, f"{fips.failures:,} of {fips.blocks:,} blocks failed", expected,
        _ALARM_TEXT,
    )  # fmt: skip


def poisson_tail(count: int, expected: float) -> float:
    """How likely `count` or more rare events are where `expected` are."""
    if count <= 0:
        return 1.0
    term = math.exp(-expected + count * math.log(expected) - math.lgamma(count + 1))
    total, index = 0.0, count
    while term > total * 1e-12:
        total += term
        index += 1
        term *= expected / index
    return min(1.0, total)


def _continuous(health: Health) -> tuple[Verdict, Verdict]:
    rct, apt = health.rct, health.apt
    unit = "bit" if health.min_entropy == 1 else "bits"
    alarm = f"2^-20 a byte at {health.min_entropy:g} {unit} claimed"
    return (
        Verdict(
            "rct", not rct.failures if health.nbytes else None,
            f"longest run {rct.max_run:,}" if health.nbytes else TOO_FEW,
            f"below {rct.cutoff}", alarm,
        ),
        Verdict(
            "apt", not apt.failures if apt.windows else None,
            f"most in a window {apt.max_count:,}" if apt.windows else TOO_FEW,
            f"below {apt.cutoff} of {apt.window}", alarm.replace("byte", "window"),
        ),
    )  # fmt: skip


def _estimates(health: Health) -> tuple[Verdict, ...]:
    found = health.estimates
    bits = 8 * min(health.nbytes, ESTIMATED_BYTES)
    least = (_least_mcv_bytes, _least_mcv_bits, _least_collision, _least_markov)
    values = (found.mcv_bytes, found.mcv_bits, found.collision_bits, found.markov_bits)
    counts = (health.nbytes, bits, bits, bits)
    names = ("mcv_bytes", "mcv_bits", "collision_bits", "markov_bits")
    verdicts = [
        Verdict(name, None, TOO_FEW, "") if value is None else _at_least(name, value, limit(count))
        for name, value, limit, count in zip(names, values, least, counts, strict=True)
    ]
    if found.compression_bits is not None:
        limit = compression_of_perfect_bits(bits, _ONE_SIDED)
        verdicts.append(_at_least("compression_bits", found.compression_bits, limit))
    return tuple(verdicts)


def _at_least(name: str, value: float, least: float) -> Verdict:
    return Verdict(name, value >= least, f"{value:.4f}", f"{least:.3f} and more", _ALARM_TEXT)


def _least_mcv_bytes(count: int) -> float:
    # The most common of 256 counts, none of which is 256 times less likely to lie above.
    quantile = NormalDist().inv_cdf(1 - ALARM / 256)
    share = 1 / 256 + quantile * math.sqrt(1 / 256 / count) + quantile**2 / (6 * count)
    return _least_entropy(share + _ESTIMATE * math.sqrt(share / count))


def _least_mcv_bits(count: int) -> float:
    return _least_entropy(0.5 + (_TWO_SIDED + _ESTIMATE) * 0.5 / math.sqrt(count))


def _least_collision(count: int) -> float:
    # A perfect stream needs two or three bits with equal chance: mean 2.5, deviation 0.5.
    mean = 2.5 - (_ONE_SIDED + _ESTIMATE) * 0.5 / math.sqrt(count / 2.5)
    return _least_entropy(0.5 + math.sqrt(1.25 - mean / 2))


def _least_markov(count: int) -> float:
    # Each of the transitions is seen by half of the bits.
    quantile = NormalDist().inv_cdf(1 - ALARM / 4)
    return _least_entropy(0.5 + quantile * 0.5 / math.sqrt(count / 2))


def _least_entropy(chance: float) -> float:
    return -math.log2(min(1.0, chance))


def _whole(health: Health) -> tuple[Verdict, ...]:
    whole = health.whole
    names = ("chi_square", "mean", "serial_correlation")
    if whole is None or health.estimates.mcv_bytes is None:
        return tuple(Verdict(name, None, TOO_FEW, "") for name in names)
    low, high = (_chi_square_quantile(sign * _TWO_SIDED) for sign in (-1, 1))
    width = _TWO_SIDED / math.sqrt(health.nbytes)
    mean = _BYTE_DEVIATION * width
    correlation = whole.serial_correlation
    return (
        Verdict(
            "chi_square", low <= whole.chi_square <= high, f"{whole.chi_square:,.2f}",
            f"{low:.0f} to {high:.0f}", _ALARM_TEXT,
        ),
        Verdict(
            "mean", abs(whole.mean - 127.5) <= mean, f"{whole.mean:.4f}",
            f"{127.5 - mean:.2f} to {127.5 + mean:.2f}", _ALARM_TEXT,
        ),
        Verdict(
            "serial_correlation", correlation is not None and abs(correlation) <= width,
            "all bytes are equal" if correlation is None else f"{correlation:.6f}",
            f"{-width:.4f} to {width:.4f}", _ALARM_TEXT,
        ),
    )  # fmt: skip


def _chi_square_quantile(quantile: float) -> float:
    """From a normal quantile, by the approximation of Wilson and Hilferty."""
    step = 2 / (9 * _FREEDOM)
    return float(_FREEDOM * (1 - step + quantile * math.sqrt(step)) ** 3)
