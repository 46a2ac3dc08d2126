"""Exit statuses of every kdash command; other programs rely on them."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a kdash process returns."""

    OK = 0
    FINDINGS = 1  # errors found, a guest that failed, an alert
    USAGE = 2  # bad argument or malformed input; no terminal for the dashboard
    ENVIRONMENT = 3  # something this machine lacks or refuses
    SIGHUP = 129
    SIGINT = 130
    SIGPIPE = 141  # the reader of the output has gone before its end
    SIGTERM = 143
