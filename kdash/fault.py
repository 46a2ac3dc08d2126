"""What is said of a fault of the program itself, as data: it may quote what a file has named."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final

WORDS: Final = "kdash: a fault in kdash; please report it with the lines above"


def told(error: BaseException | None) -> str:
    """Where the fault is, in lines that a terminal can be sent."""
    import traceback

    from kdash.widgets.printable import printable

    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join([*map(printable, lines), WORDS])


def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:  # noqa: ARG001
    """What Python is to do with an error that nobody has foreseen."""
    sys.stderr.write(f"{told(error)}\n")
