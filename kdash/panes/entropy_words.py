"""The command words of the Entropy pane: what they mean, what is wrong with a line, completion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kdash.panes import entropy_model_words as model_words
from kdash.widgets.command_words import CommandError, CommandWord, meant
from kdash.widgets.entropy.series import SERIES, Series, series_named

MOST_STEPS = 1000
MOST_BYTES = 512  # of one extraction, as a read of /dev/random gives at most (Linux 4.3)
MOST_MIXED = 4096  # bytes
MOST_CREDIT = 0xFFFFFFF  # bits: credit_entropy_bits_safe of Linux 4.3 takes no more at once
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}  # seconds
MOST_SPAN = 86400  # seconds: what is kept of the past
LEAST_INTERVAL, MOST_INTERVAL = 0.25, 60.0  # seconds

WORDS = (
    CommandWord("model step", "model step [N]", "advance the 4.3 model by N events"),
    CommandWord("model extract", "model extract [N]", "extract N bytes from its input pool"),
    CommandWord("model mix", "model mix HEX", "mix bytes into its input pool, without credit"),
    CommandWord("model credit", "model credit BITS", "credit its input pool; negative: debit"),
    *model_words.WORDS,
    CommandWord("plot", "plot NAME", "plot " + ", ".join(series.name for series in SERIES)),
    CommandWord("zoom", "zoom SPAN", "time the plot shows: 90s, 10m, 24h; now: follow again"),
    CommandWord("callers", "callers on|off", "tell who calls getrandom (root, through tracefs)"),
    CommandWord("random-events", "random-events on|off",
                "credits, debits, spills of the kernel's own pools (root, kernels 3.6 to 5.17)"),
    CommandWord("hwrng", "hwrng", "measure how fast the hardware source gives bytes (root)"),
    CommandWord("interval", "interval SECONDS", "seconds between two looks at the kernel"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """Advance the model."""

    count: int


@dataclass(frozen=True, slots=True)
class Extract:
    """Extract from the model's input pool."""

    nbytes: int


@dataclass(frozen=True, slots=True)
class Mix:
    """Mix into the model's input pool."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Credit:
    """Credit the model's input pool, or debit it."""

    bits: int


@dataclass(frozen=True, slots=True)
class Plot:
    """Plot another series."""

    series: Series


@dataclass(frozen=True, slots=True)
class Zoom:
    """Plot at least this much time; None: up to now, without a cursor."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Callers:
    """Count the callers of getrandom, or stop."""

    on: bool


@dataclass(frozen=True, slots=True)
class RandomEvents:
    """Add up the trace events random:* of the kernel's pools, or stop."""

    on: bool


@dataclass(frozen=True, slots=True)
class MeasureHwrng:
    """Measure the raw hardware source."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Look at the kernel this often."""

    seconds: float


StepCommand = Step | Extract | Mix | Credit
ModelCommand = StepCommand | model_words.Setting
Command = ModelCommand | Plot | Zoom | Callers | RandomEvents | MeasureHwrng | Interval


def parse(line: str) -> Command:
    """What a line asks for.

    Raises:
        CommandError: It names no command, or an argument is missing or out of range.
    """
    first, *rest = line.split() or [""]
    if first == "model":
        return _model(rest)
    if first == "plot":
        return Plot(_series(_only(rest, "plot NAME", _names())))
    if first == "zoom":
        return Zoom(_span(_only(rest, "zoom SPAN", "90s, 10m, 24h or now")))
    if first == "callers":
        return Callers(_switch(_only(rest, "callers on|off", "on or off"), "callers"))
    if first == "random-events":
        usage = "random-events on|off"
        return RandomEvents(_switch(_only(rest, usage, "on or off"), first))
    if first == "hwrng":
        if rest:
            raise CommandError("hwrng: one argument too many; it takes none")
        return MeasureHwrng()
    if first == "interval":
        return Interval(_seconds(_only(rest, "interval SECONDS", "0.25 to 60")))
    return parse(" ".join((meant(first, WORDS).word, *rest)))


def complete(line: str) -> Sequence[str]:
    """The command lines that begin with `line`."""
    lines = [word.word for word in WORDS] + [f"plot {series.name}" for series in SERIES]
    return [known for known in lines if known.startswith(line) and known != line]


def _model(words: list[str]) -> ModelCommand:
    kind, *rest = words or [""]
    if kind == "step":
        return Step(_count(rest, "model step [N]", default=1, most=MOST_STEPS))
    if kind == "extract":
        return Extract(_count(rest, "model extract [N]", default=10, most=MOST_BYTES))
    if kind == "mix":
        return Mix(_hexadecimal("".join(rest)))
    if kind == "credit":
        usage = "model credit BITS"
        bits = _integer(_only(rest, usage, "bits"), usage)
        if abs(bits) > MOST_CREDIT:
            raise CommandError(f"model credit: {bits} is out of range; up to {MOST_CREDIT} bits")
        return Credit(bits)
    if f"model {kind}" in {word.word for word in model_words.WORDS}:
        return model_words.parse(kind, rest)
    what = f"unknown word {kind!r}" if kind else "missing word"
    usages = (word.usage.removeprefix("model ") for word in WORDS if word.word.startswith("model "))
    raise CommandError(f"model: {what}; one of {', '.join(usages)}")


def _only(words: list[str], usage: str, right: str) -> str:
    if len(words) != 1:
        problem = "an argument is missing" if not words else "one argument too many"
        raise CommandError(f"{usage}: {problem} ({right})")
    return words[0]


def _count(words: list[str], usage: str, *, default: int, most: int) -> int:
    if not words:
        return default
    count = _integer(_only(words, usage, f"1 to {most}"), usage)
    if not 1 <= count <= most:
        raise CommandError(f"{usage}: {count} is out of range; 1 to {most}")
    return count


def _integer(word: str, usage: str) -> int:
    try:
        return int(word, 0) if len(word) <= 32 else int("")
    except ValueError:
        raise CommandError(f"{usage}: {word!r} is not a whole number") from None


def _hexadecimal(word: str) -> bytes:
    right = "write it like: model mix 00ff1234"
    try:
        data = bytes.fromhex(word.removeprefix("0x"))
    except ValueError:
        raise CommandError(f"model mix: {word[:16]!r} is not hexadecimal; {right}") from None
    if not data:
        raise CommandError(f"model mix: the bytes are missing; {right}")
    if len(data) > MOST_MIXED:
        raise CommandError(f"model mix: {len(data)} bytes are too many; up to {MOST_MIXED}")
    return data


def _names() -> str:
    return "one of " + ", ".join(series.name for series in SERIES)


def _series(name: str) -> Series:
    series = series_named(name)
    if series is None:
        raise CommandError(f"plot: no series {name!r}; {_names()}")
    return series


def _switch(word: str, name: str) -> bool:
    if word not in ("on", "off"):
        raise CommandError(f"{name}: {word[:16]!r} is neither on nor off")
    return word == "on"


def _span(word: str) -> float | None:
    if word == "now":
        return None
    found = re.fullmatch(r"(\d{1,6})([smh]?)", word, re.ASCII)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= MOST_SPAN:
        raise CommandError(f"zoom: {word[:16]!r} is no span of time; 90s, 10m, up to 24h, or now")
    return float(seconds)


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        raise CommandError(f"interval: {word!r} is not a number of seconds") from None
    if not LEAST_INTERVAL <= seconds <= MOST_INTERVAL:  # False for NaN too
        raise CommandError(f"interval: {word} is out of range; 0.25 to 60 seconds")
    return seconds
