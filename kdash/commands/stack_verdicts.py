"""`kdash stack check --triage`: what the user accepted in the browser is left out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from kdash.backends.stack.facts import FileReport
from kdash.backends.stack.verdicts import VerdictError, VerdictFile, settled
from kdash.backends.wording import counted
from kdash.exit_status import ExitStatus
from kdash.state_folder import verdict_path


class Triaged:
    """Reports without the findings that the user accepts as they are.

    Raises:
        VerdictError: the file of verdicts is damaged.
        OSError: it can't be read.
    """

    def __init__(self) -> None:
        self._verdicts = VerdictFile(verdict_path()).load()
        self._today = datetime.now().date()  # an expiry is a day where the user is
        self._left_out = 0

    def open(self, reports: Iterable[FileReport]) -> Iterator[FileReport]:
        """The reports with the findings that are new, or to be fixed."""
        for report in reports:
            marks = (one.fingerprint for one in report.findings)
            accepted = settled(marks, self._verdicts, self._today)
            left = tuple(one for one in report.findings if one.fingerprint not in accepted)
            self._left_out += len(report.findings) - len(left)
            yield replace(report, findings=left)

    def told(self) -> str:
        """What was left out, in one line."""
        return f"{counted(self._left_out, 'finding')} left out by verdict"


def refused_verdicts(error: VerdictError | OSError) -> int:
    """Say why the verdicts can't be used; the exit status."""
    from kdash.backends.stack.printable import printable

    if isinstance(error, VerdictError):
        text = f"{error}; move it away to start a new one"
    else:
        text = f"{verdict_path()}: {error.strerror or error}"
    print(printable(f"kdash stack check: {text}"), file=sys.stderr)  # noqa: T201
    usage = isinstance(error, VerdictError)
    return int(ExitStatus.USAGE if usage else ExitStatus.ENVIRONMENT)
