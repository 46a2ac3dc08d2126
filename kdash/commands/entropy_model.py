"""`kdash entropy model`: the Linux 4.3 generator, against test vectors or event by event."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kdash.backends.wording import factor
from kdash.commands.argument_parser import Parser
from kdash.commands.entropy_parser import sample_count, seconds_between
from kdash.commands.entropy_text import escaped, replay_text
from kdash.commands.unbroken import unbroken
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.backends.entropy.facts import ModelStep, PoolState
    from kdash.backends.entropy.live_model import LiveModel

EVENTS = 20  # that are printed of a run from a seed
READERS = {"random": "/dev/random", "urandom": "/dev/urandom", "getrandom": "getrandom"}
EPILOG = """\
examples:
  kdash entropy model --vectors tests/backends/entropy/vectors.json --format json
  kdash entropy model --seed 2015
  kdash entropy model --seed 2015 --count 5000 --nodes 4 --format json | jq -c .pools
  kdash entropy model --seed 1 --irq 500 --disk 20 --read random,2,64
  kdash entropy model --feed machine --speed 60

With --seed every line is an event, as JSON with each counter and word it changed: equal seeds and
options print equal lines, and the seed boots the same model in the dashboard (:model seed HEX).
With --feed a line sums up what this machine's events did to the model meanwhile; trace gives them
the times they had (root, tracefs). Text shows the bits each pool accounts for.
Exit status: 0 all cases pass or all events are printed, 1 a case fails, 2 usage or a malformed
file, 3 a file or a feed that can't be had.
"""


def run(argv: list[str]) -> int:
    """Carry out `kdash entropy model` and return the exit status."""
    parser = model_parser()
    arguments = parser.parse_args(argv)
    if arguments.vectors is not None:
        return _replay(arguments)
    if arguments.feed is None and (arguments.speed, arguments.interval) != (None, None):
        parser.error("--speed and --interval: each goes with --feed; from a seed there is no clock")
    try:
        model = _model(arguments)
    except ValueError as error:
        parser.error(str(error))
    try:
        if arguments.feed is None:
            _begin(arguments)
            for _ in range(arguments.count or EVENTS):
                _print(model, model.step(), arguments.format)
            return ExitStatus.OK
        return _follow(model, arguments)
    finally:
        model.close()


def model_parser() -> Parser:
    """`kdash entropy model`."""
    parser = Parser(
        "entropy model",
        "Replay test vectors on the Linux 4.3 model, or print what its events do.",
        EPILOG,
        formats=True,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--vectors", type=Path, metavar="FILE",
        help="replay cases with their inputs and outputs, as JSON")  # fmt: skip
    what.add_argument("--seed", type=_seed, metavar="HEX",
        help="boot from a seed, feed made-up events, print each")  # fmt: skip
    what.add_argument("--feed", choices=("machine", "trace"),
        help="boot from the clock, feed this machine's events")  # fmt: skip
    parser.add_argument("--count", type=sample_count, metavar="N",
        help=f"end after N lines (from a seed {EVENTS}; else never)")  # fmt: skip
    parser.add_argument("--nodes", type=_whole, default=0, metavar="N",
        help="a pool for each of N nodes behind /dev/urandom (0: one for all)")  # fmt: skip
    for kind, usual in (("irq", 50), ("disk", 1), ("input", 0)):
        parser.add_argument(f"--{kind}", type=float, metavar="RATE",
            help=f"made-up {kind} events a second (from a seed {usual}; else 0)")  # fmt: skip
    parser.add_argument("--read", type=_reader, action="append", default=[],
        metavar="DEVICE,RATE[,BYTES]",
        help="simulated reads a second of random, urandom or getrandom")  # fmt: skip
    parser.add_argument("--speed", type=_whole, metavar="N",
        help="seconds of the model in a second, 1 to 3600 (60)")  # fmt: skip
    parser.add_argument("--interval", type=seconds_between, metavar="S",
        help="seconds between two lines of --feed (1)")  # fmt: skip
    return parser


def _seed(text: str) -> bytes:
    from kdash.backends.entropy.model_load import seed_bytes

    try:
        return seed_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text[:9])


def _reader(text: str) -> tuple[str, float, int | None]:
    name, _, rest = text.partition(",")
    rate, comma, nbytes = rest.partition(",")
    try:
        return READERS[name], float(rate), int(nbytes[:9]) if comma else None
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not DEVICE,RATE[,BYTES], as in random,0.5,64; devices: "
            + ", ".join(READERS)
        ) from None


def _model(arguments: argparse.Namespace) -> LiveModel:
    """The model as the options have it.

    Raises:
        ValueError: One of them is out of range.
    """
    from kdash.backends.entropy.happenings import ClockFeed
    from kdash.backends.entropy.live_model import SEEDED_LOAD, LiveModel

    seeded = arguments.seed is not None
    model = LiveModel(
        ClockFeed(lambda: 0),  # a run from a seed has no clock but its events'
        seed=arguments.seed,
        nodes=arguments.nodes,
        speed=arguments.speed,
    )
    for kind, usual in SEEDED_LOAD.items():
        rate = getattr(arguments, kind.value)
        model.set_load(kind.value, (usual if seeded else 0.0) if rate is None else rate)
    for device, rate, nbytes in arguments.read:
        model.read_at(device, rate, nbytes)
    return model


def _replay(arguments: argparse.Namespace) -> int:
    from kdash.backends.entropy.replay import replay
    from kdash.backends.entropy.report import replay_json
    from kdash.backends.entropy.vectors import VectorError, load_vectors

    name = escaped(str(arguments.vectors))
    try:
        cases = load_vectors(arguments.vectors)
    except OSError as error:
        sys.stderr.write(f"kdash entropy model: {name}: {error.strerror}\n")
        return ExitStatus.ENVIRONMENT
    except VectorError as error:
        sys.stderr.write(f"kdash entropy model: {name}: {escaped(str(error))}\n")
        return ExitStatus.USAGE
    failed = [mismatch for case in cases if (mismatch := replay(case))]
    if arguments.format == "json":
        sys.stdout.write(json.dumps(replay_json(len(cases), failed)) + "\n")
    else:
        operations = sum(len(case.ops) for case in cases)
        sys.stdout.write(replay_text(len(cases), operations, failed))
    return ExitStatus.FINDINGS if failed else ExitStatus.OK


def _follow(model: LiveModel, arguments: argparse.Namespace) -> int:
    """Print what this machine's events do to the model, a line an interval."""
    try:
        model.feed_from(arguments.feed)
    except ValueError as error:
        sys.stderr.write(f"kdash entropy model: --feed {arguments.feed}: {error}\n")
        return ExitStatus.ENVIRONMENT
    _begin(arguments)
    model.advance()  # from where the next one counts
    printed = 0
    while arguments.count is None or printed < arguments.count:
        time.sleep(arguments.interval or 1.0)
        for step in model.advance():
            _print(model, step, arguments.format, clock=True)
            sys.stdout.flush()
            printed += 1
    return ExitStatus.OK


