"""A process that imports one file of results: reports as lines on stdout (`wire.py`).

Run as `python -m kdash.backends.stack.import_worker PATH BUILD_DIR FRAME_POINTER`. What is wrong
with the file stands in a report about the file itself, the last one. Ends with its parent.
"""

from __future__ import annotations

import sys

from kdash.backends.stack.facts import CheckOptions, FileReport, ResultsError
from kdash.backends.stack.import_results import import_file
from kdash.backends.stack.wire import encode
from kdash.backends.stack.worker import end_with_parent


def main(path: str, build_dir: str, frame_pointer: str) -> int:
    """Import one file."""
    end_with_parent()
    try:
        for report in import_file(path, build_dir, CheckOptions(frame_pointer)):
            _write(report)
    except BrokenPipeError:
        return 0
    except (ResultsError, OSError) as error:
        why = str(error) if isinstance(error, ResultsError) else error.strerror or str(error)
        _write(FileReport(path, error=why))
    return 0


def _write(report: FileReport) -> None:
    sys.stdout.write(encode(report) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
