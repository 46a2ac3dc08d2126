"""One object file in, one report out.

The validator itself is imported for the first object that the cache does not know.
"""

from __future__ import annotations

import gc
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kdash.backends.stack.facts import CheckOptions, FileReport, ObjectError
from kdash.backends.stack.reading import read_object
from kdash.backends.stack.result_cache import ResultCache

if TYPE_CHECKING:
    from kdash.backends.stack.validation import Validator
    from kdash.backends.stack.walk import Walk


class Checker:
    """Validates files one after the other; what it learns of stack states is kept between.

    Args:
        options: how to validate.
        cache: the folder with reports on objects that were seen before, if any.
    """

    def __init__(self, options: CheckOptions | None = None, cache: Path | None = None) -> None:
        self.options = options or CheckOptions()
        self._cache = ResultCache(self.options, cache) if cache else None

    @cached_property
    def _validator(self) -> Validator:
        from kdash.backends.stack.validation import Validator

        return Validator(self.options)

    def check(self, path: str, *, sample: bool = False) -> FileReport:
        """Validate one file; what is wrong with the file itself stands in the report."""
        if self._cache is None:
            return self.examine(path, sample=sample)[0]
        started = time.perf_counter()
        try:
            data = read_object(path)
        except (ObjectError, MemoryError) as error:
            reason = str(error) or "not enough memory to read it"
            return FileReport(path, error=reason, sample=sample)
        key = self._cache.key(data)
        known = self._cache.find(key, path, sample=sample)
        if known is not None:
            return _timed(known, time.perf_counter() - started)
        report = self._examined(path, data, sample)[0]
        self._cache.keep(key, report)
        return report

    def check_bytes(self, path: str, data: bytes, *, sample: bool = False) -> FileReport:
        """Validate an object that is in memory; the path is what the report calls it."""
        return self._examined(path, data, sample)[0]

    def examine(self, path: str, *, sample: bool = False) -> tuple[FileReport, Walk | None]:
        """The same, with the walk that led to it, None where the file can't be validated."""
        return self._examined(path, None, sample)

    def _examined(
        self, path: str, data: bytes | None, sample: bool
    ) -> tuple[FileReport, Walk | None]:
        walk = None
        started = time.perf_counter()
        collecting = gc.isenabled()
        # A file makes millions of objects and no cycles that matter.
        gc.disable()
        try:
            data = read_object(path) if data is None else data
            report, walk = self._validator.validate(path, data, sample)
        except ObjectError as error:
            report = FileReport(path, error=str(error), sample=sample)
        except MemoryError:
            report = FileReport(path, error="not enough memory to validate it", sample=sample)
        except Exception as error:  # noqa: BLE001 one file must not cost the report of the others
            reason = f"the validator failed on it ({type(error).__name__}: {error})"
            report = FileReport(path, error=" ".join(reason.split()), sample=sample)
        finally:
            if collecting:
                gc.enable()
        return _timed(report, time.perf_counter() - started), walk


def _timed(report: FileReport, seconds: float) -> FileReport:
    from dataclasses import replace

    return replace(report, seconds=round(seconds, 6))
