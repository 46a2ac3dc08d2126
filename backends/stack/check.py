"""One object file in, one report out."""

from __future__ import annotations

import gc
import time
from pathlib import Path

from kdash.backends.stack.coverage import Coverage, Site
from kdash.backends.stack.events import make_events
from kdash.backends.stack.facts import CheckOptions, FileReport, ObjectError
from kdash.backends.stack.findings import FindingMaker
from kdash.backends.stack.image import ObjectImage
from kdash.backends.stack.layouts import layout_conflicts
from kdash.backends.stack.mitigations import Mitigations
from kdash.backends.stack.program import Program
from kdash.backends.stack.reading import read_object
from kdash.backends.stack.result_cache import ResultCache
from kdash.backends.stack.rules import levels_of
from kdash.backends.stack.transition import Transitions
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
        self._transitions: dict[int, Transitions] = {}  # by machine

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
            image = ObjectImage(read_object(path) if data is None else data)
            report, walk = self._report(path, image, sample)
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

    def _report(self, path: str, image: ObjectImage, sample: bool) -> tuple[FileReport, Walk]:
        program = Program(image, self.options.noreturn)
        frame_pointer, reason = decide_frame_pointer(self.options.frame_pointer, program)
        walk = self.walk(program, frame_pointer)
        coverage = Coverage(program, walk.events, walk)
        maker = FindingMaker(path, walk, levels_of(self.options.levels))
        sites = coverage.walked() + coverage.sites()
        sites += [Site(violation) for violation in layout_conflicts(walk)]
        hardening = Mitigations(program, walk.events, self.options.builds)
        sites += [Site(violation) for violation in hardening.violations()]
        findings = maker.make(sites) + maker.make_malformed(program.special.malformed)
        findings += maker.make_data(hardening.data_references())
        report = FileReport(
            path,
            findings,
            frame_pointer=frame_pointer,
            frame_pointer_reason=reason,
            functions=len(program.functions),
            instructions=len(program.code),
            left_out=maker.left_out,
            sample=sample,
        )
        return report, walk

    def walk(self, program: Program, frame_pointer: bool) -> Walk:
        """Walk a program with the states known so far."""
        processor = program.architecture
        known = self._transitions.get(processor.machine)
        if known is None or known.full:
            known = self._transitions[processor.machine] = Transitions(processor.operation)
        uaccess = self.options.uaccess
        events = make_events(program, frame_pointer, uaccess)
        walk = Walk(program, events, known, frame_pointer, uaccess)
        walk.run()
        return walk


def _timed(report: FileReport, seconds: float) -> FileReport:
    from dataclasses import replace

    return replace(report, seconds=round(seconds, 6))


def decide_frame_pointer(choice: str, program: Program) -> tuple[bool, str]:
    """Whether the frame pointer rules apply, and why if that was decided here."""
    if choice != "auto":
        return choice == "on", ""
    if program.image.sections_named(".orc_unwind"):
        return False, "off: the object has .orc_unwind"
    prologues, calling = program.count_frames()
    counts = f"{prologues} functions with a prologue, {calling} functions that call"
    if 2 * prologues < calling:
        return False, f"off: {counts}"
    return True, f"on: {counts}"
