"""`kdash entropy export`: the generator's state as metrics for Prometheus."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kdash.commands.argument_parser import Parser
from kdash.commands.entropy_parser import sample_count, seconds_between
from kdash.commands.host_port import host_port, is_loopback, others_reach, shown
from kdash.exit_status import ExitStatus
from kdash.widgets.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry

    from kdash.backends.entropy.sampler import EntropySampler

PORT = 9577
FIRST_SECONDS = 0.25  # between the first two samples, which the first rates need
SAMPLE_SECONDS = 1.0
WRITE_SECONDS = 15.0
COLLECTED = ".prom"
SETTLED_WITHIN = 10.0  # seconds; a machine that is slower shows less at first
DANGER = "--let-others-read"

EPILOG = f"""\
examples:
  kdash entropy export                              http://127.0.0.1:{PORT}/metrics
  kdash entropy export --listen 10.0.0.5:{PORT} {DANGER}
  kdash entropy export --textfile /var/lib/node_exporter/textfile_collector/kdash.prom

FILE is for everybody to read (mode 0644), as node_exporter is another user, and always whole.
Nobody is asked for a password: an address that others reach shows them every metric. Samples are
taken once a second. Ends with SIGINT (130), SIGTERM (143), SIGHUP (129), or after --count writes.
Exit status 3: the address or the file can't be used.
"""


def run(argv: list[str]) -> int:
    """Carry out the command and return the exit status."""
    parser = export_parser()
    arguments = parser.parse_args(argv)
    if arguments.listen is not None and not arguments.others and others_reach(arguments.listen[0]):
        parser.error(
            f"{shown(*arguments.listen)} is reached from other machines, and nobody is asked for a "
            f"password; {DANGER} serves them, too"
        )
    if arguments.textfile is None:
        for option in ("interval", "count"):
            if getattr(arguments, option) is not None:
                parser.error(f"--{option} goes with --textfile; Prometheus says when it asks")
        return _serve(*(arguments.listen or _address(str(PORT))))
    if arguments.listen is not None:
        parser.error("--listen and --textfile exclude each other")
    if arguments.textfile.suffix != COLLECTED:
        _say(f"warning: node_exporter reads files that end in {COLLECTED} alone")
    return _write(arguments.textfile, arguments.interval or WRITE_SECONDS, arguments.count)


def _address(text: str) -> tuple[str, int]:
    return host_port(text, f"127.0.0.1:{PORT}")


def export_parser() -> Parser:
    """`kdash entropy export`."""
    parser = Parser(
        "entropy export",
        "Serve the generator's state to Prometheus, or write it for node_exporter.",
        EPILOG,
    )
    parser.add_argument(
        "--listen", type=_address, metavar="[HOST]:PORT", help=f"where to serve (127.0.0.1:{PORT})"
    )
    parser.add_argument(
        DANGER, action="store_true", dest="others", help="serve other machines, too"
    )
    parser.add_argument(
        "--textfile", type=Path, metavar="FILE", help="write FILE instead, for node_exporter"
    )
    parser.add_argument(
        "--interval", type=seconds_between, metavar="S", help="seconds between two writes (15)"
    )
    parser.add_argument("--count", type=sample_count, metavar="N", help="end after N writes")
    return parser


def _serve(host: str, port: int) -> ExitStatus:
    from kdash.backends.entropy.metrics_server import serve_metrics

    with _sampled() as registry:
        try:
            server = serve_metrics(host, port, registry)
        except (OSError, UnicodeError) as error:
            cause = getattr(error, "strerror", None) or str(error)
            _say(f"{shown(host, port)}: {cause}; choose another address with --listen")
            return ExitStatus.ENVIRONMENT
        with closing(server.socket):
            name, number = server.server_address[:2]
            if not is_loopback(str(name)):
                _say(f"warning: whoever reaches {shown(str(name), number)} reads the metrics")
            _say(f"serving http://{shown(str(name), number)}/metrics")
            threading.Event().wait()  # a signal ends it
    return ExitStatus.OK


def _write(path: Path, interval: float, count: int | None) -> ExitStatus:
    from kdash.backends.entropy.metrics import write_metrics

    with _sampled() as registry:
        due, written = time.monotonic(), 0
        while True:
            try:
                write_metrics(path, registry)
            except OSError as error:
                _say(f"{path}: {error.strerror}")
                return ExitStatus.ENVIRONMENT
            except RuntimeError as error:  # what ended the sampling
                _say(str(error))
                return ExitStatus.ENVIRONMENT
            written += 1
            if written == count:
                return ExitStatus.OK
            due = max(due + interval, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


@contextmanager
def _sampled() -> Iterator[CollectorRegistry]:
    """The metrics of this machine, sampled while they are asked for."""
    from kdash.backends.entropy.metrics import ReadingCollector, registry_of
    from kdash.backends.entropy.sampler import EntropySampler
    from kdash.state_folder import history_path

    sampler = EntropySampler(interval=FIRST_SECONDS, kept=history_path())
    sampler.start()
    try:
        _settle(sampler)
        sampler.interval = SAMPLE_SECONDS
        yield registry_of(ReadingCollector(sampler.latest, time.monotonic))
    finally:
        sampler.stop()


def _settle(sampler: EntropySampler) -> None:
    """Wait for the second sample, from which rates are known."""
    end = time.monotonic() + SETTLED_WITHIN
    first = None
    while time.monotonic() < end:
        latest = sampler.latest()
        first = first or latest
        if latest is not first:
            return
        time.sleep(FIRST_SECONDS / 5)


def _say(line: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"kdash entropy export: {one_line(line)}\n")
    sys.stderr.flush()
