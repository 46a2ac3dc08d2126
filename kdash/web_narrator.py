"""What the server of `kdash web` says of its own faults: a line each, none of what it was sent."""

from __future__ import annotations

import logging
import sys

from aiohttp.http import HttpProcessingError


class Narrator(logging.Handler):
    """Writes a line for a fault; a request that is no HTTP was answered and is nobody's news."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell what was logged."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            fault = f": {type(error).__name__}: {error}" if error else ""
            line = f"kdash web: {record.getMessage()}{fault}"
            sys.stderr.write(line.encode("unicode_escape").decode() + "\n")


def narrator() -> logging.Logger:
    """The logger for aiohttp, which would write tracebacks otherwise."""
    logger = logging.getLogger("kdash.web")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(Narrator(logging.WARNING))
    return logger
