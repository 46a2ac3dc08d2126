"""The command words that set the Linux 4.3 model of the Entropy pane, and what they set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kdash.backends.entropy.model_load import seed_bytes
from kdash.panes.entropy_sources import Model
from kdash.widgets.command_words import CommandError, CommandWord

LOADS = ("irq", "disk", "input")
MIXED_LOAD = {"irq": 0.8, "disk": 0.15, "input": 0.05}  # of a load that names no kind
READERS = {"random": "/dev/random", "urandom": "/dev/urandom", "getrandom": "getrandom"}
FEEDS = ("machine", "load")

WORDS = (
    CommandWord("model speed", "model speed N", "seconds of the 4.3 model in a second, 1 to 3600"),
    CommandWord("model nodes", "model nodes N", "pools behind its /dev/urandom; 0: stock design"),
    CommandWord("model load", "model load [irq|disk|input] N", "make up N events a second"),
    CommandWord("model readers", "model readers KIND N [BYTES]",
                "random, urandom, getrandom: N simulated reads a second"),
    CommandWord("model seed", "model seed HEX|off", "boot it from a seed and made-up events alone"),
    CommandWord("model feed", "model feed machine|load", "this machine's events, or made-up alone"),
    CommandWord("model trace", "model trace on|off", "events with their own times (root, tracefs)"),
    CommandWord("model flip", "model flip on|off", "flip a bit of an event and follow its spread"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """Something to set in a model, and what is said once it is set."""

    name: str  # of the command, for what is wrong with it
    told: str
    carry_out: Callable[[Model], None]  # raises ValueError for what is out of range


def parse(kind: str, words: list[str]) -> Setting:
    """What a line of WORDS asks for, without its `model`.

    Raises:
        CommandError: An argument is missing, too many or no number.
    """
    return _PARSERS[kind](words)


def _usage(kind: str) -> str:
    return next(word.usage for word in WORDS if word.word == f"model {kind}")


def _taken(kind: str, words: list[str], least: int, most: int) -> list[str]:
    if len(words) < least:
        raise CommandError(f"{_usage(kind)}: an argument is missing")
    if len(words) > most:
        raise CommandError(f"{_usage(kind)}: one argument too many")
    return words


def _number(kind: str, word: str) -> int:
    try:
        return int(word) if len(word) <= 16 else int("")
    except ValueError:
        raise CommandError(f"{_usage(kind)}: {word[:16]!r} is not a whole number") from None


def _rate(kind: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise CommandError(f"{_usage(kind)}: {word[:16]!r} is not a number a second") from None


def _one_of(kind: str, word: str, names: tuple[str, ...]) -> str:
    if word not in names:
        raise CommandError(f"{_usage(kind)}: {word[:16]!r} is not one of {', '.join(names)}")
    return word


def _speed(words: list[str]) -> Setting:
    (word,) = _taken("speed", words, 1, 1)
    speed = _number("speed", word.removeprefix("x"))
    return Setting("model speed", f"clock x{speed}", lambda model: model.set_speed(speed))


def _nodes(words: list[str]) -> Setting:
    (word,) = _taken("nodes", words, 1, 1)
    nodes = _number("nodes", word)
    told = f"a pool for each of {nodes} nodes" if nodes else "the stock design"
    return Setting("model nodes", told, lambda model: model.set_nodes(nodes))


def _load(words: list[str]) -> Setting:
    *kind, rate_word = _taken("load", words, 1, 2)
    rate = _rate("load", rate_word)
    shares = {_one_of("load", kind[0], LOADS): 1.0} if kind else MIXED_LOAD
    rates = {name: rate * share for name, share in shares.items()}
    told = ", ".join(f"{each:g} {name}" for name, each in rates.items())

    def carry_out(model: Model) -> None:
        for name, each in rates.items():
            model.set_load(name, each)

    return Setting("model load", f"made up a second of the model: {told} events", carry_out)


def _read(words: list[str]) -> Setting:
    name, rate_word, *size = _taken("readers", words, 2, 3)
    _one_of("readers", name, tuple(READERS))
    rate = _rate("readers", rate_word)
    nbytes = _number("readers", size[0]) if size else None
    return Setting(
        "model readers", f"{READERS[name]} is read {rate:g} times a second of the model",
        lambda model: model.read_at(READERS[name], rate, nbytes),
    )  # fmt: skip


def _seed(words: list[str]) -> Setting:
    (word,) = _taken("seed", words, 1, 1)
    if word == "off":
        return Setting(
            "model seed", "booted anew, fed by this machine", lambda model: model.restart(None)
        )
    try:
        seed = seed_bytes(word)
    except ValueError as error:
        raise CommandError(f"model seed: {error}") from None
    return Setting(
        "model seed", "booted anew from the seed, fed by made-up events alone",
        lambda model: model.restart(seed),
    )  # fmt: skip


def _feed(words: list[str]) -> Setting:
    (word,) = _taken("feed", words, 1, 1)
    _one_of("feed", word, FEEDS)
    return Setting("model feed", f"fed by {word}", lambda model: model.feed_from(word))


def _trace(words: list[str]) -> Setting:
    (word,) = _taken("trace", words, 1, 1)
    traced = _one_of("trace", word, ("on", "off")) == "on"
    told = "events have the times they had" if traced else "events are counted"
    feed = "trace" if traced else "machine"
    return Setting("model trace", told, lambda model: model.feed_from(feed))


def _flip(words: list[str]) -> Setting:
    (word,) = _taken("flip", words, 1, 1)
    if _one_of("flip", word, ("on", "off")) == "on":
        return Setting(
            "model flip", "a bit of the next event is flipped", lambda model: model.flip()
        )
    return Setting(
        "model flip", "the flipped bit is followed no more", lambda model: model.unflip()
    )


_PARSERS: dict[str, Callable[[list[str]], Setting]] = {
    "speed": _speed, "nodes": _nodes, "load": _load, "readers": _read, "seed": _seed,
    "feed": _feed, "trace": _trace, "flip": _flip,
}  # fmt: skip
