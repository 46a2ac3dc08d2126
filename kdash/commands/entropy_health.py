"""`kdash entropy health`: statistical tests of a file or of a live source."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kdash.backends.wording import counted
from kdash.commands.argument_parser import Parser
from kdash.commands.entropy_parser import Stopped
from kdash.commands.entropy_text import escaped
from kdash.commands.unbroken import unbroken
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.backends.entropy.health_facts import Health

EPILOG = """\
FIPS 140-2 (as rngtest counts), the repetition count and adaptive proportion tests and the
estimates of SP 800-90B, and chi-square, mean and serial correlation (as ent computes them).
They are a sanity check of the stream and say nothing about seeding.

live sources:
  hwrng       /dev/hwrng, the hardware source itself (root)
  timing      how long reading the clock takes here, lowest byte: raw, so it fails most tests
  getrandom   the running kernel's generator
  model       /dev/urandom of the Linux 4.3 model, fed by this machine

examples:
  kdash entropy health stream.bin
  kdash entropy health --source hwrng --min-entropy 6 --format json
  head -c 1M /dev/urandom | kdash entropy health -

Exit status: 0 all tests pass, 1 one fails, 2 usage, an empty stream or one too short for all tests
(2,504 bytes), 3 no such source.
"""
WIDTH = 80  # columns of text
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def run(argv: list[str]) -> int:
    """Carry out `kdash entropy health` and return the exit status."""
    from kdash.backends.entropy.health.sources import SourceError
    from kdash.backends.entropy.health.stream import HealthStream

    parser = health_parser()
    arguments = parser.parse_args(argv)
    if (arguments.file is None) == (arguments.source is None):
        parser.error("name one FILE or one --source")
    try:
        stream = HealthStream(arguments.min_entropy, compression=arguments.compression)
    except ValueError as error:
        parser.error(str(error))
    name = "standard input" if arguments.file == "-" else arguments.file or arguments.source
    try:
        for piece in _pieces(arguments):
            with unbroken():  # what is known so far is whole pieces
                stream.feed(piece)
    except SourceError as error:
        sys.stderr.write(f"kdash entropy health: {escaped(f'{name}: {error}')}\n")
        return ExitStatus.ENVIRONMENT
    except Stopped:
        if stream.nbytes:
            _print(name, stream.health(), arguments.format)  # what is known so far
        raise
    if not stream.nbytes:
        sys.stderr.write(f"kdash entropy health: {escaped(name)}: empty, nothing to test\n")
        return ExitStatus.USAGE
    health = stream.health()
    _print(name, health, arguments.format)
    if health.passes and health.untested:
        told = f"{counted(health.nbytes, 'byte')}, too few for {', '.join(health.untested)}"
        sys.stderr.write(f"kdash entropy health: {escaped(name)}: {told}\n")
        return ExitStatus.USAGE
    return ExitStatus.OK if health.passes else ExitStatus.FINDINGS


def health_parser() -> Parser:
    """`kdash entropy health`."""
    from kdash.backends.entropy.health.sources import LIVE, LIVE_BYTES

    parser = Parser("entropy health", "Test a stream of random bytes.", EPILOG, formats=True)
    parser.add_argument("file", nargs="?", metavar="FILE", help="a file, a device, or - (stdin)")
    parser.add_argument("--source", choices=LIVE, help="a live source instead of a file")
    parser.add_argument(
        "--bytes", type=_size, metavar="N",
        help=f"test the first N bytes (a file: all; a source without an end: {LIVE_BYTES:,})",
    )  # fmt: skip
    parser.add_argument(
        "--min-entropy", type=float, default=1.0, metavar="BITS",
        help="bits a byte the source claims, for the cutoffs of the continuous tests (1)",
    )  # fmt: skip
    parser.add_argument(
        "--compression", action="store_true", help="make the compression estimate too"
    )
    return parser


def _pieces(arguments: argparse.Namespace) -> Iterator[bytes]:
    from kdash.backends.entropy.health.sources import LIVE_BYTES, file_bytes, live_bytes

    if arguments.source is not None:
        return live_bytes(arguments.source, arguments.bytes or LIVE_BYTES)

    def waiting() -> None:
        told = f"{arguments.file}: a pipe: waiting for somebody to write to it"
        sys.stderr.write(f"kdash entropy health: {escaped(told)}\n")

    return file_bytes(arguments.file, arguments.bytes, waiting)


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not (number.isascii() and number.isdigit() and unit in _UNITS and int(number[:18])):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes; 62500, 64K, 1M")
    return int(number[:18]) * _UNITS[unit]


def _print(name: str, health: Health, form: str) -> None:
    from kdash.backends.entropy.health_report import health_json

    if form == "json":
        sys.stdout.write(json.dumps(health_json(health)) + "\n")
    else:
        sys.stdout.write(health_text(name, health))


def health_text(name: str, health: Health) -> str:
    """The figures and verdicts as a table."""
    from kdash.backends.entropy.health_facts import SAYS_NOTHING

    words = {True: "pass", False: "FAIL", None: "-"}
    rows = [("test", "", "found", "a perfect stream")] + [
        (one.test, words[one.passes], one.statistic, one.expected) for one in health.verdicts
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{escaped(name)}: {counted(health.nbytes, 'byte')}", ""]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    alarms = {
        one.false_alarm: ", ".join(
            other.test for other in health.verdicts if other.false_alarm == one.false_alarm
        )
        for one in health.verdicts
        if one.false_alarm
    }
    told = "; ".join(f"{alarm} ({tests})" for alarm, tests in alarms.items())
    lines += ["", *_fips_lines(health)]
    lines += textwrap.wrap(f"A perfect stream fails a test by chance: {told}.", WIDTH)
    lines += ["", *textwrap.wrap(f"This is {SAYS_NOTHING}.", WIDTH)]
    return "\n".join(lines) + "\n"


def _fips_lines(health: Health) -> list[str]:
    fips = health.fips140
    if not fips.failures:
        return []
    kinds = {
        "monobit": fips.monobit, "poker": fips.poker, "runs": fips.runs,
        "long run": fips.long_run, "continuous": fips.continuous,
    }  # fmt: skip
    told = ", ".join(f"{name} {count:,}" for name, count in kinds.items() if count)
    return [f"fips140 blocks that failed, by test: {told}", ""]
