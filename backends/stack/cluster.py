"""Objects validated by a Dask cluster that the user named; needs the extra `cluster`.

The scheduler and its workers are trusted: whoever runs them can run code here. Workers read an
object at its path where they see the same bytes there, else they are sent them. A worker that
dies gives its objects back; without the scheduler the rest is validated here.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from kdash import __version__
from kdash.backends.stack.check import Checker
from kdash.backends.stack.cluster_task import ELSEWHERE, digest_of, validate_task
from kdash.backends.stack.facts import (
    CheckOptions,
    Cluster,
    ClusterError,
    FileReport,
    ObjectError,
)
from kdash.backends.stack.reading import read_object
from kdash.backends.stack.wire import WireError, decode, encode_request

if TYPE_CHECKING:
    from distributed import Client

_CONNECT: Final = 10  # seconds to reach the scheduler
_PATIENCE: Final = 10  # seconds without any worker
_MOST_WAITING: Final = 64  # objects that are on their way at a time


class _LostError(Exception):
    """The scheduler is gone, or all workers are."""


def validate_on(
    cluster: Cluster,
    files: Iterable[str],
    options: CheckOptions,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[FileReport]:
    """Validate files on a cluster; reports in the order of the files.

    Args:
        cluster: the scheduler.
        files: objects (see `object_files`).
        options: how to validate.
        tell: is told when the cluster is lost, in one line.

    Raises:
        ClusterError: the extra is missing, the scheduler can't be reached, or its workers have
            another version of kdash.
    """
    client = _connected(cluster)
    run = _Run(client, options)
    left = iter(files)
    try:
        yield from run.reports(left)
    except _LostError:
        tell(f"lost the cluster at {cluster.address}: the rest is validated here")
        checker = Checker(options)
        for path in (*run.unanswered(), *left):
            yield checker.check(path)
    finally:
        with suppress(Exception):  # it may be gone already, in any way
            client.close(timeout=2)


def _connected(cluster: Cluster) -> Client:
    try:
        from distributed import Client, Security
    except ImportError as error:
        raise ClusterError("--scheduler needs dask: pip install 'kdash[cluster]'") from error
    for name in ("distributed", "tornado", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told here
    security = None
    if _is_encrypted(cluster):
        security = Security(
            tls_ca_file=cluster.ca or None,
            tls_client_cert=cluster.certificate or None,
            tls_client_key=cluster.key or None,
            require_encryption=True,
        )

    class Quiet(Client):  # type: ignore[misc]
        """A client that could not connect has nothing to close, and fails to when collected."""

        def __del__(self) -> None:
            with suppress(Exception):
                super().__del__()

    try:
        return Quiet(cluster.address, timeout=_CONNECT, security=security, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ClusterError(f"no scheduler at {cluster.address}: {reason}") from error


def _is_encrypted(cluster: Cluster) -> bool:
    """Whether to connect by TLS.

    Raises:
        ClusterError: what TLS needs is not there, or does not go with the address.
    """
    files = (cluster.ca, cluster.certificate, cluster.key)
    if not cluster.address.startswith("tls://"):
        if any(files):
            raise ClusterError(f"TLS options go with an address tls://..., not {cluster.address}")
        return False
    if not cluster.ca or not cluster.certificate:
        raise ClusterError(
            f"{cluster.address} needs --scheduler-ca and --scheduler-cert, and --scheduler-key"
            " where the key has a file of its own"
        )
    for file in filter(None, files):
        try:
            with open(file, "rb"):
                pass
        except OSError as error:
            raise ClusterError(f"can't read {file}: {error.strerror}") from error
    try:
        context = ssl.create_default_context(cafile=cluster.ca)
        context.load_cert_chain(cluster.certificate, cluster.key or None)
    except (OSError, ValueError) as error:
        named = ", ".join(filter(None, files))
        raise ClusterError(f"no usable certificates and key in {named}: {error}") from error
    return True


class _Run:
    """Files on their way, in order."""

    def __init__(self, client: Client, options: CheckOptions) -> None:
        self._client = client
        self._options = options
        self._seen = time.monotonic()  # when there was a worker, at last
        self._waiting: deque[tuple[str, Any]] = deque()  # path; a future, or a report

    def unanswered(self) -> list[str]:
        """The files that nothing came back of."""
        return [path for path, _ in self._waiting]

    def reports(self, files: Iterator[str]) -> Iterator[FileReport]:
        """Send files, not too many at a time, and give what comes back."""
        for path in files:
            self._waiting.append((path, None))
            self._waiting[-1] = (path, self._sent(path))
            if len(self._waiting) >= _MOST_WAITING:
                yield self._answered()
        while self._waiting:
            yield self._answered()

    def _sent(self, path: str) -> Any:
        try:
            data = read_object(path)
        except ObjectError as error:
            return FileReport(path, error=str(error))
        return self._submitted(path, digest_of(data))

    def _submitted(self, path: str, *arguments: Any) -> Any:
        self._check_connection()
        request = encode_request(path, self._options)
        return self._client.submit(validate_task, request, *arguments, pure=False)

    def _answered(self) -> FileReport:
        path, answer = self._waiting[0]
        if not isinstance(answer, FileReport):
            answer = self._report(path, answer)
        self._waiting.popleft()
        return answer

    def _report(self, path: str, future: Any) -> FileReport:
        line = self._line(future)
        if line == ELSEWHERE:
            try:
                data = read_object(path)
            except ObjectError as error:
                return FileReport(path, error=str(error))
            line = self._line(self._submitted(path, digest_of(data), data))
        try:
            return decode(line or "")
        except WireError:
            return FileReport(path, error="the validator crashed on it, on several workers")

    def _line(self, future: Any) -> str | None:
        """What a worker answered; None where this object took several workers down."""
        from distributed import KilledWorker
        from distributed import TimeoutError as Late

        while True:
            try:
                version, line = future.result(timeout=1)
                break
            except Late:
                self._check_connection()
                self._check_workers()
            except KilledWorker:
                return None
            except (asyncio.CancelledError, CancelledError, OSError) as error:
                raise _LostError from error
            except (ImportError, AttributeError) as error:
                raise ClusterError(f"the workers have no kdash {__version__}: {error}") from error
        if version != __version__:
            raise ClusterError(f"the workers have kdash {version}, not {__version__}")
        return str(line)

    def _check_workers(self) -> None:
        """Workers may come back, but not be waited for without end."""
        try:
            some = bool(self._client.nthreads())
        except (OSError, ValueError) as error:
            raise _LostError from error
        now = time.monotonic()
        if some:
            self._seen = now
        elif now - self._seen > _PATIENCE:
            raise _LostError

    def _check_connection(self) -> None:
        if self._client.status != "running":
            raise _LostError
