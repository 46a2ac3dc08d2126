"""What the tests of a stream found, as the JSON object other programs parse."""

from __future__ import annotations

from dataclasses import asdict

from kdash.backends.entropy.health_facts import SAYS_NOTHING, Health

ALL_EQUAL = -100_000.0  # what ent prints where the correlation is not defined


def health_json(health: Health) -> dict[str, object]:
    """The object of `kdash entropy health --format json`; estimates of too few bytes are absent."""
    found: dict[str, object] = {
        "bytes": health.nbytes,
        "fips140": asdict(health.fips140),
        "sp800_90b": {
            "min_entropy": health.min_entropy,
            "rct": asdict(health.rct),
            "apt": asdict(health.apt),
            **{key: value for key, value in asdict(health.estimates).items() if value is not None},
        },
    }
    if health.whole is not None:
        correlation = health.whole.serial_correlation
        found["chi_square"] = health.whole.chi_square
        found["mean"] = health.whole.mean
        found["serial_correlation"] = ALL_EQUAL if correlation is None else correlation
    found["verdicts"] = {
        verdict.test: {
            "verdict": {True: "pass", False: "fail", None: "none"}[verdict.passes],
            "statistic": verdict.statistic,
            "expected": verdict.expected,
            "false_alarm": verdict.false_alarm,
        }
        for verdict in health.verdicts
    }
    found["note"] = SAYS_NOTHING
    return found