def _print(model: LiveModel, step: ModelStep, form: str, *, clock: bool = False) -> None:
    from kdash.backends.entropy.model_report import step_json

    seconds, pools = model.seconds, (model.state(), *model.outputs())
    if form == "json":
        told = (
            {"clock": {"speed": model.speed, "reached": round(model.reached, 3)}} if clock else {}
        )
        line = json.dumps(step_json(step, seconds, pools) | told)
    else:
        speed = f"x{factor(model.reached)}: " if clock else ""
        line = escaped(f"{seconds:12.6f}  {_levels(pools)}  {speed}{step.operation}")
    with unbroken():
        sys.stdout.write(line + "\n")


def _begin(arguments: argparse.Namespace) -> None:
    """Write the names of the columns; pools in the order of `_levels`."""
    if arguments.format == "text":
        nodes = range(arguments.nodes)
        pools = ["in", "blck", *([f"non{node}" for node in nodes] or ["nonb"])]
        names = " ".join(f"{name:>5}" for name in pools)
        sys.stdout.write(f"{'seconds':>12}  {names}  event\n")


def _levels(pools: tuple[PoolState, ...]) -> str:
    """The bits of each pool: input, blocking, then nonblocking by node."""
    return " ".join(f"{pool.entropy_count >> 3:>5}" for pool in pools)
