"""A process that imports one file of results: reports as lines on stdout (`wire.py`).

Run as `python -m kdash.backends.stack.import_worker REQUEST BUILD_DIR`. What is wrong with the file
stands in a report about the file itself, the last one. Ends with its parent.
"""

from __future__ import annotations

import sys

from kdash.backends.stack.baseline import BaselineError
from kdash.backends.stack.facts import FileReport, ResultsError
from kdash.backends.stack.import_results import import_file
from kdash.backends.stack.wire import decode_request, encode
from kdash.backends.stack.worker import end_with_parent


def main(request: str, build_dir: str) -> int:
    """Import one file, with the options of a request to validate it."""
    end_with_parent()
    path, options, _ = decode_request(request)
    try:
        for report in import_file(path, build_dir, options):
            _write(report)
    except BrokenPipeError:
        return 0
    except OSError as error:
        _write(FileReport(path, error=error.strerror or str(error)))
    except (ResultsError, BaselineError) as error:
        _write(FileReport(path, error=str(error)))
    except ValueError as error:
        _write(FileReport(path, error=f"no usable path: {error}"))
    return 0


def _write(report: FileReport) -> None:
    sys.stdout.write(encode(report) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
