"""How often the generator has reseeded, told by the vDSO's own copy.

Linux 6.11 on publishes the generator's generation to user space so that getrandom in the vDSO
knows when its key is stale (lib/vdso/getrandom.c). The state it keeps is opaque: where the
generation lies in it is checked, never trusted, and asking runs in a process of its own.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kdash.backends.entropy.facts import GetrandomLatency, Percentiles, StreamRate, Throughput
from kdash.backends.entropy.procfs import Unavailable
from kdash.backends.entropy.vdso_image import has_getrandom

if TYPE_CHECKING:
    import subprocess

_ANSWER_SECONDS = 2.0
_ANSWER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class VdsoFacts:
    """One answer of the probe."""

    generation: int | None
    missing: str = ""  # why there is no generation
    latency: GetrandomLatency | None = None
    latency_missing: str = ""  # why there is no latency
    throughput: tuple[Throughput, ...] = ()
    stream: StreamRate | None = None


class VdsoSource(Protocol):
    """Who tells the generation."""

    @property
    def process_id(self) -> int | None:
        """The process that asks, where it is another than this one."""

    def has_symbol(self) -> bool:
        """Whether the vDSO has getrandom."""
        ...

    def ask(self) -> None:
        """Pose the question; never waits, never fails."""
        ...

    def answer(self) -> VdsoFacts:
        """The answer to the question posed last.

        Raises:
            Unavailable: There is no answer to be had.
        """
        ...

    def close(self) -> None:
        """Stop asking."""
        ...


class NoVdso:
    """For roots that present another machine: the vDSO of this one says nothing about it."""

    process_id = None

    def has_symbol(self) -> bool:
        """Never."""
        return False

    def ask(self) -> None:
        """Nobody is asked."""

    def answer(self) -> VdsoFacts:
        """Refuse."""
        raise Unavailable("not asked here")

    def close(self) -> None:
        """Nothing to stop."""


MOST_STARTS = 5  # of probes that are killed
KILLED = tuple(f"the probe was ended by {name}" for name in ("SIGKILL", "SIGTERM", "SIGHUP"))


class VdsoChild:
    """Asks in a child process, so that a surprise ends that one alone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._failed = ""
        self._asked = False
        self._pending = b""
        self._started = 0

    @property
    def process_id(self) -> int | None:
        """The child's, while there is one."""
        return self._process.pid if self._process else None

    def has_symbol(self) -> bool:
        """Whether the vDSO of this process has getrandom."""
        return has_getrandom()

    def ask(self) -> None:
        """Pose the question, starting the child first; what goes wrong the answer tells."""
        if self._killed and self._started < MOST_STARTS:
            self.close()
        if self._failed or self._asked:
            return
        try:
            if self._process is None:
                self._process = _start_child()
                self._started += 1
            assert self._process.stdin is not None
            self._process.stdin.write(b"\n")
            self._asked = True
        except OSError as error:
            started = self._process is not None
            self._fail(self._fate() if started else f"the probe can't be started: {error.strerror}")

    def answer(self) -> VdsoFacts:
        """The child's answer.

        Raises:
            Unavailable: The child could not be started, has died or does not answer.
        """
        self.ask()
        if self._failed:
            raise Unavailable(self._failed)
        try:
            facts = facts_of(self._line())
        except (OSError, EOFError):
            self._fail(self._fate())
            raise Unavailable(self._failed) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            self._fail("the probe answered what makes no sense")
            raise Unavailable(self._failed) from None
        self._asked = False
        return facts

    def close(self) -> None:
        """End the child; the next question starts another."""
        self._fail("")
        self._asked = False
        self._pending = b""

    def _line(self) -> bytes:
        """One line from the child.

        Raises:
            OSError: It has ended, or keeps silent.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            if not select.select([fd], [], [], _ANSWER_SECONDS)[0]:
                raise TimeoutError("no answer")
            chunk = os.read(fd, 4096)
            if not chunk or len(self._pending) > _ANSWER_BYTES:
                raise EOFError("no answer") if not chunk else ValueError("too much")
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _fate(self) -> str:
        """How the child ended, or that it keeps silent."""
        import subprocess

        assert self._process is not None
        try:
            status = self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            return "the probe does not answer"
        if status < 0:
            return f"the probe was ended by {_signal_name(-status)}"
        return f"the probe ended with status {status}"

    @property
    def _killed(self) -> bool:
        """Whether somebody ended it, whom the vDSO has nothing to do with: another may be asked."""
        return self._failed in KILLED

    def _fail(self, why: str) -> None:
        self._failed = why
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _start_child() -> subprocess.Popen[bytes]:
    """The probe, finding this package where this process found it."""
    import subprocess

    import kdash

    home = str(Path(kdash.__path__[0]).parent)
    known = os.environ.get("PYTHONPATH")
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "kdash.backends.entropy.vdso_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": f"{home}{os.pathsep}{known}" if known else home},
        start_new_session=True,  # keys typed at the terminal signal this process alone
        bufsize=0,
    )


def facts_of(line: bytes) -> VdsoFacts:
    """The child's answer.

    Raises:
        ValueError: It makes no sense. (KeyError and TypeError as well)
    """
    answer = json.loads(line)
    generation = answer.get("generation")
    if generation is not None and not isinstance(generation, int):
        raise ValueError("generation")
    latency = answer.get("latency")
    return VdsoFacts(
        generation=generation,
        missing=str(answer.get("missing", "")),
        latency=GetrandomLatency(
            _percentiles(latency.get("syscall")), _percentiles(latency.get("vdso"))
        )
        if latency
        else None,
        latency_missing=str(answer.get("latency_missing", "")),
        throughput=tuple(_throughput(*sized) for sized in answer.get("costs") or ()),
        stream=_stream_rate(answer.get("stream")),
    )


def _stream_rate(pair: object) -> StreamRate | None:
    if pair is None:
        return None
    if not isinstance(pair, list) or len(pair) != 2 or not all(type(n) is int for n in pair):
        raise ValueError("stream")
    if not 0 <= pair[1] <= pair[0]:
        raise ValueError("stream")
    return StreamRate(pair[0], pair[1])


def _throughput(nbytes: object, syscall: object, vdso: object) -> Throughput:
    if type(nbytes) is not int:
        raise ValueError("costs")
    return Throughput(nbytes, _speed(nbytes, syscall), _speed(nbytes, vdso))


def _speed(nbytes: int, nanoseconds: Any) -> float | None:
    """Bytes a second; None where nothing was timed."""
    if nanoseconds is None:
        return None
    if type(nanoseconds) not in (int, float) or not 0 <= nanoseconds < math.inf:
        raise ValueError("costs")
    return nbytes * 1e9 / float(max(1.0, nanoseconds))


def _percentiles(pair: object) -> Percentiles | None:
    if pair is None:
        return None
    if not isinstance(pair, list) or len(pair) != 2 or not all(type(n) is int for n in pair):
        raise ValueError("latency")
    return Percentiles(pair[0], pair[1])
